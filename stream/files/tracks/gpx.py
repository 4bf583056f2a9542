"""GPX: the points of tracks; the device is the track's name, else the file's."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from stream.core.events import Reason, Reject
from stream.files.tracks.rows import TrackRows, event_json, open_file, stem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_gpx(path: Path, chunk: int) -> Iterator[TrackRows]:
    """Track points; ``speed`` and ``course`` of GPX 1.0 and of the common track point extension are taken.

    A point whose ``fix`` is none, or that was computed from no satellites, is said to be not valid (rule 2a).
    """
    values: list[bytes] = []
    first = 1
    device = default = stem(path)
    with closing(open_file(path)) as file:
        points = ElementTree.iterparse(file, events=("start", "end"))
        parents: list[str] = []
        try:
            for event, element in points:
                name = element.tag.rsplit("}", 1)[-1]
                if event == "start":
                    parents.append(name)
                    if name == "trk":
                        device = default
                    continue
                parents.pop()
                if name == "name" and parents[-1:] == ["trk"]:
                    device = (element.text or "").strip() or default
                elif name == "trkpt":
                    values.append(_point(element, device))
                    element.clear()
                elif name in {"trkseg", "trk"}:
                    element.clear()
                if len(values) >= chunk:
                    yield TrackRows(values, np.arange(first, first + len(values)), [])
                    first += len(values)
                    values = []
        except ElementTree.ParseError as failure:
            broken = Reject(first + len(values), Reason.BAD_VALUE, f"not well-formed XML: {failure}")
            yield TrackRows(values, np.arange(first, first + len(values)), [broken])
            return
    if values:
        yield TrackRows(values, np.arange(first, first + len(values)), [])


def _point(element: ElementTree.Element, device: str) -> bytes:
    told = {each.tag.rsplit("}", 1)[-1]: (each.text or "").strip() for each in element.iter()}
    fields = {"lon": element.get("lon"), "lat": element.get("lat")}
    fields |= {"speed_mps": told.get("speed"), "heading_deg": told.get("course")}
    numbers = {name: text for name, text in fields.items() if text}
    return event_json(device, told.get("time"), numbers, _doubt(told))


def _doubt(told: dict[str, str]) -> str | None:
    """What makes a point not valid; None where nothing does."""
    if told.get("fix", "").lower() == "none":
        return "none"
    return "no satellites" if re.fullmatch(r"0+", told.get("sat", ""), re.ASCII) else None
