"""Which column of a tracker's export is which of our fields: a TOML file, and rows read by it.

A mapping is declared by a person; what is drafted by guessing is only ever a proposal. Each row becomes a
position or a refusal with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from geo.boundaries.layer import printable
from stream.core.calendar import rfc3339
from stream.core.events import KNOT, says_fix, text_fault
from stream.core.toml import TomlError, toml
from stream.files.doctor.clocks import read_clock
from stream.files.doctor.coordinates import (
    angle_of,
    degrees_of_grid,
    metres_of,
    minutes_of,
    number_of,
    point_of,
)
from stream.files.foreign import ForeignError, blank, nothing, text_of
from stream.files.roster.mapping import toml_value
from stream.files.roster.times import RefusedRowError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.files.foreign import Cell, ForeignRow, ForeignTable

SPEEDS: Final = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 1609.344 / 3600, "knots": KNOT}
"""Metres a second in one of each unit."""
_QUALITY: Final = {"2": True, "3": True, "4": True, "5": True, "6": False, "7": False, "8": False, "9": True}
"""GGA's fix quality above 1, which fleet systems hand on as a number: 6 to 8 were not seen by satellites."""
NO_FIX: Final = "the tracker says that it had no fix"
NEITHER: Final = "validity that says neither yes nor no"
"""Reasons for which rows are left out by their column of validity (rule 2a)."""
COLUMNS: Final = ("device_id", "time", "lon", "lat", "error_m", "speed_mps", "heading_deg", "kind")
"""Of the CSV that positions are written as."""


def fix_of(cell: Cell) -> bool | None:
    """Whether a cell of validity says that there was a fix (rule 2a); None where neither yes nor no."""
    said = text_of(cell)
    return _QUALITY[said] if said in _QUALITY else says_fix(said)


class PositionMapError(ValueError):
    """A mapping of positions cannot be used; the message says which key and what to do."""


class PositionColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our field = their column.

    Attributes:
        device_id: the column of ids; empty where ``device`` of the form says it.
        time: one column, or that of the date and that of the time of day.
        lon, lat: degrees; or eastings (lon) and northings (lat) where the form is ``grid``.
        point: both in one column: ``POINT (lon lat)``, a grid reference, ``lat, lon``.
        error_m: metres.
        speed, heading: speed in the form's unit; heading in degrees.
        valid: a column that says whether there was a fix.
        lon_side, lat_side: columns of one letter, ``E`` or ``W``, ``N`` or ``S``.
    """

    device_id: str = ""
    time: tuple[str, ...] = ()
    lon: str = ""
    lat: str = ""
    point: str = ""
    error_m: str = ""
    speed: str = ""
    heading: str = ""
    valid: str = ""
    lon_side: str = ""
    lat_side: str = ""

    def used(self) -> dict[str, tuple[str, ...]]:
        """The columns that are read, by field."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: value if isinstance(value, tuple) else (value,) for name, value in named.items() if value
        }


class PositionForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How values are written.

    Attributes:
        device: the one device's id, where no column has it.
        kind: what the devices are.
        coordinates: ``degrees``; ``degrees-minutes`` as receivers write, ``5238.214``; ``grid``: metres of
            British National Grid.
        point: which comes first in a pair of ``columns.point``.
        scale: by what coordinates are multiplied to be degrees: 0.0000001 of 526369000.
        lon_sign: -1 where longitudes west of Greenwich lost their sign.
        speed: the unit of speed.
        zone: of times without an offset.
        dates: which comes first in ``03/04/2026``.
        numbers: what a bare number is as a time; empty: none is taken. ``days``: Excel's.
    """

    device: str = ""
    kind: Literal["radio", "vehicle"] = "radio"
    coordinates: Literal["degrees", "degrees-minutes", "grid"] = "degrees"
    point: Literal["lat-lon", "lon-lat"] = "lat-lon"
    scale: float = 1.0
    lon_sign: Literal[1, -1] = 1
    speed: Literal["m/s", "km/h", "mph", "knots"] = "m/s"
    zone: str = "Europe/London"
    dates: Literal["day-first", "month-first"] = "day-first"
    numbers: Literal["", "unix-s", "unix-ms", "unix-us", "unix-ns", "days"] = ""


class PositionRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the table stands.

    Attributes:
        sheet: of a workbook; empty for the first that has rows.
        header: the row of the columns' names; 0 to find it.
        delimiter: of a text; empty to find it.
    """

    sheet: str = ""
    header: int = 0
    delimiter: str = ""


class PositionMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping: TOML tables ``[positions]``, ``[form]`` and ``[rows]``."""

    positions: PositionColumns
    form: PositionForm = PositionForm()
    rows: PositionRows = PositionRows()


@dataclass(frozen=True, slots=True)
class MappedPosition:
    """A row as a position: the fields of a position event, NaN where there is none."""

    number: int
    device_id: str
    time: int
    lon: float
    lat: float
    error_m: float
    speed_mps: float
    heading_deg: float


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that does not fit: its number as in the file, a reason in words, and what stands there."""

    number: int
    reason: str
    detail: str


def parse_position_map(text: str) -> PositionMapping:
    """Reads a mapping.

    Raises:
        PositionMapError: it is no TOML, or a key or value is not known.
    """
    try:
        raw = toml(text)
        if isinstance(time := raw.get("positions", {}).get("time"), str):
            raw["positions"]["time"] = [time]
        mapping = msgspec.convert(raw, PositionMapping)
    except TomlError as failure:
        raise PositionMapError(f"the mapping is not TOML: {failure}") from failure
    except (msgspec.ValidationError, AttributeError, TypeError) as failure:
        raise PositionMapError(f"the mapping cannot be used: {failure}") from failure
    columns = mapping.positions
    if not columns.time:
        raise PositionMapError("positions.time is missing: say which column has the time")
    if not columns.point and not (columns.lon and columns.lat):
        raise PositionMapError("positions.lon and positions.lat are missing, or positions.point")
    if not columns.device_id and not mapping.form.device:
        raise PositionMapError(
            'positions.device_id is missing: name the column with the ids, or write form.device = "…"'
        )
    try:
        ZoneInfo(mapping.form.zone)
    except (KeyError, ValueError, OSError):
        raise PositionMapError(
            f"form.zone {mapping.form.zone!r} is no time zone: write Europe/London or UTC"
        ) from None
    return mapping


def position_map_text(mapping: PositionMapping, comments: Sequence[str] = ()) -> str:
    """A mapping as TOML, comments first; :func:`parse_position_map` reads it back."""
    lines = [f"# {printable(' '.join(comment.split()))}" for comment in comments]
    for name in mapping.__struct_fields__:
        struct = getattr(mapping, name)
        fields = {
            key: getattr(struct, key)
            for key, default in zip(struct.__struct_fields__, struct.__struct_defaults__, strict=True)
            if getattr(struct, key) != default
        }
        if name == "form":
            # These are said even where they are as usual: a person should look at them.
            fields |= {"kind": struct.kind, "zone": struct.zone}
            if mapping.positions.speed:
                fields["speed"] = struct.speed
        if fields:
            lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in fields.items())]
    return "\n".join(lines).strip("\n") + "\n"


def map_positions(
    table: ForeignTable, mapping: PositionMapping, rows: Sequence[ForeignRow] | None = None
) -> tuple[list[MappedPosition], list[Misfit]]:
    """Reads the rows of a table by a mapping.

    Args:
        table: the table.
        mapping: which column is what.
        rows: some of its rows; None for all.

    Returns:
        The positions and the rows that do not fit, each in the file's order. A time in the hour that comes
        twice in autumn is refused: nothing in the row tells which of the two was meant.

    Raises:
        ForeignError: the table lacks a column that the mapping names.
    """
    reader = _Reader(table, mapping)
    found: list[MappedPosition] = []
    misfits: list[Misfit] = []
    grid: list[int] = []  # which of them are not degrees yet
    for row in table.rows if rows is None else rows:
        try:
            item, of_grid = reader.position(row)
        except RefusedRowError as failure:
            misfits.append(Misfit(row.number, failure.reason, str(failure)))
            continue
        grid += [len(found)] * of_grid
        found.append(item)
    if grid:
        lon, lat = degrees_of_grid([found[at].lon for at in grid], [found[at].lat for at in grid])
        for at, x, y in zip(grid, lon.tolist(), lat.tolist(), strict=True):
            item = found[at]
            if math.isnan(x) or math.isnan(y):
                where = f"easting {item.lon:g}, northing {item.lat:g}"
                misfits.append(Misfit(item.number, "outside the grid", where))
            found[at] = replace(item, lon=x, lat=y)
    return [item for item in found if not math.isnan(item.lon)], sorted(misfits, key=lambda each: each.number)


class _Reader:
    def __init__(self, table: ForeignTable, mapping: PositionMapping) -> None:
        at = {name: number for number, name in enumerate(table.columns)}
        self._form = mapping.form
        used = mapping.positions.used()
        for name in (*used.pop("time"), *(name for names in used.values() for name in names)):
            if name not in at:
                listed = ", ".join(repr(each) for each in table.columns[:40])
                raise ForeignError(f"{table.name}: has no column {name!r}; its columns are {listed}")
        self._time = tuple(at[name] for name in mapping.positions.time)
        self._at = {field: at[name] for field, (name,) in used.items()}

    def position(self, row: ForeignRow) -> tuple[MappedPosition, bool]:
        """A row, and whether its coordinates are still those of the grid."""
        cells, form = row.cells, self._form
        if row.extra:
            raise RefusedRowError(
                "more cells than the header", f"{len(row.extra)} too many: {text_of(row.extra[0])!r}"
            )
        device = form.device or text_of(cells[self._at["device_id"]])
        if not form.device and nothing(cells[self._at["device_id"]]):
            # The rows of many devices would become the track of one that is called "NULL".
            raise RefusedRowError("no device id", f"the cell is {device or 'empty'}")
        if fault := text_fault(device):
            raise RefusedRowError("bad device id", f"device_id {fault}")
        valid = self._cell(cells, "valid")
        if not blank(valid) and not (fixed := fix_of(valid)):
            raise RefusedRowError(NO_FIX if fixed is False else NEITHER, text_of(valid))
        when = [cells[at] for at in self._time]
        time = read_clock(when, zone=form.zone, dates=form.dates, numbers=form.numbers)
        if time.time is None or time.why:
            raise RefusedRowError(time.why, " ".join(text_of(cell) for cell in when))
        x, y, grid, square = self._place(cells)
        error = self._number(cells, "error_m")
        if math.isnan(error) or error < 0:
            error = square
        error = error or math.nan  # an error of 0 is missing (rule 2b)
        speed, heading = self._number(cells, "speed") * SPEEDS[form.speed], self._number(cells, "heading")
        return MappedPosition(row.number, device, time.time, x, y, error, speed, heading), grid

    def _cell(self, cells: tuple[Cell, ...], name: str) -> Cell:
        return cells[self._at[name]] if name in self._at else None

    def _number(self, cells: tuple[Cell, ...], name: str) -> float:
        found = number_of(self._cell(cells, name))
        return math.nan if found is None else found

    def _place(self, cells: tuple[Cell, ...]) -> tuple[float, float, bool, float]:
        """``(x, y, whether of the grid, error)``."""
        form = self._form
        if "point" in self._at:
            cell = self._cell(cells, "point")
            point = point_of(cell)
            if point is None:
                raise RefusedRowError(
                    "no coordinates" if nothing(cell) else "coordinates that cannot be read", text_of(cell)
                )
            kind, first, second, error = point
            if kind == "grid":
                return first, second, True, error
            if kind == "pair" and form.point == "lat-lon":
                first, second = second, first
            x, y = first, second
            error = math.nan
        else:
            raw = [self._cell(cells, "lon"), self._cell(cells, "lat")]
            if all(nothing(cell) for cell in raw):
                raise RefusedRowError("no coordinates", "both cells are empty")
            read = [(metres_of if form.coordinates == "grid" else angle_of)(cell) for cell in raw]
            if read[0] is None or read[1] is None:
                raise RefusedRowError(
                    "coordinates that cannot be read", ", ".join(text_of(cell) for cell in raw)
                )
            x, y, error = read[0], read[1], math.nan
        if form.coordinates == "grid":
            return x, y, True, error
        if form.coordinates == "degrees-minutes":
            turned = minutes_of(x), minutes_of(y)
            if turned[0] is None or turned[1] is None:
                raise RefusedRowError("coordinates that cannot be read", f"{x:g}, {y:g}: over 59 minutes")
            x, y = turned[0], turned[1]
        x, y = x * form.scale, y * form.scale
        if text_of(self._cell(cells, "lon_side")).upper() in {"W", "O"}:
            x = -abs(x)
        if text_of(self._cell(cells, "lat_side")).upper() == "S":
            y = -abs(y)
        if form.lon_sign == -1:
            x = -abs(x)
        if x == 0 and y == 0:
            raise RefusedRowError("coordinates 0, 0", "the receiver had no position")
        if not (abs(x) <= 180 and abs(y) <= 90):
            raise RefusedRowError("coordinates out of range", f"lon {x:.7g}, lat {y:.7g}")
        return x, y, False, error


def csv_row(position: MappedPosition, kind: str) -> tuple[str, ...]:
    """A position as a row of the CSV of the public contract, in the order of ``COLUMNS``."""

    def exact(value: float) -> str:
        return "" if math.isnan(value) else repr(value)

    return (
        position.device_id,
        rfc3339(position.time),
        *map(exact, (position.lon, position.lat, position.error_m, position.speed_mps, position.heading_deg)),
        kind,
    )
