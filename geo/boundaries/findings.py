"""Findings of a check: how serious each code is, and how findings are given as rows, GeoJSON or text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.boundaries.layer import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geo.areas import AreaSet, Kind


class Severity(StrEnum):
    """How bad: an error stops a publication."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

_FATAL = (
    "unreadable",
    "nothing-in-it",
    "columns-unknown",
    "kind-unknown",
    "crs-missing",
    "crs-wrong",
    "axes-swapped",
    "heaped",
)

CODES: Mapping[str, Severity] = MappingProxyType(
    {
        # The file as a whole: nothing can be published from it.
        **dict.fromkeys(_FATAL, ERROR),
        # The file as a whole: something can.
        "abroad": ERROR,
        "far-from-published": ERROR,
        "crs-replaced": NOTE,
        "kind-replaced": WARNING,
        "heights-dropped": NOTE,
        "curves-straightened": NOTE,
        "rings-turned": NOTE,
        "reader-remark": NOTE,
        # One area.
        "id-missing": ERROR,
        "id-unfit": ERROR,
        "id-twice": ERROR,
        "id-nearly-twice": WARNING,
        "name-missing": WARNING,
        "name-twice": WARNING,
        "name-garbled": WARNING,
        "name-unfit": WARNING,
        "shape-missing": ERROR,
        "shape-not-area": ERROR,
        "shape-mixed": WARNING,
        "shape-broken": ERROR,
        "shape-crossing": ERROR,
        "shape-tangled": ERROR,
        "shape-mended": WARNING,
        "ring-open": WARNING,
        "part-tiny": WARNING,
        "size-unlikely": WARNING,
        "outside-britain": WARNING,
        "days-unreadable": ERROR,
        "hours-unreadable": ERROR,
        # Areas against each other, and against what is published.
        "same-shape": ERROR,
        "one-inside-other": WARNING,
        "overlap": ERROR,
        "overlap-hairline": WARNING,
        "gap": ERROR,
        "gap-hairline": WARNING,
        "outside-force": ERROR,
        "partly-outside-force": WARNING,
        "outside-force-hairline": NOTE,
        "force-uncovered": WARNING,
        "no-neighbourhood": WARNING,
    }
)
"""Every code that a finding may have, and how bad it is where the finding does not say otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One thing found.

    Attributes:
        code: one of :data:`CODES`.
        severity: how bad it is here.
        area_id: the area concerned (the first of two), where there is one.
        kind: its kind.
        place: shapely geometry in WGS84 degrees where it is, if it is anywhere.
        size_m2: area concerned, square metres, if that applies.
        text: what is wrong, for people.
        done: what was repaired, or what happens if it is left.
    """

    code: str
    severity: Severity
    area_id: str | None
    kind: Kind | None
    place: Any
    size_m2: float | None
    text: str
    done: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Why an error is accepted, and by whom."""

    who: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A file after the checks.

    Attributes:
        areas: what can be published, after repairs; None where nothing can. Rows that cannot become areas are
            left out, each with an error among the findings.
        findings: worst first.
    """

    areas: AreaSet | None
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> bool:
        """Whether an error prevents publication."""
        return self.areas is None or any(finding.severity is ERROR for finding in self.findings)


def refuse_acceptances(accept: Mapping[str, Acceptance]) -> None:
    """Refuses acceptances of codes that are unknown or cannot be accepted.

    Raises:
        ValueError: one is.
    """
    for key in accept:
        code = key.split(":", 1)[0]
        if code not in CODES or code in _FATAL:
            raise ValueError(f"{key!r} is not a finding that can be accepted; see the table in geo/README.md")


NOTHING = "nothing can be published from it"
"""What follows from a finding on a file that cannot be used."""


class UnusableFileError(Exception):
    """A finding after which nothing more can be said about the file."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.finding = finding_of(code, text, NOTHING)


def finding_of(code: str, text: str, done: str) -> Finding:
    """A finding on a file as a whole."""
    found = Findings()
    found.add(code, text, done)
    return found[0]


class Findings(list[Finding]):
    """What a check has found so far."""

    def add(
        self,
        code: str,
        text: str,
        done: str,
        area: tuple[Kind | None, str | None] = (None, None),
        *,
        place: Any = None,
        size_m2: float | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Adds a finding; its severity is that of its code unless given. ``size_m2`` in square metres."""
        ident = None if area[1] is None else printable(area[1])
        how_bad = severity or CODES[code]
        said = (printable(text), printable(done))
        self.append(Finding(code, how_bad, ident, area[0], place, size_m2, *said))


def with_acceptance(finding: Finding, accept: Mapping[str, Acceptance]) -> Finding:
    """A finding, marked as accepted where somebody accepted it by name."""
    given = accept.get(f"{finding.code}:{finding.area_id}") or accept.get(finding.code)
    if given is None or finding.severity is not ERROR:
        return finding
    said = f"accepted by {given.who}: {given.why}"
    return replace(finding, severity=NOTE, done=f"{finding.done}; {said}" if finding.done else said)


def counted(number: int, what: str) -> str:
    """A number of things: "1 area", "2 areas"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def counts_words(findings: Sequence[Finding]) -> str:
    """How many errors, warnings and notes."""
    return ", ".join(counted(sum(item.severity is each for item in findings), each) for each in Severity)


def area_words(size: float) -> str:
    """Square metres in words: m² or km²."""
    if size >= 1e6:
        return f"{size / 1e6:,.2f} km²"
    return f"{size:,.0f} m²" if size >= 10 else f"{size:,.2f} m²"


def findings_rows(findings: Iterable[Finding]) -> list[dict[str, str | float | None]]:
    """Findings as rows for a table; where one is, as a point in degrees."""
    rows: list[dict[str, str | float | None]] = []
    for finding in findings:
        spot = finding.place.representative_point() if has_place(finding.place) else None
        rows.append(
            {
                "severity": str(finding.severity),
                "code": finding.code,
                "kind": None if finding.kind is None else str(finding.kind),
                "area_id": finding.area_id,
                "size_m2": None if finding.size_m2 is None else round(finding.size_m2, 2),
                "lon": None if spot is None else round(spot.x, 7),
                "lat": None if spot is None else round(spot.y, 7),
                "text": finding.text,
                "done": finding.done,
            }
        )
    return rows


def has_place(place: Any) -> bool:
    """Whether a shape can be shown on a map."""
    return place is not None and not place.is_empty and bool(np.isfinite(place.bounds).all())


def findings_geojson(findings: Iterable[Finding]) -> str:
    """Findings as GeoJSON, to be laid over the areas in a GIS; the geometry is null where one is nowhere."""
    listed = list(findings)
    features = []
    for finding, row in zip(listed, findings_rows(listed), strict=True):
        place = shapely.geometry.mapping(finding.place) if has_place(finding.place) else None
        features.append({"type": "Feature", "properties": row, "geometry": place})
    return json.dumps(
        {"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False
    )
