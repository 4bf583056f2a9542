"""Findings on a boundary file: what is wrong, where, how bad, and what was mended.

A room of values: a file (or a layer of one) goes in, areas and findings come out, and nothing is published or
written here. An error stops a publication, a warning and a note do not; people may accept an error by its
code, with name and reason, and it becomes a note. Every code stands in :data:`CODES` and, for people, in
``geo/README.md``. Sizes are square metres on the ground, places are WGS84 degrees.
"""

from __future__ import annotations

import html
import json
import math
import pickle
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import Area, AreaSet, Kind
from geo.crs import (
    BNG,
    GREAT_BRITAIN,
    REVERSED,
    Look,
    area_m2,
    centre_of,
    crs_of,
    looks_like,
    metric,
    to_wgs84,
)
from geo.drawing import Frame
from geo.files import (
    LIMITS,
    LONGEST,
    AreaFileError,
    Limits,
    RawLayer,
    attributes_of,
    change_m2,
    column,
    find_column,
    kinds_of,
    locate,
    mend,
    printable,
    read_layer,
    system_of,
    tangled,
    unfit,
)
from geo.hours import days_of as days_of  # noqa: PLC0414 (asked for here too)
from geo.hours import hours_of as hours_of  # noqa: PLC0414

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


class Severity(StrEnum):
    """How bad: an error stops a publication."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CODES: Mapping[str, Severity] = MappingProxyType(
    {
        # The file as a whole: nothing can be published from it.
        "unreadable": _E,
        "nothing-in-it": _E,
        "columns-unknown": _E,
        "kind-unknown": _E,
        "crs-missing": _E,
        "crs-wrong": _E,
        "axes-swapped": _E,
        "heaped": _E,
        # The file as a whole: it can.
        "abroad": _E,
        "far-from-published": _E,
        "crs-replaced": _N,
        "kind-replaced": _W,
        "heights-dropped": _N,
        "curves-straightened": _N,
        "rings-turned": _N,
        "reader-remark": _N,
        # One area.
        "id-missing": _E,
        "id-unfit": _E,
        "id-twice": _E,
        "id-nearly-twice": _W,
        "name-missing": _W,
        "name-twice": _W,
        "name-garbled": _W,
        "name-unfit": _W,
        "shape-missing": _E,
        "shape-not-area": _E,
        "shape-mixed": _W,
        "shape-broken": _E,
        "shape-crossing": _E,
        "shape-tangled": _E,
        "shape-mended": _W,
        "ring-open": _W,
        "part-tiny": _W,
        "size-unlikely": _W,
        "outside-britain": _W,
        "days-unreadable": _E,
        "hours-unreadable": _E,
        # Areas against each other, and against what is published.
        "same-shape": _E,
        "one-inside-other": _W,
        "overlap": _E,
        "overlap-hairline": _W,
        "gap": _E,
        "gap-hairline": _W,
        "outside-force": _E,
        "partly-outside-force": _W,
        "outside-force-hairline": _N,
        "force-uncovered": _W,
        "no-neighbourhood": _W,
    }
)
"""Every code that a finding may have, and how bad it is where the finding does not say otherwise."""

HAIRLINE_M = 1.0
"""Overlaps and gaps between neighbourhoods nowhere wider than this come from drawing, not from meaning."""

OUTLINE_HAIRLINE_M = 25.0
"""The same against the force's outline, which others have drawn and simplified."""

_IGNORED_M2 = 0.01  # below this, two lines are one line in numbers of 64 bits
_TINY_PART_M2 = 1.0
_MENDED_M2 = 1.0  # a repair that moves less ground than this is no matter of meaning
_SIZES: Mapping[Kind, tuple[float, float]] = {
    Kind.NEIGHBOURHOOD: (10_000.0, 2_000e6),
    Kind.PRIORITY: (100.0, 50e6),
    Kind.PREMISES: (20.0, 1e6),
}
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

MOST_OVERLAPS = 500
"""More findings of overlaps than this say one thing only: areas lie on top of each other in layers."""

_MOST_PAIRS = 1_000_000  # areas that touch each other; a hundred thousand wards have a third of that


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One thing found.

    Attributes:
        code: one of :data:`CODES`.
        severity: how bad it is here.
        area_id: the area concerned (the first of two), where there is one.
        kind: its kind.
        place: shapely geometry in WGS84 degrees where it is, if it is anywhere.
        size_m2: ground concerned, square metres, if that says anything.
        text: what is wrong, for people.
        done: what was mended, or what happens if it is left.
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
    """Why an error is let pass, and who said so."""

    who: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A file after the checks.

    Attributes:
        areas: what can be published, mended; None where nothing can. Rows that no area can be made of are
            left out, each with an error among the findings.
        findings: worst first.
    """

    areas: AreaSet | None
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> bool:
        """Whether an error stands against publication."""
        return self.areas is None or any(finding.severity is _E for finding in self.findings)


def check(
    source: str | Path | RawLayer,
    kind: Kind | None = None,
    against: AreaSet | None = None,
    outline: Any = None,
    *,
    layer: str | None = None,
    id_column: str | None = None,
    name_column: str | None = None,
    crs: str | None = None,
    encoding: str | None = None,
    accept: Mapping[str, Acceptance] | None = None,
    limits: Limits = LIMITS,
) -> Checked:
    """Check a boundary file.

    Args:
        source: the file, or a layer already read.
        kind: what its areas are for; None to take each feature's own ``kind``.
        against: what is published of other kinds; priority areas and premises are looked for in its
            neighbourhoods.
        outline: the force's area, shapely polygon in WGS84 degrees.
        layer: which layer of the file.
        id_column: the column with the ids, where it cannot be found.
        name_column: the column with the names, where it cannot be found.
        crs: the reference system, in place of the file's.
        encoding: how its texts are written, in place of what the file says.
        accept: errors that are let pass, by code or by ``code:area_id``; those of a file that cannot be used
            at all cannot be.
        limits: how much the file may ask for.

    Raises:
        ValueError: ``accept`` names a code that is none, or one that cannot be accepted.
    """
    accept = accept or {}
    _refuse_acceptances(accept)
    areas: AreaSet | None = None
    found: list[Finding] = []
    try:
        raw = source if isinstance(source, RawLayer) else _read(source, layer, encoding, limits)
        shapes = _located(raw, crs, outline, found)
        rows = _rows(raw, kind, shapes, id_column=id_column, name_column=name_column, found=found)
        areas = AreaSet.of(rows) if rows else None
        if areas is not None:
            _abroad(areas, found)
            for each in Kind:
                _against_each_other(areas.only(each), each, found)
            _against_outline(areas, outline, found)
            _against_published(areas, against, found)
            if outline is None:
                _far_from_published(areas, against, found)
    except _StopError as stop:
        areas = None
        found.append(stop.finding)
    except (shapely.errors.ShapelyError, MemoryError, RecursionError) as error:
        areas = None
        said = " ".join(str(error).split())[:120] or "no memory"
        text = (
            f"{_source(source)}: its shapes cannot be worked with ({said}); simplify them and export it again"
        )
        found.append(_finding("unreadable", text, "nothing can be published from it"))
    order = {code: at for at, code in enumerate(CODES)}
    judged = [_accepted(finding, accept) for finding in found]
    judged.sort(
        key=lambda f: (list(Severity).index(f.severity), order[f.code], -(f.size_m2 or 0.0), f.area_id or "")
    )
    return Checked(areas, tuple(judged))


def _refuse_acceptances(accept: Mapping[str, Acceptance]) -> None:
    for key in accept:
        code = key.split(":", 1)[0]
        if code not in CODES or code in _FATAL:
            raise ValueError(f"{key!r} is no finding that can be accepted; see the table in geo/README.md")


_PLAIN = 2_000  # corners; so few cannot cross more than a million times


def check_apart(
    path: str | Path,
    kind: Kind | None = None,
    against: AreaSet | None = None,
    outline: Any = None,
    *,
    layer: str | None = None,
    encoding: str | None = None,
    limits: Limits = LIMITS,
    **options: Any,
) -> Checked:
    """:func:`check` of a file in a process of its own with limited memory and time.

    What people never draw may still ask for any amount of either, and only a process of its own can be
    stopped then. A file of few corners cannot, and is checked here.

    Args:
        path: the file.
        kind: as for :func:`check`, as are all others.
        against: what is published.
        outline: the force's area.
        layer: which layer of the file.
        encoding: how its texts are written.
        limits: ``memory_bytes`` and ``seconds`` hold for the check as they do for the reading.
        options: the others of :func:`check`.

    Raises:
        ValueError: as :func:`check`.
    """
    _refuse_acceptances(options.get("accept") or {})
    try:
        raw = _read(path, layer, encoding, limits)
    except _StopError as stop:
        return Checked(None, (stop.finding,))
    if int(shapely.get_num_coordinates(raw.geometry).sum()) <= _PLAIN:
        return check(raw, kind, against, outline, limits=limits, **options)
    request = pickle.dumps((raw, kind, _plain(against), outline, limits, options))
    packages = [place for place in sys.path if Path(place).is_absolute()]
    program = f"import sys; sys.path[:0] = {packages!r}; from geo.checks import _answer; _answer()"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=request,
            capture_output=True,
            timeout=limits.seconds + 30,  # a busy machine; the processor's time is limited in the child
            check=False,
        )
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode != 0:
        text = (
            f"{_source(path)}: cannot be checked within {limits.memory_bytes >> 20:,} MB of memory and "
            f"{limits.seconds:g} s; its shapes are far too detailed or lie on each other: simplify them"
        )
        return Checked(None, (_finding("unreadable", text, "nothing can be published from it"),))
    rows, findings = pickle.loads(done.stdout)
    return Checked(_sorted(rows), findings)


_Rows = list[tuple[Kind, str, str, Any, dict[str, str]]]


def _plain(areas: AreaSet | None) -> _Rows | None:
    """Areas as values that go from one process to another."""
    if areas is None:
        return None
    return [(row.kind, row.area_id, row.name, row.geometry, dict(row.attributes)) for row in areas.areas()]


def _sorted(rows: _Rows | None) -> AreaSet | None:
    return None if rows is None else AreaSet.of(Area(*row) for row in rows)


def _answer() -> None:
    """The other process's whole work: a request on standard input, the findings on standard output."""
    raw, kind, against, outline, limits, options = pickle.load(sys.stdin.buffer)
    _limit(limits)
    checked = check(raw, kind, _sorted(against), outline, limits=limits, **options)
    pickle.dump((_plain(checked.areas), checked.findings), sys.stdout.buffer)


def _limit(limits: Limits) -> None:
    """Bind this process: so much memory beyond what it has, so much time of a processor."""
    try:
        import resource
    except ImportError:  # not on Windows; the parent's clock still holds
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime + limits.seconds)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent if most < 0 else min(spent, most), most))
    pages = Path("/proc/self/statm")
    if pages.exists():
        room = int(pages.read_text().split()[0]) * resource.getpagesize() + limits.memory_bytes
        now, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (room if now < 0 else min(room, now), most))


def _source(source: str | Path | RawLayer) -> str:
    return source.source if isinstance(source, RawLayer) else Path(source).name


class _StopError(Exception):
    """A finding after which nothing more can be said about the file."""

    def __init__(self, code: str, text: str, done: str = "nothing can be published from it") -> None:
        super().__init__(text)
        self.finding = _finding(code, text, done)


def _finding(
    code: str,
    text: str,
    done: str,
    area: tuple[Kind | None, str | None] = (None, None),
    *,
    place: Any = None,
    size_m2: float | None = None,
    severity: Severity | None = None,
) -> Finding:
    ident = None if area[1] is None else printable(area[1])
    how_bad = severity or CODES[code]
    return Finding(code, how_bad, ident, area[0], place, size_m2, printable(text), printable(done))


def _accepted(finding: Finding, accept: Mapping[str, Acceptance]) -> Finding:
    given = accept.get(f"{finding.code}:{finding.area_id}") or accept.get(finding.code)
    if given is None or finding.severity is not _E:
        return finding
    said = f"accepted by {given.who}: {given.why}"
    return replace(finding, severity=_N, done=f"{finding.done}; {said}" if finding.done else said)


# The file as a whole --------------------------------------------------------------------------------------


def _read(source: str | Path, layer: str | None, encoding: str | None, limits: Limits) -> RawLayer:
    try:
        return read_layer(source, layer, encoding=encoding, limits=limits)
    except AreaFileError as error:
        raise _StopError("unreadable", str(error)) from error


def _located(raw: RawLayer, crs: str | None, outline: Any, found: list[Finding]) -> NDArray[np.object_]:
    """Shapes in degrees, and what there is to say about where they are."""
    if not len(raw):
        raise _StopError("nothing-in-it", f"{raw.source}: has no areas in it; export it again")
    west, south, east, north = (float(value) for value in shapely.total_bounds(raw.geometry))
    look = looks_like((west, south, east, north))
    named = crs if crs is not None else raw.crs
    try:
        system = system_of(raw, crs)
        shapes = locate(raw, crs)
    except AreaFileError as error:
        code = "crs-missing" if named is None else "crs-wrong"
        if named is not None and look is Look.LATLON and not named.endswith(REVERSED):
            code = "axes-swapped"
        raise _StopError(code, str(error)) from error
    if system.kind == "grid" and outline is not None and not _reaches(shapes, outline):
        other = crs_of(system.name if system.reversed else f"{system.name}{REVERSED}")
        if (north if not system.reversed else east) <= 700_000 and _reaches(
            to_wgs84(raw.geometry, other), outline
        ):
            raise _StopError(
                "axes-swapped",
                f"{raw.source}: northing stands before easting: the areas lie in the force only when "
                f"they are swapped; swap them in the file, or give --crs {BNG}{REVERSED}",
            )
    if crs is not None and raw.crs is not None and crs_of(raw.crs).name != system.name:
        found.append(
            _finding(
                "crs-replaced", f"the file names {crs_of(raw.crs).name}", f"{system.name} was used, as told"
            )
        )
    if shapely.has_z(raw.geometry).any():
        found.append(_finding("heights-dropped", "the shapes carry heights", "heights were dropped"))
    if raw.curved:
        found.append(
            _finding(
                "curves-straightened",
                "some edges are arcs",
                "drawn as short straight lines, nowhere far from the arc",
            )
        )
    _remarks(raw, found)
    return shapes


def _reaches(shapes: NDArray[np.object_], outline: Any) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(shapely.intersects(shapely.box(*shapely.total_bounds(shapes)), outline))


def _remarks(raw: RawLayer, found: list[Finding]) -> None:
    """What the reader noticed, and rings that run the wrong way where the format says which is right."""
    found.extend(_finding("reader-remark", remark, "") for remark in raw.notes)
    if raw.driver in ("GeoJSON", "KML", "LIBKML"):
        parts = shapely.get_parts(
            raw.geometry[shapely.is_valid(raw.geometry) & ~shapely.is_empty(raw.geometry)]
        )
        rings = shapely.get_exterior_ring(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
        turned = int((~shapely.is_ccw(rings)).sum())
        if turned:
            found.append(
                _finding(
                    "rings-turned",
                    f"{_count(turned, 'outer ring')} clockwise, where {raw.driver} wants the opposite",
                    "which side is inside was never in doubt",
                )
            )


# One area -------------------------------------------------------------------------------------------------


def _rows(
    raw: RawLayer,
    kind: Kind | None,
    shapes: NDArray[np.object_],
    *,
    id_column: str | None,
    name_column: str | None,
    found: list[Finding],
) -> list[Area]:
    try:
        ids = column(raw, find_column(raw, "id", id_column))
        names = column(raw, find_column(raw, "name", name_column))
        attributes = attributes_of(raw, id_column, name_column)
    except AreaFileError as error:
        raise _StopError("columns-unknown", str(error)) from error
    try:
        kinds = kinds_of(raw, kind)
    except AreaFileError as error:
        raise _StopError("kind-unknown", str(error)) from error
    if kind is not None:
        _other_kinds(raw, kind, found)
    named = any(name is not None for name in names)
    rows: list[Area] = []
    taken: dict[tuple[Kind, str], int] = {}
    for at, shape in enumerate(shapes):
        who = (kinds[at], ids[at])
        which = f"{kinds[at]} {ids[at]}" if ids[at] else f"row {at + 1}"
        if unfit(ids[at] or ""):
            who = (kinds[at], None)
            what = f"longer than {LONGEST} characters" if len(ids[at] or "") > LONGEST else "that is no text"
            text = f"row {at + 1} has an id {what}: {(ids[at] or '')[:40]!r}"
            found.append(_finding("id-unfit", text, "left out", who))
            continue
        if ids[at] is None:
            found.append(
                _finding("id-missing", f"{which} has no id", "left out", who, place=_spot(mend(shape)))
            )
        usable = _shape(which, who, shape, unclosed=bool(raw.unclosed[at]), found=found)
        if ids[at] is not None and (kinds[at], ids[at]) in taken:
            first = taken[kinds[at], ids[at] or ""] + 1
            found.append(
                _finding(
                    "id-twice",
                    f"rows {first} and {at + 1} both are {which}",
                    "the later row was left out",
                    who,
                    place=_spot(usable),
                )
            )
        elif ids[at] is not None:
            taken[kinds[at], ids[at] or ""] = at
            if usable is not None:
                name = _name(which, who, names[at], named=named, place=_spot(usable), found=found)
                rows.append(Area(kinds[at], ids[at] or "", name, usable, attributes[at]))
                if kinds[at] is Kind.PRIORITY:
                    _when(which, who, attributes[at], _spot(usable), found)
    _look_alikes(rows, found)
    return rows


def _spot(shape: Any) -> Any:
    return None if shape is None else shape.representative_point()


def _other_kinds(raw: RawLayer, kind: Kind, found: list[Finding]) -> None:
    own = next((name for name in raw.columns if name.lower() == "kind"), None)
    others = {text for text in column(raw, own) if text is not None and text.lower() != kind}
    if others:
        found.append(
            _finding(
                "kind-replaced",
                f"the file calls some of its areas {', '.join(sorted(others)[:5])}",
                f"all of them were taken as {kind}, as told",
            )
        )


def _shape(
    which: str, who: tuple[Kind, str | None], shape: Any, *, unclosed: bool, found: list[Finding]
) -> Any:
    """A usable polygon of a row, None where there is none; says what had to be done for it."""
    if shape is None or shape.is_empty:
        found.append(_finding("shape-missing", f"{which} has no shape", "left out", who))
        return None
    numbers = np.isfinite(shapely.get_coordinates(shape))
    if not numbers.all():
        spot = next(
            (shapely.Point(xy) for xy in shapely.get_coordinates(shape) if np.isfinite(xy).all()), None
        )
        found.append(
            _finding(
                "shape-broken", f"{which} has coordinates that are no numbers", "left out", who, place=spot
            )
        )
        return None
    if not shape.is_valid and tangled(shape):
        text = f"{which} crosses itself too often to be mended, or has too many corners"
        found.append(_finding("shape-tangled", text, "left out; draw it again", who, place=_first(shape)))
        return None
    mended = mend(shape)
    if mended is None:
        drawn = shape.geom_type.lower()
        what = f"is drawn as a {drawn}" if "polygon" not in drawn else "has no inside: its ring is a line"
        found.append(_finding("shape-not-area", f"{which} {what}", "left out", who, place=shape))
        return None
    if shape.geom_type == "GeometryCollection":
        found.append(
            _finding(
                "shape-mixed",
                f"{which} has points or lines beside its polygons",
                "only its polygons were kept",
                who,
                place=mended,
            )
        )
    if unclosed:
        found.append(
            _finding(
                "ring-open",
                f"{which} has a ring whose end is not its start",
                "closed with a straight line",
                who,
                place=mended.boundary,
            )
        )
    if not shape.is_valid:
        _crossing(which, who, shape, mended, found)
    _size(which, who, mended, found)
    return mended


def _first(shape: Any) -> Any:
    return shapely.Point(shapely.get_coordinates(shape)[0])


def _crossing(
    which: str, who: tuple[Kind, str | None], shape: Any, mended: Any, found: list[Finding]
) -> None:
    reason = shapely.is_valid_reason(shape)
    at = re.search(r"\[(\S+) (\S+)\]", reason)
    place = shapely.Point(float(at[1]), float(at[2])) if at else mended
    change = change_m2(shape, mended)
    small = abs(change) <= _MENDED_M2
    found.append(
        _finding(
            "shape-mended" if small else "shape-crossing",
            f"{which} is not a valid shape: {reason.split('[')[0].lower()}",
            f"rebuilt; its area changed by {change:+,.2f} m² to {area_m2(mended)[0]:,.0f} m²",
            who,
            place=place,
            size_m2=abs(change),
        )
    )


def _size(which: str, who: tuple[Kind, str | None], shape: Any, found: list[Finding]) -> None:
    low, high = _SIZES[who[0]]
    parts = shapely.get_parts(shape)
    sizes = area_m2(parts)
    whole = float(sizes.sum())
    if not low <= whole <= high:
        small = "small" if whole < low else "big"
        found.append(
            _finding(
                "size-unlikely",
                f"{which} has {_size_text(whole)}, very {small} for a {who[0]}",
                "kept",
                who,
                place=shape,
                size_m2=whole,
            )
        )
    tiny = sizes < _TINY_PART_M2
    if len(parts) > 1 and tiny.any():
        found.append(
            _finding(
                "part-tiny",
                f"{which} has {_count(int(tiny.sum()), 'part')} of less than 1 m² beside its others",
                "kept; they are probably left over from drawing",
                who,
                place=shapely.MultiPoint([part.representative_point() for part in parts[tiny]]),
                size_m2=float(sizes[tiny].sum()),
            )
        )
    west, south, east, north = shape.bounds
    left, low_lat, right, high_lat = GREAT_BRITAIN
    if east < left or west > right or north < low_lat or south > high_lat:
        found.append(
            _finding(
                "outside-britain",
                f"{which} lies outside Great Britain, at {west:.2f}°, {south:.2f}°",
                "kept",
                who,
                place=_spot(shape),
            )
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _size_text(size: float) -> str:
    if size >= 1e6:
        return f"{size / 1e6:,.2f} km²"
    return f"{size:,.0f} m²" if size >= 10 else f"{size:,.2f} m²"


def ungarbled(text: str) -> str | None:
    """What a text was before it was written in one encoding and read in another; None where it is whole.

    UTF-8 read as Windows-1252 (or Latin-1) leaves pairs such as ``Ã©`` that almost no name has. A text that
    is lost for good (a replacement character, a control character) comes back as it is.
    """
    for encoding in ("cp1252", "latin-1"):
        try:
            whole = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if whole != text:
            return whole
    lost = any(
        char == "\N{REPLACEMENT CHARACTER}" or 0x7F <= ord(char) < 0xA0 or ord(char) < 0x20 for char in text
    )
    return text if lost else None


def _name(
    which: str,
    who: tuple[Kind, str | None],
    name: str | None,
    *,
    named: bool,
    place: Any,
    found: list[Finding],
) -> str:
    if name is None:
        if named:
            found.append(
                _finding("name-missing", f"{which} has no name", "called by its id", who, place=place)
            )
        return who[1] or ""
    if unfit(ungarbled(name) or name):
        whole = "".join(char for char in ungarbled(name) or name if printable(char) == char)
        whole = whole.strip()[:LONGEST] or who[1] or ""
        what = (
            f"longer than {LONGEST} characters" if len(name) > LONGEST else "with characters that are no text"
        )
        text = f"{which} has a name {what}: {name[:40]!r}"
        found.append(_finding("name-unfit", text, f"read as {whole[:40]!r}", who, place=place))
        return whole
    read = ungarbled(name)
    if read is None:
        return name
    done = f"read as {read!r}" if read != name else "kept; type the name again in the file"
    found.append(
        _finding(
            "name-garbled", f"{which} has the name {name!r}, in a wrong encoding", done, who, place=place
        )
    )
    return read


def _look_alikes(rows: Sequence[Area], found: list[Finding]) -> None:
    """Ids that differ in spelling only, and names that stand for two areas."""
    if rows and all(row.name == row.area_id for row in rows):
        found.append(
            _finding("name-missing", "the file has no column with names", "areas are called by their ids")
        )
    by_id: dict[tuple[Kind, str], list[Area]] = defaultdict(list)
    by_name: dict[tuple[Kind, str], list[Area]] = defaultdict(list)
    for row in rows:
        by_id[row.kind, re.sub(r"[\W_]", "", row.area_id).lower()].append(row)
        by_name[row.kind, row.name.lower()].append(row)
    for code, groups, what in (("id-nearly-twice", by_id, "ids"), ("name-twice", by_name, "names")):
        for same in groups.values():
            if len(same) < 2:
                continue
            listed = " and ".join(row.area_id for row in same[:4])
            text = (
                f"{same[0].kind} ids {listed} differ in spelling only"
                if what == "ids"
                else f"{same[0].kind} {listed} are all called {same[0].name!r}"
            )
            places = shapely.MultiPoint([_spot(row.geometry) for row in same])
            who, mild = (
                (same[0].kind, same[0].area_id),
                what == "names" and same[0].kind is not Kind.NEIGHBOURHOOD,
            )
            found.append(_finding(code, text, "kept apart", who, place=places, severity=_N if mild else None))


# An area's own days and hours -----------------------------------------------------------------------------


def _when(
    which: str, who: tuple[Kind, str | None], attributes: Mapping[str, str], place: Any, found: list[Finding]
) -> None:
    for key, reads in (("days", days_of), ("hours", hours_of)):
        if key not in attributes:
            continue
        try:
            reads(attributes[key])
        except ValueError as error:
            found.append(
                _finding(
                    f"{key}-unreadable",
                    f"{which} has {key} that cannot be read: {error}",
                    "visits could not be told inside and outside its hours",
                    who,
                    place=place,
                )
            )


# Areas against each other ---------------------------------------------------------------------------------


_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 64, 1_000


def _against_each_other(areas: AreaSet, kind: Kind, found: list[Finding]) -> None:
    """Overlaps, and for neighbourhoods the gaps between them."""
    if len(areas) < 2:
        if len(areas) and kind is Kind.NEIGHBOURHOOD:
            _gaps(areas, found)
        return
    tree = shapely.STRtree(areas.geometry)
    wholes, overlaps, pairs = area_m2(areas.geometry), list[Finding](), 0
    for at in range(0, len(areas), _ROWS_AT_ONCE):
        one, other = tree.query(areas.geometry[at : at + _ROWS_AT_ONCE], predicate="intersects")
        # By id, so that the pairs and the winner come in order.
        one, other = (one + at)[one + at < other], other[one + at < other]
        pairs += len(one)
        for low in range(0, len(one), _PAIRS_AT_ONCE):
            some, others = one[low : low + _PAIRS_AT_ONCE], other[low : low + _PAIRS_AT_ONCE]
            shared = shapely.intersection(areas.geometry[some], areas.geometry[others])
            sizes = area_m2(shared).tolist()
            for a, b, piece, size in zip(some.tolist(), others.tolist(), shared, sizes, strict=True):
                if size > _IGNORED_M2:
                    whole = (size, float(wholes[a]), float(wholes[b]))
                    _overlap(areas, kind, (a, b), piece, whole, found=overlaps)
            if len(overlaps) > MOST_OVERLAPS or pairs > _MOST_PAIRS:
                raise _StopError(
                    "heaped",
                    f"more than {MOST_OVERLAPS} overlaps between areas of kind {kind}: the file holds "
                    "several layers of areas on top of each other; export only one of them",
                )
    found.extend(overlaps)
    if kind is Kind.NEIGHBOURHOOD:
        _gaps(areas, found)


def _overlap(
    areas: AreaSet,
    kind: Kind,
    pair: tuple[int, int],
    piece: Any,
    sizes: tuple[float, float, float],
    *,
    found: list[Finding],
) -> None:
    a, b = (areas.area_id[at] for at in pair)
    size, whole_a, whole_b = sizes
    loses = kind is not Kind.PRIORITY  # priority areas may overlap anything (rule 5)
    done = f"ground in both counts for {a}, the smaller id" if loses else "visits count in both"
    who, piece = (kind, a), _polygons(piece)
    more = {"place": piece, "size_m2": size}
    if size > 0.999 * max(whole_a, whole_b):
        text = f"{kind} {a} and {b} have the same shape"
        found.append(_finding("same-shape", text, done, who, **more, severity=None if loses else _W))
    elif size > 0.999 * min(whole_a, whole_b):
        inner, outer = (a, b) if whole_a < whole_b else (b, a)
        text = f"{kind} {inner} lies inside {outer}"
        severity = _E if kind is Kind.NEIGHBOURHOOD else _N if kind is Kind.PRIORITY else None
        found.append(_finding("one-inside-other", text, done, (kind, inner), **more, severity=severity))
    elif kind is not Kind.PRIORITY:
        thin = _hairline(piece, HAIRLINE_M)
        text = f"{kind} {a} and {b} overlap by {_size_text(size)}" + (", a hairline" if thin else "")
        code = "overlap-hairline" if thin else "overlap"
        severity = _W if kind is Kind.PREMISES else None
        found.append(_finding(code, text, done, who, **more, severity=severity))


def _polygons(shape: Any) -> Any:
    parts = [part for part in shapely.get_parts(shapely.get_parts([shape])) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0] if parts else shape


def _hairline(shape: Any, width_m: float) -> bool:
    """Whether a shape is nowhere wider than so many metres."""
    flat = metric(np.array([shape], dtype=object), centre_of(np.array([shape], dtype=object)))
    return bool(shapely.is_empty(shapely.buffer(flat[0], -width_m / 2)))


def _gaps(areas: AreaSet, found: list[Finding]) -> None:
    """Ground that neighbourhoods go round and none of them has."""
    whole = shapely.union_all(areas.geometry)
    tree = shapely.STRtree(areas.geometry)
    for part in shapely.get_parts(whole):
        for ring in part.interiors:
            hole = shapely.difference(shapely.Polygon(ring), whole)  # there may be islands in it
            size = float(area_m2(hole)[0])
            if size <= _IGNORED_M2:
                continue
            beside = [areas.area_id[at] for at in sorted(tree.query(hole, predicate="intersects").tolist())]
            thin = _hairline(hole, HAIRLINE_M)
            listed = " and ".join(beside[:3]) + (f" and {len(beside) - 3} more" if len(beside) > 3 else "")
            where = (
                f"between neighbourhoods {listed}" if len(beside) > 1 else f"inside neighbourhood {listed}"
            )
            text = f"{'a hairline' if thin else 'a gap'} of {_size_text(size)} {where}"
            found.append(
                _finding(
                    "gap-hairline" if thin else "gap",
                    text,
                    "time there counts as outside the force",
                    (Kind.NEIGHBOURHOOD, beside[0] if beside else None),
                    place=hole,
                    size_m2=size,
                )
            )


# Against the force and what is published ------------------------------------------------------------------


def _against_outline(areas: AreaSet, outline: Any, found: list[Finding]) -> None:
    if outline is None:
        return
    outside = shapely.difference(areas.geometry, outline)
    wholes, sizes = area_m2(areas.geometry), area_m2(outside)
    edge = 0.0
    for at, (kind, area_id) in enumerate(zip(areas.kind, areas.area_id, strict=True)):
        if sizes[at] <= _IGNORED_M2:
            continue
        parts = shapely.get_parts(outside[at])
        wide = [part for part in parts if not _hairline(part, OUTLINE_HAIRLINE_M)]
        size, who = float(area_m2(np.array(wide, dtype=object)).sum()) if wide else 0.0, (kind, area_id)
        edge += float(sizes[at]) - size
        if size >= 0.99 * wholes[at]:
            text = f"{kind} {area_id} lies outside the force"
            done = "officers of this force would not be counted there"
            found.append(_finding("outside-force", text, done, who, place=areas.geometry[at], size_m2=size))
        elif wide:
            text = f"{kind} {area_id} reaches {_size_text(size)} outside the force"
            place = _polygons(shapely.MultiPolygon(wide))
            found.append(_finding("partly-outside-force", text, "kept", who, place=place, size_m2=size))
    if edge > _IGNORED_M2:
        found.append(
            _finding(
                "outside-force-hairline",
                f"edges run beside the force's outline, {_size_text(edge)} in all outside it",
                "kept; nowhere more than a few metres",
                size_m2=edge,
            )
        )
    if Kind.NEIGHBOURHOOD in areas.kind:
        whole = shapely.union_all(areas.only(Kind.NEIGHBOURHOOD).geometry)
        # Gaps between neighbourhoods have had their findings already.
        filled = shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(whole)])
        left = shapely.difference(outline, filled)
        for part in shapely.get_parts(left):
            size = float(area_m2(part)[0])
            if size > _IGNORED_M2 and not _hairline(part, OUTLINE_HAIRLINE_M):
                text = f"{_size_text(size)} of the force belong to no neighbourhood"
                done = "time there counts as outside"
                found.append(_finding("force-uncovered", text, done, place=part, size_m2=size))


def _abroad(areas: AreaSet, found: list[Finding]) -> None:
    """One error in place of a warning an area, where most of the file lies outside Great Britain."""
    away = [finding for finding in found if finding.code == "outside-britain"]
    if 2 * len(away) <= len(areas):
        return
    found[:] = [finding for finding in found if finding.code != "outside-britain"]
    spot = next((finding.place for finding in away if finding.place is not None), None)
    where = "" if spot is None else f", the first at latitude {spot.y:.4f}, longitude {spot.x:.4f}"
    found.append(
        _finding(
            "abroad",
            f"{len(away):,} of {len(areas):,} areas lie outside Great Britain{where}",
            "the coordinate system is probably wrong: name the right one with --crs, or accept this for a "
            "force abroad",
            place=spot,
        )
    )


def _far_from_published(areas: AreaSet, against: AreaSet | None, found: list[Finding]) -> None:
    """An error where nothing of a file lies where the neighbourhoods published lie."""
    homes = None if against is None else against.only(Kind.NEIGHBOURHOOD)
    if homes is None or not len(homes) or (Kind.NEIGHBOURHOOD not in areas.kind and len(areas) < 2):
        return
    if any(finding.code == "abroad" for finding in found):
        return
    if shapely.intersects(areas.geometry, shapely.box(*shapely.total_bounds(homes.geometry))).any():
        return
    here, there = _spot(areas.geometry[0]), _spot(homes.geometry[0])
    found.append(
        _finding(
            "far-from-published",
            f"nothing in the file lies where the neighbourhoods published lie: it is at latitude "
            f"{here.y:.4f}, longitude {here.x:.4f}, they are at {there.y:.4f}, {there.x:.4f}",
            f"perhaps northing stands before easting: try --crs {BNG}{REVERSED}; or accept this if the "
            "force has moved",
            place=here,
        )
    )


def _against_published(areas: AreaSet, against: AreaSet | None, found: list[Finding]) -> None:
    """Priority areas and premises that no neighbourhood holds."""
    sets = [each.only(Kind.NEIGHBOURHOOD) for each in (areas, against) if each is not None]
    homes = next((each for each in sets if len(each)), None)
    if homes is None:
        return
    shapely.prepare(whole := shapely.union_all(homes.geometry))
    for kind, area_id, shape in zip(areas.kind, areas.area_id, areas.geometry, strict=True):
        if kind is not Kind.NEIGHBOURHOOD and not shapely.intersects(whole, shape):
            found.append(
                _finding(
                    "no-neighbourhood",
                    f"{kind} {area_id} lies in no neighbourhood",
                    "kept; nobody's patch has it",
                    (kind, area_id),
                    place=shape,
                )
            )


# Findings for people and programs -------------------------------------------------------------------------

COLUMNS = ("severity", "code", "kind", "area_id", "size_m2", "lon", "lat", "text", "done")
"""The columns of :func:`findings_rows`."""


def findings_rows(findings: Iterable[Finding]) -> list[dict[str, str | float | None]]:
    """Findings as rows for a table, with :data:`COLUMNS`; where one is, as a point in degrees."""
    rows: list[dict[str, str | float | None]] = []
    for finding in findings:
        spot = finding.place.representative_point() if _anywhere(finding.place) else None
        values: tuple[str | float | None, ...] = (
            str(finding.severity),
            finding.code,
            None if finding.kind is None else str(finding.kind),
            finding.area_id,
            None if finding.size_m2 is None else round(finding.size_m2, 2),
            None if spot is None else round(spot.x, 7),
            None if spot is None else round(spot.y, 7),
            finding.text,
            finding.done,
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _anywhere(place: Any) -> bool:
    return place is not None and not place.is_empty and bool(np.isfinite(place.bounds).all())


def findings_geojson(findings: Iterable[Finding]) -> str:
    """Findings as GeoJSON, to be laid over the areas in a GIS; the geometry is null where one is nowhere."""
    listed = list(findings)
    features = []
    for finding, row in zip(listed, findings_rows(listed), strict=True):
        place = shapely.geometry.mapping(finding.place) if _anywhere(finding.place) else None
        features.append({"type": "Feature", "properties": row, "geometry": place})
    return json.dumps(
        {"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False
    )


_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:75rem;padding:0 1rem;color:#14213d}
h1{font-size:1.6rem;overflow-wrap:anywhere}
svg{background:#f4f6f8;border:1px solid #c9d1d9}svg.whole{width:100%;height:auto;max-height:55vh}
svg.near{width:11rem;height:11rem}path,circle{vector-effect:non-scaling-stroke}
.area{fill:#fff;stroke:#5b6b7b;stroke-width:1}.error{fill:#d0021b55;stroke:#d0021b;stroke-width:2}
.warning{fill:#e0860055;stroke:#b86a00;stroke-width:2}.note{fill:#1f6fb255;stroke:#1f6fb2;stroke-width:2}
td,th{text-align:left;vertical-align:top;padding:.5rem;border-top:1px solid #c9d1d9}
table{border-collapse:collapse;width:100%}@media(max-width:40rem){thead{display:none}
td{display:block;border:0;padding:.15rem 0}tr{display:block;border-top:1px solid #c9d1d9;padding:.5rem 0}}
.tag{color:#fff;border-radius:.2rem;padding:.1rem .4rem}
.tag.error{background:#b00117}.tag.warning{background:#8f5200}.tag.note{background:#1b5e96}
"""


def findings_html(checked: Checked, title: str, below: AreaSet | None = None) -> str:
    """The findings on a map, as one page that needs nothing from anywhere: no script, no request.

    Args:
        checked: what :func:`check` gave.
        title: the heading, say the file's name.
        below: areas to draw under those of the file, say the neighbourhoods published.
    """
    shapes = [] if checked.areas is None else list(checked.areas.geometry)
    names = [] if checked.areas is None else list(zip(checked.areas.area_id, checked.areas.name, strict=True))
    # What lies far away would make all others too small to see; its own close view still shows it.
    far = {(f.kind, f.area_id) for f in checked.findings if f.code in ("outside-force", "outside-britain")}
    kinds = [] if checked.areas is None else checked.areas.kind
    near_by = [
        shape
        for kind, (ident, _), shape in zip(kinds, names, shapes, strict=True)
        if (kind, ident) not in far
    ]
    places = [finding.place for finding in checked.findings if _anywhere(finding.place)]
    frame = _Frame.around(near_by or shapes or places)
    base = "".join(
        f'<path class="area" d="{frame.path(shape)}"><title>{html.escape(f"{ident} {name}")}</title></path>'
        for (ident, name), shape in (
            *(((row.area_id, row.name), row.geometry) for row in (below.areas() if below else ())),
            *zip(names, shapes, strict=True),
        )
    )
    marks, rows = [], []
    for number, finding in enumerate(checked.findings, 1):
        near = "nowhere on the map"
        if _anywhere(finding.place):
            lines = f'<path class="{finding.severity}" d="{frame.path(finding.place)}"/>'
            view, width = frame.near(finding.place)
            spots = frame.spots(finding.place, 3.0, str(finding.severity), seen=4.0)
            marks.append(f'<a href="#f{number}">{lines}{spots}<title>{html.escape(finding.text)}</title></a>')
            spots = frame.spots(finding.place, 0.02 * width, str(finding.severity))
            near = f'<svg class="near" viewBox="{view}"><use href="#areas"/>{lines}{spots}</svg>'
        rows.append(
            f'<tr id="f{number}"><td>{number}</td><td>'
            f'<span class="tag {finding.severity}">{finding.severity}</span>'
            f"<br>{html.escape(finding.code)}</td><td>{html.escape(finding.text)}<br><small>"
            f"{html.escape(finding.done)}</small></td><td>{near}</td></tr>"
        )
    verdict = "must not be published as it is" if checked.stops else "may be published"
    counts = ", ".join(
        _count(sum(finding.severity is each for finding in checked.findings), str(each)) for each in Severity
    )
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<p>{_count(len(shapes), 'area')}, {counts}: it {verdict}.</p>"
        f'<svg class="whole" role="img" aria-label="Map of the areas and findings" viewBox="{frame.view}">'
        f'<g id="areas">{base}</g>{"".join(reversed(marks))}</svg>'
        "<table><thead><tr><th>No.<th>How bad<th>What<th>Where</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        "</body></html>\n"
    )


class _Frame(Frame):
    """A drawing with dots for what is too small to be seen, and close-ups."""

    __slots__ = ()

    def spots(self, shape: Any, radius: float, style: str, *, seen: float = 0.0) -> str:
        """Dots for points; a ring around any other shape that is smaller than what can be seen."""
        points = [part for part in shapely.get_parts(shapely.get_parts([shape])) if part.geom_type == "Point"]
        if points:
            centres = self.xy(shapely.MultiPoint(points))
        else:
            xy = self.xy(shape)
            centres = (xy.min(axis=0) + xy.max(axis=0))[np.newaxis] / 2
            if float(np.ptp(xy, axis=0).max()) >= seen:
                return ""
        return "".join(
            f'<circle class="{style}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"/>' for x, y in centres
        )

    def near(self, shape: Any) -> tuple[str, float]:
        """A square view of a shape with some ground around it, and how wide it is."""
        xy = self.xy(shape)
        low, high = xy.min(axis=0), xy.max(axis=0)
        (x, y), width = (low + high) / 2, max(6.0, 1.6 * float((high - low).max()))
        return f"{x - width / 2:.2f} {y - width / 2:.2f} {width:.2f} {width:.2f}", width
