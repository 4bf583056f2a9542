"""The page's stream of events, read as a page reads it, and positions to be told on it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from stream.core.calendar import rfc3339
from stream.topics import RADIO_POSITIONS
from tests.shell.pipeline import Message

if TYPE_CHECKING:
    from collections.abc import Iterator


class Event(NamedTuple):
    """One server-sent event."""

    id: str | None
    name: str
    data: dict[str, Any]


def events_of(text: str) -> list[Event]:
    """The events of a piece of a stream."""
    found = []
    for block in text.split("\n\n"):
        if block.strip():
            said = dict(line.split(": ", 1) for line in block.strip().split("\n"))
            found.append(Event(said.get("id"), said["event"], json.loads(said["data"])))
    return found


@contextlib.contextmanager
def listening(address: str, **headers: str) -> Iterator[Iterator[Event]]:
    """The events of the stream of a web process, as they come."""
    with (
        httpx.Client(base_url=address, timeout=30) as client,
        client.stream("GET", "/api/v1/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")

        def read() -> Iterator[Event]:
            rest = ""
            for text in answer.iter_text():
                whole, _, rest = (rest + text).rpartition("\n\n")
                yield from events_of(whole)

        yield read()


def position(device: str, time_us: int, lon: float, lat: float) -> Message:
    """A radio's position as it is sent."""
    body = {"device_id": device, "time": rfc3339(time_us), "lon": lon, "lat": lat, "error_m": 5}
    return Message(RADIO_POSITIONS, json.dumps(body).encode(), time_us, device.encode())
