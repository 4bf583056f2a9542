# ruff: noqa: DTZ001, DTZ901 # what a workbook holds are local times without a zone
"""Cells that no system should write and some do: numbers without end, days of no calendar, half a point."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.files.doctor.clocks import form_of
from stream.files.doctor.coordinates import metres_of, number_of, point_of
from stream.files.doctor.diagnosis import parse_any_mapping
from stream.files.doctor.position_guess import guess_positions
from stream.files.doctor.position_map import PositionMapping, map_positions
from stream.files.doctor.roster_guess import guess_roster
from stream.files.foreign import LIMITS, Cell, ForeignError, ForeignTable, nothing
from stream.files.foreign.layout import Layout
from stream.files.roster.mapping import RosterError
from stream.files.roster.rows import read_rows

ODD: Final[tuple[Cell, ...]] = (
    *("9" * 400, "8" * 5000, f"-{'9' * 400}", f"{'8' * 5000}:00", f"{'8' * 5000}m", "1e400", "1e308", "1e"),
    *("POINT (- -)", "POINT (1e 2)", "POINT (. .)", "POINT EMPTY", "31/12/9999 24:00", "24:00", "99:99"),
    *("N/A", "NULL", "-", "#REF!", "nan", "inf", "²", "٣٤", "0001-01-01 00:00", "1900-01-00", "x" * 5000),
    *(10**400, -(10**400), 10**308, 1e308, -1e300, float("nan"), float("inf"), 10**19, True, None, -0.0),
    *(datetime.max, datetime.min, datetime(1900, 1, 1, tzinfo=UTC), datetime(1899, 12, 30, 7), date.max),
    *(datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))), datetime(2099, 12, 31, 23, 59, 59)),
    *(date.min, date(1904, 1, 1), time.max, timedelta.max, timedelta.min, timedelta(hours=25)),
)
USUAL: Final[tuple[Cell, ...]] = (
    *("1001", "A1", "2026-11-16 07:00", "16/11/2026", "07:00", 52.6, "-1.1", 1_763_276_400_000, "8:30"),
    *(datetime(2026, 11, 16, 7), date(2026, 11, 16), time(7), 458_123, 304_567),
)
NAMES: Final = (
    *("Device", "Vehicle", "Time", "Date", "Start", "End", "Duration", "Times", "Collar", "Team", "Status"),
    *("State", "lon", "lat", "Easting", "Northing", "Point", "Speed", "km/h", "GPS Fix", "16/11/2026"),
)
MAPS: Final = [
    *(
        f'[positions]\ndevice_id = "A"\ntime = ["B", "C"]\n{place}\nspeed = "F"\nvalid = "G"\n'
        f'[form]\ncoordinates = "{form}"\nnumbers = "{numbers}"\n'
        for place in ('lon = "D"\nlat = "E"', 'point = "D"\nerror_m = "E"')
        for form in ("degrees", "degrees-minutes", "grid")
        for numbers in ("unix-ms", "unix-ns", "days")
    ),
    *(
        f'[columns]\nofficer_id = "A"\ndate = "B"\n{times}\n[devices]\nradio = "F"\n'
        f'[time]\nnumbers = "{numbers}"\nduration = "{duration or "hours"}"\ntwice = "first"\n'
        for times in (
            'start = "C"\nend = "D"\nteam = "E"',
            'start = "C"\nduration = "D"\nrevision = "G"',
            'times = "C"\npatch = "E"',
            'time = "C"\nstate = "D"',
        )
        for numbers, duration in (
            ("hhmm", "hours"),
            ("hours", "h.mm"),
            ("h.mm", "minutes"),
            ("days", "hours"),
        )
    ),
]


@given(
    text=st.sampled_from(["", *MAPS]),
    names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=7, unique=True),
    kind=st.sampled_from(["text", "workbook", "parquet"]),
    rows=st.lists(
        st.lists(st.one_of(st.sampled_from(ODD), st.sampled_from(USUAL)), min_size=7, max_size=7),
        min_size=1,
        max_size=8,
    ),
)
def test_whatever_stands_in_a_cell_is_read_or_refused(
    text: str, names: list[str], kind: str, rows: list[list[Cell]]
) -> None:
    """Whatever stands in the cells, by any mapping and by none, each row is read or refused."""
    header: list[Cell] = [*(names if not text else "ABCDEFG")]
    records = [(1, header), *((at, row[: len(header)]) for at, row in enumerate(rows, 2))]
    layout = Layout(records, 1, None, "sent", LIMITS)
    made = list(layout.rows(iter(records)))
    table = ForeignTable("sent", kind, "", layout.columns, made, header=1)
    if not text:
        guess_positions(table, "sent")
        guess_roster(table)
        return
    mapping = parse_any_mapping(text)
    with suppress(ForeignError, RosterError):
        if isinstance(mapping, PositionMapping):
            found, misfits = map_positions(table, mapping)
            assert {item.number for item in found}.isdisjoint(item.number for item in misfits)
            assert len(found) + len(misfits) == len(made)
        else:
            told = read_rows(table, mapping)
            numbers = {row for row, _ in told.states} | {item.row for item in told.pieces}
            numbers |= {item.row for item in told.refused} | {item.row for item in told.passed}
            assert numbers == {row.number for row in made}


@pytest.mark.parametrize("word", ["NULL", "null", "N/A", "#N/A", "-", "—", " ", None, float("nan")])
def test_a_word_for_nothing_is_no_device_no_time_and_no_place(word: Cell) -> None:
    """NULL in the column of ids is no device of that name, which would drive where all silent ones are."""
    assert nothing(word)
    mapping = parse_any_mapping('[positions]\ndevice_id = "A"\ntime = "B"\nlon = "C"\nlat = "D"\n')
    assert isinstance(mapping, PositionMapping)
    row = ["R1", "2026-11-16 07:00", "-1.1", "52.6"]
    spoilt = [[word if at == wrong else cell for at, cell in enumerate(row)] for wrong in range(2)]
    records: list[tuple[int, list[Cell]]] = [(1, [*"ABCD"]), (2, [*row]), (3, spoilt[0]), (4, spoilt[1])]
    records.append((5, [*row[:2], word, word]))
    layout = Layout(records, 1, None, "sent", LIMITS)
    table = ForeignTable("sent", "workbook", "", layout.columns, list(layout.rows(iter(records))), header=1)
    found, misfits = map_positions(table, mapping)
    assert [item.number for item in found] == [2]
    assert [item.reason for item in misfits] == ["no device id", "no time", "no coordinates"]


@given(st.integers(1000, 1_299_999))
def test_metres_with_commas_for_thousands_are_metres(metres: int) -> None:
    """458,123 in a column of eastings is 458123 m and not 458.123 m, a place in the sea."""
    assert metres_of(f"{metres:,}") == metres_of(f"{metres}") == metres
    assert (
        metres_of(f"{metres:,}".replace(",", "\u202f"))
        == number_of(f"{metres:,}".replace(",", "\xa0"))
        == metres
    )


@pytest.mark.parametrize("text", ["POINT (- -)", "POINT (1e 2)", "POINT (. .)", "POINT (1)", "POINT EMPTY"])
def test_half_a_point_is_none(text: str) -> None:
    """What has the form of a point and no two numbers in it is no point."""
    assert point_of(text) is None
    kind, *where = point_of("POINT Z (-1.1398 52.6369 81)") or ("",)
    assert (kind, where[:2]) == ("wkt", [-1.1398, 52.6369])


@given(st.integers(3, 7), st.integers(0, 59), st.integers(0, 59))
def test_a_time_of_day_in_digits_is_no_day_of_a_spreadsheet(hour: int, minute: int, second: int) -> None:
    """070000 alone is neither a day of 2091 nor any other time: its day is missing."""
    assert form_of([f"{hour:02d}{minute:02d}{second:02d}"]) == ""
