"""What was heard, kept in a real database (rule 22): whatever the parts, it is what the core counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import day_of_number
from stream.core.events import REASONS
from stream.core.quality.heard import NO_DAY, NO_DELAY, TAKEN, Heard
from stream.store.heard import LAST_DAY, add, heard_between, portions
from stream.store.registry import Registry
from stream.store.schema import connect
from tests.shell.stored import empty, migrated
from tests.strategies import many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

Report = tuple[str, int, int, int]
"""``(device_id, day, verdict, delay)``."""

NAMES = ["R1", "R2", "0077", "77 ", "Ä;1", '"', "{}", "null"]
DAYS = [NO_DAY, 20_000, 20_001, 20_408, 20_409, 47_481]


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "heard") as dsn, connect(dsn) as opened:
        yield opened


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A report of some device: on any day, taken or rejected for anything, late, ahead, or nobody knows."""
    return (
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(DAYS)),
        draw(st.integers(TAKEN, len(REASONS) - 1)),
        draw(
            st.sampled_from([NO_DELAY, 0, 1, 3600, -3600, NO_DELAY - 1 - 3600]) | st.integers(-5_000, 200_000)
        ),
    )


def counted(rows: Sequence[Report]) -> Heard:
    """Reports as columns, counted."""
    names = sorted({row[0] for row in rows})
    device, day, verdict, delay = (
        np.array(column, np.int64)
        for column in (
            [names.index(row[0]) for row in rows],
            *([row[at] for row in rows] for at in range(1, 4)),
        )
    )
    return Heard.joined(
        [
            Heard(
                device.astype(np.int32),
                day.astype(np.int32),
                verdict.astype(np.int8),
                delay.astype(np.int32),
                np.ones(len(rows), np.int64),
                tuple(names),
            )
        ]
    )


def rows_of(found: Heard) -> list[tuple[Any, ...]]:
    """Columns → rows of names and numbers, in the order in which they are."""
    return [
        (found.device_ids[device], *rest)
        for device, *rest in zip(
            *(
                column.tolist()
                for column in (found.device, found.day, found.verdict, found.delay, found.count)
            ),
            strict=True,
        )
    ]


def keep(connection: Connection, part: Heard) -> None:
    """Adds a part in a transaction of its own."""
    keys = Registry().devices(connection, part.device_ids)
    with connection.transaction():
        add(connection, part, keys)


def within(rows: Sequence[Report], first: int, last: int, names: Collection[str] | None) -> list[Report]:
    """The reports of some days and devices."""
    return [row for row in rows if first <= row[1] <= last and (names is None or row[0] in names)]


@many(60)
@given(
    rows=st.lists(reports(), max_size=40),
    parts=st.integers(1, 6),
    bounds=st.tuples(st.sampled_from(DAYS), st.sampled_from([*DAYS, LAST_DAY])),
    names=st.none() | st.sets(st.sampled_from([*NAMES, "never met"])),
)
def test_what_is_kept_is_what_was_heard(
    connection: Connection,
    rows: list[Report],
    parts: int,
    bounds: tuple[int, int],
    names: set[str] | None,
) -> None:
    """Counts added in any parts are those of all reports; any days and devices of them are read back."""
    empty(connection)
    for part in np.array_split(np.arange(len(rows)), parts):
        keep(connection, counted([rows[at] for at in part.tolist()]))
    found = heard_between(connection, *bounds, names)
    assert rows_of(found) == rows_of(counted(within(rows, *bounds, names)))
    assert rows_of(heard_between(connection, NO_DAY, LAST_DAY)) == rows_of(counted(rows))


@given(frames=st.lists(st.binary(max_size=9), min_size=1, max_size=30), most=st.integers(1, 20))
def test_frames_are_counted_in_their_order_in_parts_of_a_size(frames: list[bytes], most: int) -> None:
    """No frame is left out or counted twice, and each part but the last is as large as is asked for."""
    parts = list(portions(frames, most))
    assert [frame for part in parts for frame in part] == frames
    assert all(sum(map(len, part[:-1])) < most for part in parts)
    assert sum(map(len, frames)) >= (len(parts) - 1) * most


@many(20)
@given(rows=st.lists(reports(), max_size=30))
def test_the_views_tell_it_in_words(connection: Connection, rows: list[Report]) -> None:
    """``heard_reports`` has names, dates and reasons, null for what is not known; ``heard_days`` sums."""
    empty(connection)
    keep(connection, counted(rows))
    told = connection.execute(
        "select device_id, day, verdict, delay_s, reports from heard_reports"
    ).fetchall()
    assert sorted(told, key=repr) == sorted(
        (
            (
                name,
                None if day == NO_DAY else day_of_number(day),
                "taken" if verdict == TAKEN else str(REASONS[verdict]),
                None if delay == NO_DELAY else delay,
                count,
            )
            for name, day, verdict, delay, count in rows_of(counted(rows))
        ),
        key=repr,
    )
    sums = connection.execute("select sum(reports), sum(taken), sum(rejected) from heard_days").fetchone()
    taken = sum(row[2] == TAKEN for row in rows)
    assert sums == ((len(rows), taken, len(rows) - taken) if rows else (None, None, None))


def test_the_verdicts_are_those_of_the_program(connection: Connection) -> None:
    """The database numbers the reasons of rejections as the program does."""
    told = connection.execute("select verdict, name from heard_verdict order by verdict").fetchall()
    assert told == [(TAKEN, "taken"), *enumerate(map(str, REASONS))]


def test_a_row_that_contradicts_itself_is_refused(connection: Connection) -> None:
    """The database keeps no row whose arrays are of different lengths, or empty."""
    for arrays in ("'{0,1}', '{5}', '{1}'", "'{}', '{}', '{}'"):
        with pytest.raises(Exception, match=re.escape("heard_check")):
            connection.execute(f"insert into heard values (1, 1, {arrays})".encode())
