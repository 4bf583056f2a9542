"""What is checked of each area by itself."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.areas import Area, Kind
from geo.boundaries.columns import attributes_of, column, find_column, kinds_of
from geo.boundaries.crs import (
    GREAT_BRITAIN,
    area_m2,
)
from geo.boundaries.findings import NOTE, Findings, UnusableFileError, area_words, counted
from geo.boundaries.layer import LONGEST, AreaFileError, RawLayer, printable, unfit
from geo.boundaries.shapes import change_m2, mend, tangled
from geo.hours import days_of, hours_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


_TINY_PART_M2 = 1.0
_MENDED_M2 = 1.0  # a repair that moves less area than this changes nothing that matters

_SIZES: Mapping[Kind, tuple[float, float]] = {
    Kind.NEIGHBOURHOOD: (10_000.0, 2_000e6),
    Kind.PRIORITY: (100.0, 50e6),
    Kind.PREMISES: (20.0, 1e6),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file, of which things are found.

    Attributes:
        which: what it is called in findings.
        kind, area_id: of its area, as far as they are known.
    """

    which: str
    kind: Kind
    area_id: str | None
    found: Findings

    def say(self, code: str, text: str, done: str, place: Any = None, size_m2: float | None = None) -> None:
        """Adds a finding; its text goes on after the row's name."""
        who = (self.kind, self.area_id)
        self.found.add(code, f"{self.which} {text}", done, who, place=place, size_m2=size_m2)


def areas_of_rows(
    raw: RawLayer,
    kind: Kind | None,
    shapes: NDArray[np.object_],
    *,
    id_column: str | None,
    name_column: str | None,
    found: Findings,
) -> list[Area]:
    """The rows that are areas, each checked by itself; what is wrong is appended to ``found``."""
    try:
        ids = column(raw, find_column(raw, "id", id_column))
        names = column(raw, find_column(raw, "name", name_column))
        attributes = attributes_of(raw, id_column, name_column)
    except AreaFileError as error:
        raise UnusableFileError("columns-unknown", str(error)) from error
    try:
        kinds = kinds_of(raw, kind)
    except AreaFileError as error:
        raise UnusableFileError("kind-unknown", str(error)) from error
    if kind is not None:
        _other_kinds(raw, kind, found)
    named = any(name is not None for name in names)
    rows: list[Area] = []
    taken: dict[tuple[Kind, str], int] = {}
    for at, shape in enumerate(shapes):
        row = _Row(f"{kinds[at]} {ids[at]}" if ids[at] else f"row {at + 1}", kinds[at], ids[at], found)
        area_id = ids[at] or ""
        if unfit(area_id):
            what = f"longer than {LONGEST} characters" if len(area_id) > LONGEST else "that is not text"
            text = f"row {at + 1} has an id {what}: {area_id[:40]!r}"
            found.add("id-unfit", text, "left out", (kinds[at], None))
            continue
        if not area_id:
            row.say("id-missing", "has no id", "left out", spot_of(mend(shape)))
        usable = _shape(row, shape, unclosed=bool(raw.unclosed[at]))
        if area_id and (kinds[at], area_id) in taken:
            text = f"rows {taken[kinds[at], area_id] + 1} and {at + 1} both are {row.which}"
            who = (kinds[at], area_id)
            found.add("id-twice", text, "the later row was left out", who, place=spot_of(usable))
        elif area_id:
            taken[kinds[at], area_id] = at
            if usable is not None:
                name = _name(row, names[at], named=named, place=spot_of(usable))
                rows.append(Area(kinds[at], area_id, name, usable, attributes[at]))
                if kinds[at] is Kind.PRIORITY:
                    _when(row, attributes[at], spot_of(usable))
    _look_alikes(rows, found)
    return rows


def spot_of(shape: Any) -> Any:
    """A point inside a shape, to show where a finding is; None where there is no shape."""
    return None if shape is None else shape.representative_point()


def _other_kinds(raw: RawLayer, kind: Kind, found: Findings) -> None:
    own = next((name for name in raw.columns if name.lower() == "kind"), None)
    others = {text for text in column(raw, own) if text is not None and text.lower() != kind}
    if others:
        found.add(
            "kind-replaced",
            f"the file calls some of its areas {', '.join(sorted(others)[:5])}",
            f"all of them were taken as {kind} as instructed",
        )


def _shape(row: _Row, shape: Any, *, unclosed: bool) -> Any:
    """A usable polygon of a row, None where there is none; reports what had to be repaired."""
    if shape is None or shape.is_empty:
        row.say("shape-missing", "has no shape", "left out")
        return None
    xy = shapely.get_coordinates(shape)
    sound = np.isfinite(xy).all(axis=1)
    if not sound.all():
        spot = shapely.Point(xy[sound][0]) if sound.any() else None
        row.say("shape-broken", "has coordinates that are not numbers", "left out", spot)
        return None
    if not shape.is_valid and tangled(shape):
        text = "crosses itself too often to be mended, or has too many vertices"
        row.say("shape-tangled", text, "left out; draw it again", shapely.Point(xy[0]))
        return None
    mended = mend(shape)
    if mended is None:
        drawn = shape.geom_type.lower()
        what = f"is drawn as a {drawn}" if "polygon" not in drawn else "has no inside: its ring is a line"
        row.say("shape-not-area", what, "left out", shape)
        return None
    if shape.geom_type == "GeometryCollection":
        text = "has points or lines beside its polygons"
        row.say("shape-mixed", text, "only its polygons were kept", mended)
    if unclosed:
        text = "has a ring whose end is not its start"
        row.say("ring-open", text, "closed with a straight line", mended.boundary)
    if not shape.is_valid:
        _crossing(row, shape, mended)
    _size(row, mended)
    return mended


def _crossing(row: _Row, shape: Any, mended: Any) -> None:
    reason = shapely.is_valid_reason(shape)
    at = re.search(r"\[(\S+) (\S+)\]", reason)
    place = shapely.Point(float(at[1]), float(at[2])) if at else mended
    change = change_m2(shape, mended)
    code = "shape-mended" if abs(change) <= _MENDED_M2 else "shape-crossing"
    text = f"is not a valid shape: {reason.split('[')[0].lower()}"
    done = f"rebuilt; its area changed by {change:+,.2f} m² to {area_m2(mended)[0]:,.0f} m²"
    row.say(code, text, done, place, abs(change))


def _size(row: _Row, shape: Any) -> None:
    low, high = _SIZES[row.kind]
    parts = shapely.get_parts(shape)
    sizes = area_m2(parts)
    whole = float(sizes.sum())
    if not low <= whole <= high:
        text = f"has {area_words(whole)}, very {'small' if whole < low else 'big'} for a {row.kind}"
        row.say("size-unlikely", text, "kept", shape, whole)
    tiny = sizes < _TINY_PART_M2
    if len(parts) > 1 and tiny.any():
        text = f"has {counted(int(tiny.sum()), 'part')} of less than 1 m² beside its others"
        done = "kept; they are probably left over from drawing"
        spots = shapely.MultiPoint([spot_of(part) for part in parts[tiny]])
        row.say("part-tiny", text, done, spots, float(sizes[tiny].sum()))
    west, south, east, north = shape.bounds
    left, low_lat, right, high_lat = GREAT_BRITAIN
    if east < left or west > right or north < low_lat or south > high_lat:
        text = f"lies outside Great Britain, at {west:.2f}°, {south:.2f}°"
        row.say("outside-britain", text, "kept", spot_of(shape))


def ungarbled(text: str) -> str | None:
    """What a text was before it was written in one encoding and read in another; None where it is intact.

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


def _name(row: _Row, name: str | None, *, named: bool, place: Any) -> str:
    own = row.area_id or ""
    if name is None:
        if named:
            row.say("name-missing", "has no name", "called by its id", place)
        return own
    read = ungarbled(name)
    if unfit(read or name):
        whole = "".join(char for char in read or name if printable(char) == char).strip()[:LONGEST] or own
        long = len(name) > LONGEST
        what = f"longer than {LONGEST} characters" if long else "with characters that are not text"
        row.say("name-unfit", f"has a name {what}: {name[:40]!r}", f"read as {whole[:40]!r}", place)
        return whole
    if read is None:
        return name
    done = f"read as {read!r}" if read != name else "kept; type the name again in the file"
    row.say("name-garbled", f"has the name {name!r}, in a wrong encoding", done, place)
    return read


def _look_alikes(rows: Sequence[Area], found: Findings) -> None:
    """Ids that differ in spelling only, and names that stand for two areas."""
    if rows and all(row.name == row.area_id for row in rows):
        found.add("name-missing", "the file has no column with names", "areas are called by their ids")
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
            places = shapely.MultiPoint([spot_of(row.geometry) for row in same])
            who, mild = (
                (same[0].kind, same[0].area_id),
                what == "names" and same[0].kind is not Kind.NEIGHBOURHOOD,
            )
            found.add(code, text, "kept apart", who, place=places, severity=NOTE if mild else None)


def _when(row: _Row, attributes: Mapping[str, str], place: Any) -> None:
    for key, reads in (("days", days_of), ("hours", hours_of)):
        try:
            if key in attributes:
                reads(attributes[key])
        except ValueError as error:
            done = "visits could not be told inside and outside its hours"
            row.say(f"{key}-unreadable", f"has {key} that cannot be read: {error}", done, place)
