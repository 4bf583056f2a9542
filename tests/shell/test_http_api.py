"""The examples of deploy/http-api.md are what the running program answers.

An example is a block of kind ``http``: a request, then the answer to it. In an answer's JSON, ``"…"`` stands
for any value, for the rest of a list, and as a name for the fields that are left out.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from geo.areas import AreaSet, Kind
from stream.core.calendar import Period
from stream.core.facts import SECOND
from stream.core.shares import NEIGHBOURHOOD, Figures
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store.device_days import examine_due
from stream.store.records import LATER, Restated
from stream.store.schema import connect
from stream.store.settled import WORKER, record
from stream.web import create_app
from stream.web.description import committed
from tests.shell.town import MINUTE, NOON, TOWN, Town, duty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase

PAGE = Path(__file__).resolve().parents[2] / "deploy" / "http-api.md"
NAMES = {"N2": "Eastgate", "P1": "Westcotes market", "P2": "Eastgate square"}
ANY = "…"
LIVE = "/api/v1/live"
"""Asked first: only the first look tells for how long the worker has been silent by the clock that stands."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and what the page says is answered."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int
    answered: dict[str, str]
    said: str

    @property
    def name(self) -> str:
        """The request's first line, and what comes of it."""
        return f"{self.method} {self.path} {self.status}"


def headers_of(lines: list[str]) -> dict[str, str]:
    """Headers, by their names."""
    return dict(line.split(": ", 1) for line in lines)


def example(block: str) -> Example:
    """An example, as it is written."""
    asked, answered = re.split(r"^(?=HTTP/1\.1 )", block, maxsplit=1, flags=re.MULTILINE)
    (first, *asked_headers), _, body = _parts(asked)
    (status, *headers), _, said = _parts(answered)
    method, path = first.split()
    return Example(
        method, path, headers_of(asked_headers), body, int(status.split()[1]), headers_of(headers), said
    )


def _parts(text: str) -> tuple[list[str], str, str]:
    head, blank, body = text.strip().partition("\n\n")
    return head.splitlines(), blank, body.strip()


def examples() -> list[Example]:
    """All examples of the page, from top to bottom."""
    text = PAGE.read_text(encoding="utf-8")
    return [example(block) for block in re.findall(r"^```http\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def differs(shown: Any, found: Any, where: str = "") -> str:
    """Where an answer is not what is shown; empty where it is."""
    if shown == ANY:
        return ""
    if isinstance(shown, dict) and isinstance(found, dict):
        missing = sorted(shown.keys() - found.keys() - {ANY})
        more = [] if ANY in shown else sorted(found.keys() - shown.keys())
        if missing or more:
            return f"{where}: has not {missing}, has {more} too"
        each = (
            differs(value, found[name], f"{where}.{name}") for name, value in shown.items() if name != ANY
        )
        return next(filter(None, each), "")
    if isinstance(shown, list) and isinstance(found, list):
        whole = ANY not in shown[-1:]
        shown = shown if whole else shown[:-1]
        if len(found) < len(shown) or (whole and len(found) > len(shown)):
            return f"{where}: has {len(found)} items"
        each = (differs(value, found[at], f"{where}[{at}]") for at, value in enumerate(shown))
        return next(filter(None, each), "")
    return "" if shown == found else f"{where}: is {found!r}, not {shown!r}"


@pytest.fixture(scope="module")
def address(database_server: EmbeddedDatabase) -> Iterator[str]:
    """`patrol web` over an hour of a small town in which an alert rings; its clock stands still."""
    with connect(database_server.dsn) as admin:
        admin.execute("create database http_api template template0")
    areas = AreaSet.of([replace(area, name=NAMES.get(area.area_id, area.name)) for area in TOWN.areas()])
    town = Town(database_server.dsn_of("http_api"), areas=areas)
    late = NOON + 8 * 60 * MINUTE
    town.begin(duty("O1", "N1", NOON, late), duty("O2", "N2", NOON, late))
    settings = replace(Settings(database=town.dsn), alert_nobody_on_patch_s=600.0)
    watcher = Watcher(settings, wall=lambda: town.now, steady=lambda: town.now / SECOND)
    for west, east, minutes in (("market", "east", 20), ("west", "west vertex", 25), ("station", "east", 15)):
        town.put(R1=west, R2=east)
        for _ in range(minutes):
            town.go(1)
            watcher.changed()
    watcher.close()
    examine_due(town.connection)
    put_on_record(town)
    town.close()
    app = create_app(settings, now=lambda: town.now)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        app.state.pulse.end()
        server.should_exit = True
        thread.join()
        with connect(database_server.dsn) as admin:
            admin.execute("drop database http_api with (force)")


def put_on_record(town: Town) -> None:
    """A restatement of the week before: positions of two hours that came late."""
    week = Period.week("2026-W46")
    hour = 60 * MINUTE
    before, after = (
        Figures(
            NEIGHBOURHOOD,
            "N1",
            week.start,
            week.end,
            on_patch=on * hour,
            unknown=(8 - on) * hour,
            ambiguous_on=MINUTE,
        )
        for on in (6, 8)
    )
    why = "positions of R1 from 2026-11-10 12:00 to 2026-11-10 14:00"
    restated = [Restated(week.name, NEIGHBOURHOOD, "N1", before, after)]
    record(town.connection, LATER, None, week.start, WORKER, why, restated, NOON)


def asked(client: httpx.Client, one: Example) -> tuple[int, httpx.Headers, str]:
    """What the program answers; of a stream, what comes until a pulse."""
    with client.stream(one.method, one.path, headers=one.headers, content=one.body or None) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, answer.headers, answer.read().decode()
        text = ""
        for part in answer.iter_text():
            text += part
            if "event: pulse" in text and text.endswith("\n\n"):
                break
        return answer.status_code, answer.headers, text


def events(text: str) -> list[tuple[str, Any]]:
    """Names and data of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = headers_of(block.splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_the_examples_are_what_is_answered(address: str) -> None:
    """Every example of the page on the HTTP API, asked from top to bottom, is answered as it is shown."""
    mark = ""
    found = examples()
    assert len(found) > 10
    with httpx.Client(base_url=address, timeout=60) as client:
        for one in sorted(found, key=lambda one: one.path != LIVE):
            given = {name: mark if value == ANY else value for name, value in one.headers.items()}
            status, headers, text = asked(client, replace(one, headers=given))
            assert status == one.status, f"{one.name}: {status}: {text}"
            for name, value in one.answered.items():
                assert value == ANY or headers.get(name) == value, f"{one.name}: {name}: {headers.get(name)}"
            if headers.get("content-type", "").startswith("text/event-stream"):
                shown, come = events(one.said), events(text)
                assert [name for name, _ in shown] == [name for name, _ in come], one.name
                pairs = [(data, real) for (_, data), (_, real) in zip(shown, come, strict=True)]
                mark = re.findall(r"^id: (.+)$", text, re.MULTILINE)[-1]
            else:
                pairs = [(json.loads(one.said), json.loads(text))] if one.said else []
            for said, real in pairs:
                assert not (wrong := differs(said, real)), f"{one.name}: {wrong}"


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "…": "…"}, {"b": 2}),
        ([1], [1, 2]),
        ([1, 2, "…"], [1]),
        ({"a": [{"b": None}]}, {"a": [{"b": 0.5}]}),
    ],
)
def test_an_example_that_is_wrong_would_be_noticed(shown: Any, found: Any) -> None:
    """Another value, a field or item too many and one that is missing are each told."""
    assert differs(shown, found)
    assert not differs(found, found)


def test_every_endpoint_is_said_to_be_stable_or_not() -> None:
    """The page lists every operation of the OpenAPI document once, and no other."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## What is stable")[2].partition("\n## ")[0]
    listed = re.findall(r"`([A-Z]+) (/[^`]*)`(?=[^\n]*\| (?:yes|no) \|)", section)
    paths = json.loads(committed().read_text(encoding="utf-8"))["paths"]
    spelt_out = {f"/collections/{kind}/items" for kind in Kind}
    described = {(way.upper(), path) for path, ways in paths.items() if path not in spelt_out for way in ways}
    assert len(listed) == len(set(listed))
    assert set(listed) == described
