"""What is checked of each area by itself."""

from __future__ import annotations

import re
from collections import defaultdict
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
        who = (kinds[at], ids[at])
        which = f"{kinds[at]} {ids[at]}" if ids[at] else f"row {at + 1}"
        if unfit(ids[at] or ""):
            who = (kinds[at], None)
            what = f"longer than {LONGEST} characters" if len(ids[at] or "") > LONGEST else "that is not text"
            text = f"row {at + 1} has an id {what}: {(ids[at] or '')[:40]!r}"
            found.add("id-unfit", text, "left out", who)
            continue
        if ids[at] is None:
            found.add("id-missing", f"{which} has no id", "left out", who, place=spot_of(mend(shape)))
        usable = _shape(which, who, shape, unclosed=bool(raw.unclosed[at]), found=found)
        if ids[at] is not None and (kinds[at], ids[at]) in taken:
            first = taken[kinds[at], ids[at] or ""] + 1
            found.add(
                "id-twice",
                f"rows {first} and {at + 1} both are {which}",
                "the later row was left out",
                who,
                place=spot_of(usable),
            )
        elif ids[at] is not None:
            taken[kinds[at], ids[at] or ""] = at
            if usable is not None:
                name = _name(which, who, names[at], named=named, place=spot_of(usable), found=found)
                rows.append(Area(kinds[at], ids[at] or "", name, usable, attributes[at]))
                if kinds[at] is Kind.PRIORITY:
                    _when(which, who, attributes[at], spot_of(usable), found)
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


def _shape(which: str, who: tuple[Kind, str | None], shape: Any, *, unclosed: bool, found: Findings) -> Any:
    """A usable polygon of a row, None where there is none; reports what had to be repaired."""
    if shape is None or shape.is_empty:
        found.add("shape-missing", f"{which} has no shape", "left out", who)
        return None
    numbers = np.isfinite(shapely.get_coordinates(shape))
    if not numbers.all():
        spot = next(
            (shapely.Point(xy) for xy in shapely.get_coordinates(shape) if np.isfinite(xy).all()), None
        )
        found.add(
            "shape-broken", f"{which} has coordinates that are not numbers", "left out", who, place=spot
        )
        return None
    if not shape.is_valid and tangled(shape):
        text = f"{which} crosses itself too often to be mended, or has too many vertices"
        found.add("shape-tangled", text, "left out; draw it again", who, place=_first(shape))
        return None
    mended = mend(shape)
    if mended is None:
        drawn = shape.geom_type.lower()
        what = f"is drawn as a {drawn}" if "polygon" not in drawn else "has no inside: its ring is a line"
        found.add("shape-not-area", f"{which} {what}", "left out", who, place=shape)
        return None
    if shape.geom_type == "GeometryCollection":
        found.add(
            "shape-mixed",
            f"{which} has points or lines beside its polygons",
            "only its polygons were kept",
            who,
            place=mended,
        )
    if unclosed:
        found.add(
            "ring-open",
            f"{which} has a ring whose end is not its start",
            "closed with a straight line",
            who,
            place=mended.boundary,
        )
    if not shape.is_valid:
        _crossing(which, who, shape, mended, found)
    _size(which, who, mended, found)
    return mended


def _first(shape: Any) -> Any:
    return shapely.Point(shapely.get_coordinates(shape)[0])


def _crossing(which: str, who: tuple[Kind, str | None], shape: Any, mended: Any, found: Findings) -> None:
    reason = shapely.is_valid_reason(shape)
    at = re.search(r"\[(\S+) (\S+)\]", reason)
    place = shapely.Point(float(at[1]), float(at[2])) if at else mended
    change = change_m2(shape, mended)
    small = abs(change) <= _MENDED_M2
    found.add(
        "shape-mended" if small else "shape-crossing",
        f"{which} is not a valid shape: {reason.split('[')[0].lower()}",
        f"rebuilt; its area changed by {change:+,.2f} m² to {area_m2(mended)[0]:,.0f} m²",
        who,
        place=place,
        size_m2=abs(change),
    )


def _size(which: str, who: tuple[Kind, str | None], shape: Any, found: Findings) -> None:
    low, high = _SIZES[who[0]]
    parts = shapely.get_parts(shape)
    sizes = area_m2(parts)
    whole = float(sizes.sum())
    if not low <= whole <= high:
        small = "small" if whole < low else "big"
        found.add(
            "size-unlikely",
            f"{which} has {area_words(whole)}, very {small} for a {who[0]}",
            "kept",
            who,
            place=shape,
            size_m2=whole,
        )
    tiny = sizes < _TINY_PART_M2
    if len(parts) > 1 and tiny.any():
        found.add(
            "part-tiny",
            f"{which} has {counted(int(tiny.sum()), 'part')} of less than 1 m² beside its others",
            "kept; they are probably left over from drawing",
            who,
            place=shapely.MultiPoint([part.representative_point() for part in parts[tiny]]),
            size_m2=float(sizes[tiny].sum()),
        )
    west, south, east, north = shape.bounds
    left, low_lat, right, high_lat = GREAT_BRITAIN
    if east < left or west > right or north < low_lat or south > high_lat:
        found.add(
            "outside-britain",
            f"{which} lies outside Great Britain, at {west:.2f}°, {south:.2f}°",
            "kept",
            who,
            place=spot_of(shape),
        )


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


def _name(
    which: str,
    who: tuple[Kind, str | None],
    name: str | None,
    *,
    named: bool,
    place: Any,
    found: Findings,
) -> str:
    if name is None:
        if named:
            found.add("name-missing", f"{which} has no name", "called by its id", who, place=place)
        return who[1] or ""
    if unfit(ungarbled(name) or name):
        whole = "".join(char for char in ungarbled(name) or name if printable(char) == char)
        whole = whole.strip()[:LONGEST] or who[1] or ""
        what = (
            f"longer than {LONGEST} characters"
            if len(name) > LONGEST
            else "with characters that are not text"
        )
        text = f"{which} has a name {what}: {name[:40]!r}"
        found.add("name-unfit", text, f"read as {whole[:40]!r}", who, place=place)
        return whole
    read = ungarbled(name)
    if read is None:
        return name
    done = f"read as {read!r}" if read != name else "kept; type the name again in the file"
    found.add("name-garbled", f"{which} has the name {name!r}, in a wrong encoding", done, who, place=place)
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


def _when(
    which: str, who: tuple[Kind, str | None], attributes: Mapping[str, str], place: Any, found: Findings
) -> None:
    for key, reads in (("days", days_of), ("hours", hours_of)):
        if key not in attributes:
            continue
        try:
            reads(attributes[key])
        except ValueError as error:
            found.add(
                f"{key}-unreadable",
                f"{which} has {key} that cannot be read: {error}",
                "visits could not be told inside and outside its hours",
                who,
                place=place,
            )
