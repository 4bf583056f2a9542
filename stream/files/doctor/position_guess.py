"""A table of positions without a mapping: which columns they are, by name and by values, and how "
"sure it is.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
import numpy as np

from stream.core.stays import distance_m
from stream.files.doctor.clocks import (
    DAY_FIRST,
    MONTH_FIRST,
    NUMBERS,
    form_of,
    read_clock,
    shortened,
)
from stream.files.doctor.coordinates import (
    LOST_SIGN,
    angle_of,
    in_britain,
    is_side,
    mangled,
    metres_of,
    minutes_of,
    not_in_britain,
    number_of,
    point_of,
)
from stream.files.doctor.guess import LOOKED_AT, ColumnSearch, Guess, listed
from stream.files.doctor.names import POSITION_NAMES, RADIO_WORDS, VEHICLE_WORDS, plain_name
from stream.files.doctor.position_map import (
    SPEEDS,
    PositionColumns,
    PositionForm,
    PositionMapping,
    PositionRows,
    fix_of,
    map_positions,
)
from stream.files.foreign import nothing, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from stream.files.doctor.position_map import MappedPosition
    from stream.files.foreign import Cell, ForeignTable

    Floats: TypeAlias = NDArray[np.float64]

_MOST: Final = 0.7
_VAGUE: Final = 6
"""The rank of names that anything may have."""


def guess_positions(table: ForeignTable, stem: str) -> Guess[PositionMapping]:
    """Guesses a mapping for a table of positions.

    Args:
        table: as it stands in the file.
        stem: the file's name: the device's where no column has it.
    """
    return _Guessing(table, stem).guess()


class _Guessing(ColumnSearch[PositionMapping]):
    def __init__(self, table: ForeignTable, stem: str) -> None:
        super().__init__(table, POSITION_NAMES, _MOST)
        self._stem = stem
        self._form: dict[str, object] = {}

    def guess(self) -> Guess[PositionMapping]:
        """The whole of it."""
        found = self._guess
        placed = self._place()
        timed = self._time()
        if not placed:
            self._lack("coordinates: no columns of latitude and longitude, eastings and northings, or points")
        if not timed:
            self._lack("the time: no column of dates with times")
        if not (placed and timed):
            return found
        self._device()
        for name, fits in (("error_m", _is_number), ("speed", _is_number), ("heading", _is_number)):
            self._take(name, fits)
        for name in self._candidates("valid", lambda cell: not form_of([cell]) and len(text_of(cell)) <= 20):
            said = {text_of(cell): fix_of(cell) for cell in self._filled(name)}
            if len(said) <= 12 and any(fixed is not None for fixed in said.values()):
                self._use("valid", name)
                break
            if said and len(said) <= 12:
                self._doubt(
                    f"{name!r} may say whether there was a fix, but {next(iter(said))!r} means neither yes "
                    "nor no to us: it is not used"
                )
        self._kind()
        columns: dict[str, Any] = {
            key: names if key == "time" else names[0] for key, names in found.columns.items()
        }
        made = PositionMapping(
            PositionColumns(**columns),
            PositionForm(**self._form),  # type: ignore[arg-type]
            PositionRows(sheet=self._table.sheet),
        )
        made = self._zone(made)
        made = self._where(made)
        self._seconds(made)
        found.mapping = made = self._speed(made)
        found.columns = made.positions.used()
        return found

    # ── Columns ───────────────────────────────────────────────────────────────────────────────────────────

    def _place(self) -> bool:
        lats = self._candidates("lat", _is_angle)
        lons = [name for name in self._candidates("lon", _is_angle) if name not in lats[:1]]
        pair = (lons[0], lats[0]) if lats and lons else None
        grid = self._grid_columns()
        if grid and (pair is None or self._rank("lat", pair[1])):
            self._use("lon", grid[0])
            self._use("lat", grid[1])
            self._form["coordinates"] = "grid"
            return True
        if pair is None:
            return self._point() or self._by_values()
        self._use("lon", pair[0])
        self._use("lat", pair[1])
        if more := [name for name in (*lats[1:], *lons[1:]) if name not in pair]:
            self._doubt(
                f"{pair[1]!r} and {pair[0]!r} are taken for the coordinates; {listed(more)} could be as well"
            )
        for side, letters in (("lat_side", "NS"), ("lon_side", "EWO")):
            self._take(side, lambda cell, letters=letters: is_side(cell, letters))  # type: ignore[misc]
        self._scale()
        return True

    def _grid_columns(self) -> tuple[str, str] | None:
        east = self._candidates("easting", lambda cell: _within(cell, 1_000, 700_000))
        north = [
            name
            for name in self._candidates("northing", lambda cell: _within(cell, 1_000, 1_300_000))
            if name not in east[:1]
        ]
        return (east[0], north[0]) if east and north else None

    def _point(self) -> bool:
        found = self._candidates("point", lambda cell: point_of(cell) is not None)
        if not found:
            return False
        self._use("point", found[0])
        self._settle_point(found[0])
        return True

    def _settle_point(self, name: str) -> None:
        points = [point for cell in self._cells[name] if (point := point_of(cell))]
        pairs = [point for point in points if point[0] == "pair"]
        if pairs:
            first = np.array([point[1] for point in pairs])
            second = np.array([point[2] for point in pairs])
            as_lat, as_lon = in_britain(second, first).mean(), in_britain(first, second).mean()
            self._form["point"] = "lon-lat" if as_lon > as_lat else "lat-lon"
            if max(as_lat, as_lon) < 0.5:
                self._doubt(
                    f"which comes first in {name!r}, latitude or longitude, cannot be told: latitude is taken"
                )
        elif points and points[0][0] == "grid":
            worst = max(point[3] for point in points)
            if worst > 200:
                self._fault(
                    f"the grid references of {name!r} name squares of over 200 m, too coarse to count by: "
                    "ask for eastings and northings in metres"
                )

    def _by_values(self) -> bool:
        """Columns that no name tells: the values are British coordinates all the same."""
        for name in self._cells:
            filled = self._filled(name)
            if name in self._used or not filled:
                continue
            points = [point for cell in filled if (point := point_of(cell))]
            if len(points) >= _MOST * len(filled) and points[0][0] != "pair":
                self._use("point", name)
                self._settle_point(name)
                return True
        numbers = {
            name: np.array([number for cell in cells if (number := number_of(cell)) is not None])
            for name, cells in self._cells.items()
            if name not in self._used
        }
        rows = max(1, len(self._table.rows[:LOOKED_AT]))
        lats, lons = (
            [name for name, each in numbers.items() if _mostly(each, *bounds, rows) and _fractional(each)]
            for bounds in ((49.7, 61.1), (-8.8, 2.1))
        )
        if len(lats) == 1 and len(lons) == 1:
            self._use("lat", lats[0])
            self._use("lon", lons[0])
            self._doubt(
                f"no name tells the coordinates: {lats[0]!r} is taken for latitude and {lons[0]!r} "
                "for longitude, by their values"
            )
            return True
        return False

    def _scale(self) -> None:
        """Whole numbers for degrees, or degrees with minutes, told by their size."""
        lat, lon = (_numbers(self._cells[self._guess.columns[name][0]]) for name in ("lat", "lon"))
        if not len(lat) or not len(lon):
            return
        high = float(np.median(np.abs(lat[lat != 0]))) if (lat != 0).any() else 0.0
        if high <= 180:
            return
        for scale in (1e-7, 1e-6, 1e-5):
            if 49.7 <= high * scale <= 61.1 and np.median(np.abs(lon)) * scale <= 9:
                self._form["scale"] = scale
                return
        turned = minutes_of(high)
        if 4900 < high < 6200 and turned is not None:
            self._form["coordinates"] = "degrees-minutes"
            return
        if 1_000 < high < 1_300_000 and np.median(np.abs(lon)) < 700_000:
            self._form["coordinates"] = "grid"
            if np.median(lon) > np.median(lat) and np.median(lat) < 100_000:
                self._doubt("eastings and northings may be exchanged")

    def _time(self) -> bool:
        times = self._candidates("time", lambda cell: bool(form_of([cell])))
        whole = [name for name in times if not self._is_day(name)]
        if not whole:
            dates = [name for name in self._cells if name not in self._used and self._is_day(name)]
            clocks = [
                name
                for name in self._cells
                if name not in self._used
                and self._rank("time", name) is not None
                and not self._is_day(name)
                and name not in dates
            ]
            for day in dates:
                for clock in clocks:
                    if self._forms((day, clock)).total() >= _MOST * len(self._filled(day)):
                        return self._use_time((day, clock))
            # A name that says nothing, with values that are times.
            whole = [
                name
                for name in self._cells
                if name not in self._used
                and self._filled(name)
                and not self._is_day(name)
                and self._only_times(name)
            ]
            if len(whole) == 1:
                self._doubt(f"{whole[0]!r} is taken for the time, by its values alone")
            whole = whole[:1]
        if not whole:
            return False
        # Where several are there, the one that the tracker itself wrote.
        return self._use_time(
            (whole[0],),
            others=[name for name in whole[1:] if self._rank("time", name) == self._rank("time", whole[0])],
        )

    def _only_times(self, name: str) -> bool:
        forms = self._forms((name,))
        return forms.total() >= 0.9 * len(self._filled(name)) and not set(forms) & {*NUMBERS, "days"}

    def _is_day(self, name: str) -> bool:
        """Whether a column has dates without a time of day."""
        filled = self._filled(name)[:200]
        days = sum(
            read_clock([cell], zone="UTC", dates=DAY_FIRST, numbers="").why == "a date without a time of day"
            or (form_of([cell]) == "typed" and text_of(cell)[10:] in {"", " 00:00:00"})
            or (
                isinstance(cell, str)
                and len(cell.strip()) == 8
                and cell.strip().isdigit()
                and cell.strip()[:2] == "20"
            )
            for cell in filled
        )
        return bool(filled) and days >= 0.9 * len(filled)

    def _forms(self, names: tuple[str, ...]) -> Counter[str]:
        rows = zip(*(self._cells[name] for name in names), strict=True)
        return Counter(form for cells in rows if (form := form_of(list(cells))))

    def _use_time(self, names: tuple[str, ...], others: Sequence[str] = ()) -> bool:
        self._use("time", *names)
        forms = self._forms(names)
        if others:
            self._doubt(
                f"{' and '.join(map(repr, names))} is taken for the time; "
                f"{', '.join(map(repr, others))} could be as well"
            )
        numbers = [form for form in forms if form in NUMBERS or form == "days"]
        if numbers:
            self._form["numbers"] = max(numbers, key=lambda form: forms[form])
        if len(forms) > 1:
            ways = ", ".join(f"{count:,} {_FORMS[form]}" for form, count in forms.most_common())
            self._fault(f"the times are written in several ways: {ways}")
        texts = [
            " ".join(text_of(cell) for cell in cells)
            for cells in zip(*(self._cells[name] for name in names), strict=True)
        ]
        if self._order(texts, f" ({texts[0]!r})") == MONTH_FIRST:
            self._form["dates"] = MONTH_FIRST
        return True

    def _device(self) -> None:
        def fits(cell: Cell) -> bool:
            return not isinstance(cell, bool) and not nothing(cell) and len(text_of(cell)) <= 100

        found = self._candidates("device_id", fits)
        if not found and self._table.header is None and self._table.kind == "text":
            found = [name for name in self._cells if name not in self._used and self._repeats(name)][:1]
        if not found:
            self._form["device"] = self._stem
            self._doubt(f"no column has the device's id: the file's name, {self._stem!r}, is taken")
            return
        self._use("device_id", found[0])
        rank = {name: self._rank("device_id", name) for name in found}
        others = [name for name in found[1:] if (rank[name] or 0) < _VAGUE]
        if others:
            self._doubt(f"{found[0]!r} is taken for the device's id; {listed(others)} could be as well")
        if rank[found[0]] in {None, _VAGUE}:
            self._doubt(f"{found[0]!r} is taken for the device's id; does it name the device?")
        cells = self._filled(found[0])
        if any(map(shortened, cells)):
            self._fault(
                f"a spreadsheet shortened ids in {found[0]!r} "
                f"({text_of(next(filter(shortened, cells)))}): their digits are lost; export them "
                "again as text"
            )
        elif self._table.kind == "workbook" and cells and all(isinstance(cell, int) for cell in cells):
            self._doubt(
                f"the ids in {found[0]!r} are numbers in the workbook: leading zeros, if there were "
                "any, are gone"
            )
        if any(isinstance(cell, float) for cell in cells):
            self._fault(f"ids in {found[0]!r} are numbers with a point: export them again as text")

    def _repeats(self, name: str) -> bool:
        """Whether a column has a few short words, each of them often, as ids of devices are."""
        words = [text_of(cell) for cell in self._cells[name]]
        return all(0 < len(word) <= 40 for word in words) and len(set(words)) * 2 <= len(words)

    def _kind(self) -> None:
        [name] = self._guess.columns.get("device_id", ("",))
        words = set(plain_name(name).split()) | set(plain_name(self._table.name).split())
        if words & VEHICLE_WORDS:
            self._form["kind"] = "vehicle"
        elif not words & RADIO_WORDS:
            self._doubt("whether the devices are radios or vehicles is not said: radio is taken")

    # ── What the values say together ──────────────────────────────────────────────────────────────────────

    def _zone(self, mapping: PositionMapping) -> PositionMapping:
        names = mapping.positions.time
        rows = list(zip(*(self._cells[name] for name in names), strict=True))
        form = mapping.form
        read = [
            read_clock(list(cells), zone="Europe/London", dates=form.dates, numbers=form.numbers)
            for cells in rows
        ]
        if not any(time.naive for time in read):
            return mapping
        shown = " and ".join(map(repr, names))
        words = {word for name in names for word in plain_name(name).split()}
        if words & {"utc", "gmt", "zulu"}:
            return with_form(mapping, zone="UTC")
        if any(time.why == "hour that does not exist" for time in read):
            self._doubt(
                f"times in {shown} fall in an hour that clocks in Britain skip, so they are not local: "
                "UTC is taken"
            )
            return with_form(mapping, zone="UTC")
        if any(time.why == "hour that comes twice" for time in read):
            self._doubt(
                f"times in {shown} fall in the hour that comes twice in autumn: if they are UTC, write "
                'zone = "UTC", else ask for an export with offsets'
            )
        elif "local" not in words:
            self._doubt(
                f"times in {shown} have no offset: local time is taken (Europe/London); if they are UTC, "
                'write zone = "UTC"'
            )
        return mapping

    def _read(self, mapping: PositionMapping) -> list[MappedPosition]:
        return map_positions(self._table, mapping, self._table.rows[:LOOKED_AT])[0]

    def _seconds(self, mapping: PositionMapping) -> None:
        """Whether a spreadsheet has cut the seconds off, so that positions fall together."""
        found = self._read(mapping)
        together = len(found) - len({(item.device_id, item.time) for item in found})
        if found and all(item.time % 60_000_000 == 0 for item in found) and together > 0.1 * len(found):
            self._fault(
                f"the times have no seconds, and {together:,} positions fall together with another of their "
                "device: a spreadsheet may have cut them off; use the export as it came"
            )

    def _where(self, mapping: PositionMapping) -> PositionMapping:
        """Whether the positions are in Britain; exchanged, without their sign, or elsewhere."""
        found = self._read(mapping)
        columns = mapping.positions
        for name in filter(None, (columns.lon, columns.lat)):
            if any(map(mangled, self._cells[name])):
                self._fault(
                    f"a spreadsheet has put points for thousands into {name!r}: its values are lost, "
                    "export it again"
                )
        lon, lat = _places(found)
        if columns.lon and mapping.form.coordinates != "grid":
            # Exchanged ones may be out of range, and so not among what was found.
            x, y = (_numbers(self._cells[name]) for name in (columns.lon, columns.lat))
            if mapping.form.scale != 1:
                x, y = x * mapping.form.scale, y * mapping.form.scale
            here = in_britain(lon, lat).mean() if len(found) else 0.0
            if len(x) == len(y) and len(x) and in_britain(y, x).mean() > max(0.5, here):
                self._fault(
                    f"longitude and latitude are exchanged: {columns.lat!r} has the longitudes, "
                    f"{columns.lon!r} the latitudes"
                )
                columns = msgspec.structs.replace(columns, lon=columns.lat, lat=columns.lon)
                mapping = msgspec.structs.replace(mapping, positions=columns)
                found = self._read(mapping)
                lon, lat = _places(found)
        if not len(found):
            return mapping
        told = not_in_britain(lon, lat)
        if told == LOST_SIGN:
            self._fault(told)
            return with_form(mapping, lon_sign=-1)
        if told:
            self._doubt(told)
        elif (lon > 0).all() and mapping.form.coordinates == "degrees" and not columns.lon_side:
            self._doubt(
                "all longitudes are east of Greenwich: if your force is not, a minus was lost; "
                "write lon_sign = -1"
            )
        return mapping

    def _speed(self, mapping: PositionMapping) -> PositionMapping:
        name = mapping.positions.speed
        if not name:
            return mapping
        named = [unit for unit, words in _SPEED_WORDS.items() if words & set(plain_name(name).split())]
        unit_column = next(
            (each for each in self._cells if plain_name(each) in {"speed unit", "speed units", "units"}), ""
        )
        if not named and unit_column:
            told = {plain_name(text_of(cell)) for cell in self._filled(unit_column)}
            named = [
                unit
                for unit, words in _SPEED_WORDS.items()
                if told and told <= words | {"m s", "km h", "k p h"}
            ]
        squeezed = plain_name(name).replace(" ", "")
        if not named and squeezed.endswith(("kmh", "kph")):
            named = ["km/h"]
        if not named and squeezed.endswith(("ms", "mps")):
            named = ["m/s"]
        if named:
            return with_form(mapping, speed=named[0])
        unit, sure = speed_unit(self._read(with_form(mapping, speed="m/s")))
        if not unit:
            self._doubt(f"the unit of {name!r} cannot be told from the movements: km/h is taken")
            return with_form(mapping, speed="km/h")
        if not sure:
            self._doubt(f"the unit of {name!r} seems to be {unit}, by the distances between positions")
        return with_form(mapping, speed=unit)


_FORMS: Final = {
    "offset": "with an offset",
    "local": "without one",
    "typed": "typed by a spreadsheet",
    "days": "as Excel's day numbers",
    "unix-s": "as Unix seconds",
    "unix-ms": "as Unix milliseconds",
    "unix-us": "as Unix microseconds",
    "unix-ns": "as Unix nanoseconds",
}
_SPEED_WORDS: Final = {
    "mph": {"mph", "miles"},
    "km/h": {"kmh", "kph", "km"},
    "knots": {"knots", "knot", "kts", "kn", "kt", "sog"},
    "m/s": {"mps", "ms"},
}


def with_form(mapping: PositionMapping, **changes: object) -> PositionMapping:
    """A mapping with another form."""
    return msgspec.structs.replace(mapping, form=msgspec.structs.replace(mapping.form, **changes))


def speed_unit(
    positions: Iterable[MappedPosition],
) -> tuple[Literal["", "m/s", "km/h", "mph", "knots"], bool]:
    """The unit of speed that agrees with the distances between positions, and whether no other nearly does.

    Args:
        positions: with the speeds as they stand in the file.
    """
    last: dict[str, MappedPosition] = {}
    pairs: list[tuple[MappedPosition, MappedPosition]] = []
    for item in positions:
        before = last.get(item.device_id)
        if before is not None and 1_000_000 <= item.time - before.time <= 120_000_000:
            pairs.append((before, item))
        last[item.device_id] = item
    moving = [(a, b) for a, b in pairs if a.speed_mps > 0 and b.speed_mps > 0]
    if not moving:
        return "", False
    step = distance_m(
        *(
            np.array([getattr(end, name) for end in ends])
            for ends in zip(*moving, strict=True)
            for name in ("lon", "lat")
        )
    ) / np.array([(b.time - a.time) / 1e6 for a, b in moving])
    told = np.array([(a.speed_mps + b.speed_mps) / 2 for a, b in moving])
    # Slow ones are noise; where speed changes much between reports, neither end tells the mean.
    steady = np.array(
        [max(a.speed_mps, b.speed_mps) < 1.5 * min(a.speed_mps, b.speed_mps) for a, b in moving]
    )
    usable = (step > 3) & (step < 80) & steady
    if usable.sum() < 5:
        return "", False
    ratio = float(np.median(told[usable] / step[usable]))
    away = sorted((abs(math.log(ratio * metres)), unit) for unit, metres in SPEEDS.items())
    if away[0][0] > 0.35:
        return "", False
    unit = cast("Literal['m/s', 'km/h', 'mph', 'knots']", away[0][1])
    # The straight way is shorter than the road, so that miles and knots are taken for each other.
    return unit, unit in {"km/h", "m/s"} and away[0][0] < 0.15 and usable.sum() >= 10


def _places(found: Sequence[MappedPosition]) -> tuple[Floats, Floats]:
    return np.array([item.lon for item in found]), np.array([item.lat for item in found])


def _is_number(cell: Cell) -> bool:
    return number_of(cell) is not None


def _is_angle(cell: Cell) -> bool:
    return angle_of(cell) is not None or mangled(cell)


def _within(cell: Cell, low: float, high: float) -> bool:
    value = metres_of(cell)
    return value is not None and low <= value <= high


def _numbers(cells: Sequence[Cell]) -> Floats:
    return np.array([value for cell in cells if (value := angle_of(cell)) is not None], np.float64)


def _mostly(values: Floats, low: float, high: float, rows: int) -> bool:
    return len(values) >= 0.5 * rows and bool(((values > low) & (values < high)).mean() > 0.9)


def _fractional(values: Floats) -> bool:
    """Whether numbers have digits enough to be coordinates."""
    return bool((np.round(values, 2) != values).mean() > 0.5)
