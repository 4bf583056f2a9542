"""What a request for features may say, read strictly: OGC API Features part 1 (core) and part 2 (CRS).

Pure: texts in, values out, and a :class:`ProblemError` that names the parameter. Names that are not known are
refused too, as the standard wants, so that a misspelt filter never quietly gives everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geo.matching.history import FOREVER
from stream.core.calendar import parse_time
from stream.web.problems import bad, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG_4326 = "http://www.opengis.net/def/crs/EPSG/0/4326"
EPSG_27700 = "http://www.opengis.net/def/crs/EPSG/0/27700"
SYSTEMS = (CRS84, EPSG_4326, EPSG_27700)
"""Systems that may be asked for: degrees lon before lat, lat before lon, and British National Grid."""

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
"""How many features a page has unless told, and at most."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a request for a collection's features says.

    Attributes:
        bbox: west, south, east, north in ``bbox_crs``'s own axis order undone: x before y; None for all.
        bbox_crs: one of ``SYSTEMS``.
        crs: of the geometries wanted, one of ``SYSTEMS``.
        period: ``[start, end]`` in microseconds, both ends belong to it; None for what is in force now.
        limit: the most features wanted, 1 to ``MAX_LIMIT``.
        offset: how many to leave out first.
    """

    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str = CRS84
    crs: str = CRS84
    period: tuple[int, int] | None = None
    limit: int = DEFAULT_LIMIT
    offset: int = 0

    def hits(self, shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
        """Which shapes, given in ``bbox_crs`` with x before y, meet the box: ``bool[n]``."""
        if self.bbox is None:
            return np.ones(len(shapes), np.bool_)
        west, south, east, north = self.bbox
        boxes = [shapely.box(west, south, east, north)]
        if west > east:  # across the antimeridian
            boxes = [shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north)]
        found = [shapely.intersects(shapes, box) for box in boxes]
        return np.asarray(np.logical_or.reduce(found), np.bool_)


def parse(pairs: Sequence[tuple[str, str]]) -> Query:
    """The parameters of ``/collections/…/items``.

    Raises:
        ProblemError: one is unknown, given twice, or makes no sense.
    """
    given = known(pairs, ("bbox", "bbox-crs", "crs", "datetime", "limit", "offset"))
    bbox_crs = system(given, "bbox-crs")
    return Query(
        bbox=None if "bbox" not in given else _box(given["bbox"], bbox_crs),
        bbox_crs=bbox_crs,
        crs=system(given, "crs"),
        period=None if "datetime" not in given else _period(given["datetime"]),
        limit=min(_whole(given, "limit", DEFAULT_LIMIT, least=1), MAX_LIMIT),
        offset=_whole(given, "offset", 0, least=0),
    )


def system(given: dict[str, str], name: str) -> str:
    """The reference system that a parameter names; CRS84 where it is not given.

    Raises:
        ProblemError: it is none that is offered.
    """
    text = given.get(name, CRS84)
    if text not in SYSTEMS:
        raise bad(f"{name}={text} is not offered; choose one of {', '.join(SYSTEMS)}")
    return text


def _whole(given: dict[str, str], name: str, default: int, *, least: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text[:18]) >= least):
        raise bad(f"{name}={text} is not a whole number from {least} on")
    return int(text[:18])


def _box(text: str, crs: str) -> tuple[float, float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(math.isfinite(number) for number in numbers):
        raise bad(f"bbox={text} must be four numbers (or six, with heights): west,south,east,north")
    half = len(numbers) // 2
    (x0, y0), (x1, y1) = numbers[:2], numbers[half : half + 2]
    if crs == EPSG_4326:  # latitude first
        x0, y0, x1, y1 = y0, x0, y1, x1
    if y0 > y1 or (x0 > x1 and crs == EPSG_27700):
        raise bad(f"bbox={text}: its lower corner must come first")
    return x0, y0, x1, y1


def _period(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) == 1:
        time = _time(text, text)
        return time, time
    if len(parts) != 2 or (all(part in ("", "..") for part in parts) and parts not in (["..", ".."],)):
        raise bad(f"datetime={text} must be a time, or two with / between, one of which may be ..")
    start = -FOREVER if parts[0] in ("", "..") else _time(parts[0], text)
    end = FOREVER if parts[1] in ("", "..") else _time(parts[1], text)
    if start > end:
        raise bad(f"datetime={text}: its start must come before its end")
    return start, end


def _time(part: str, whole: str) -> int:
    try:
        return parse_time(part.upper())
    except ValueError:
        raise bad(f"datetime={whole}: {part!r} is not a time like 2026-11-23T08:15:03Z") from None
