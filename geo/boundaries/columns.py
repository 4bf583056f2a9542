"""Which columns of a boundary file hold id, name and kind."""

from __future__ import annotations

import re

from geo.areas import Kind
from geo.boundaries.layer import AreaFileError, RawLayer

_FOUND = {
    "id": ("area_id", "id", "code", r"wd\d\dcd", r"[a-z]{2,6}\d\dcd"),
    "name": ("name", r"wd\d\dnm", r"[a-z]{2,6}\d\dnm"),
}


# What KML readers add to every placemark.
_KML_OWN = frozenset(
    {"description", "timestamp", "begin", "end", "altitudemode", "tessellate", "extrude", "visibility"}
    | {"draworder", "icon", "snippet"}
)


def find_column(raw: RawLayer, what: str, named: str | None = None) -> str | None:
    """Which column holds the ids or the names.

    Args:
        raw: the layer.
        what: ``id`` or ``name``.
        named: the column that an option names, if one does; upper and lower case are alike.

    Returns:
        The column as the file spells it; None where there are no names.

    Raises:
        AreaFileError: the column named does not exist, several would do, or no id is found.
    """
    shown = ", ".join(raw.columns) or "none"
    if named is not None:
        for name in (*[c for c in raw.columns if c == named], *raw.columns):
            if name.lower() == named.lower():
                return name
        raise AreaFileError(f"{raw.source}: has no column {named!r}; its columns are: {shown}")
    patterns = _FOUND[what]
    if what == "id" and raw.driver in ("KML", "LIBKML"):
        # The format's own id of a placemark is usually a number that the last program made up.
        patterns = (*[pattern for pattern in patterns if pattern != "id"], "id")
    filled = [name for name in raw.columns if any(column(raw, name))]
    for names in (filled, raw.columns):  # an empty column only where there is no better one
        for pattern in patterns:
            hits = [name for name in names if re.fullmatch(pattern, name.lower())]
            if len(hits) == 1:
                return hits[0]
            if hits:
                listed = " and ".join(hits)
                raise AreaFileError(
                    f"{raw.source}: {listed} may both hold the {what}; choose with --{what}-column"
                )
    if what == "id":
        raise AreaFileError(
            f"{raw.source}: has no recognised id column; name it with --id-column, its columns are: {shown}"
        )
    return None


def column(raw: RawLayer, name: str | None) -> tuple[str | None, ...]:
    """A column's texts without blanks around them, None where there is nothing; all None for no column."""
    if name is None:
        return (None,) * len(raw)
    return tuple((text or "").strip() or None for text in raw.values[raw.columns.index(name)])


def kinds_of(raw: RawLayer, kind: Kind | None) -> tuple[Kind, ...]:
    """What each row is for: as given, otherwise as its own ``kind`` column says.

    Raises:
        AreaFileError: neither says so, or a row has an unknown kind.
    """
    if kind is not None:
        return (Kind(kind),) * len(raw)
    choice = "|".join(Kind)
    own = next((name for name in raw.columns if name.lower() == "kind"), None)
    if own is None:
        raise AreaFileError(f"{raw.source}: does not say what its areas are for; give --kind {choice}")
    kinds = []
    for at, text in enumerate(column(raw, own)):
        if (text or "").lower() not in tuple(Kind):
            raise AreaFileError(
                f"{raw.source}: row {at + 1} has the kind {text or ''!r}; it must be {choice}, or give --kind"
            )
        kinds.append(Kind((text or "").lower()))
    return tuple(kinds)


def attributes_of(
    raw: RawLayer, id_column: str | None = None, name_column: str | None = None
) -> tuple[dict[str, str], ...]:
    """Every other column of each row, as texts, blanks left out; issue, days, hours and use in lower case."""
    taken = {"kind"}
    for what, named in (("id", id_column), ("name", name_column)):
        found = find_column(raw, what, named)
        taken |= {found.lower()} if found else set()
    if raw.driver in ("KML", "LIBKML"):
        taken |= _KML_OWN | {"id"}
    rows: tuple[dict[str, str], ...] = tuple({} for _ in range(len(raw)))
    for name in raw.columns:
        if name.lower() in taken:
            continue
        key = name.lower() if name.lower() in ("issue", "days", "hours", "use") else name
        for row, text in zip(rows, column(raw, name), strict=True):
            if text is not None:
                row.setdefault(key, text)
    return rows
