"""Whatever stands on the topics between the project's own parts: it is counted, or kept apart, and passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import topics
from stream.core import frames, heard_frames
from stream.core.heard_frames import HeardFrame, HeardSpan
from stream.core.quality.heard import NO_DAY, NO_DELAY, HeardRows
from stream.core.quality.totals import totals
from stream.core.times import EARLIEST, LATEST
from stream.pipeline import batches
from stream.store.heard import LAST_DAY, heard_between
from stream.store.ledger import Counted, Ledger, Offset
from stream.store.schema import connect
from tests.shell.stored import empty, migrated
from tests.strategies import fix_columns, many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

TEXTS = st.sampled_from(["R1", "R2", "", "a\x00b", "x" * 201, "\x1b[31m", "\u202eabc", "Ä;1"])
WHOLE = st.sampled_from([0, -1, 5, 2**31 - 1, 2**31, 2**40, 2**62])


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "foreign_frames") as dsn, connect(dsn) as opened:
        yield opened


@dataclass
class Sent:
    """A message as Faust hands it over."""

    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


@st.composite
def foreign_fixes(draw: st.DrawFn) -> bytes:
    """A frame that is well made, of fixes that nobody has judged."""
    times = st.sampled_from([EARLIEST, EARLIEST - 1, LATEST - 1, LATEST, 0, -(2**62), 2**62])
    degrees = st.sampled_from([-1.1, 52.6, 180.0, 180.5, 1e308, np.inf, np.nan])
    errors = st.sampled_from([None, 0.0, 10.0, -1.0, np.inf])
    rows = draw(st.lists(st.tuples(TEXTS, times, degrees, degrees, errors), max_size=3))
    return frames.encode(fix_columns(rows))


@st.composite
def foreign_heard(draw: st.DrawFn) -> bytes:
    """A heard frame that is well made, and says what no ingest says."""
    count = draw(st.integers(0, 3))
    start = draw(WHOLE.filter(lambda each: 0 <= each < 2**61))
    span = HeardSpan(draw(TEXTS), draw(WHOLE), draw(TEXTS), start, start + count, count)

    def column(values: st.SearchStrategy[int], kind: Any) -> Any:
        return np.array(draw(st.lists(values, min_size=count, max_size=count)), kind)

    names = tuple(draw(st.lists(TEXTS, min_size=1, max_size=2)))
    rows = HeardRows(
        column(st.integers(-1, len(names) - 1), np.int32),
        column(st.sampled_from([NO_DAY, 20_000, 0, -1, 2**31 - 1]), np.int32),
        column(st.sampled_from([-1, 0, 8, 9, -2, 127]), np.int8),
        column(st.sampled_from([0, NO_DELAY, -(2**31)]), np.int32),
        names,
    )
    return heard_frames.encode(HeardFrame((span,), start + np.arange(count), rows))


MESSAGES = st.one_of(
    st.tuples(st.just(topics.FIXES), st.builds(Sent, foreign_fixes() | st.none() | st.binary(max_size=40))),
    st.tuples(st.just(topics.HEARD), st.builds(Sent, foreign_heard() | st.none() | st.binary(max_size=40))),
    st.tuples(
        st.just(topics.DUTIES),
        st.builds(
            Sent,
            st.none() | st.binary(max_size=40) | st.just(b'{"officer_id":"O\\u0000","time":0,"state":4}'),
            st.lists(
                st.tuples(st.just("kind"), st.sampled_from([b"duties", b"states", b"\xff", b"", None])),
                max_size=1,
            ),
        ),
    ),
)
RUN: dict[str, Callable[..., Counted]] = {
    topics.FIXES: batches.fixes,
    topics.HEARD: batches.heard,
    topics.DUTIES: batches.bookings,
}


@many(150)
@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_no_message_on_an_internal_topic_stops_the_worker(
    connection: Connection, messages: list[tuple[str, Sent]]
) -> None:
    """Each is counted or told to be broken; its offset is recorded, and what is stored can be read."""
    empty(connection)
    ledger = Ledger(connection)
    for number, (topic, message) in enumerate(messages):
        told: list[str] = []
        RUN[topic](
            ledger,
            [message],
            [Offset(topic, 0, "one", number + 1)],
            lambda _, detail, told=told: told.append(detail),
        )
        assert ledger.passed(topic, "one") == {0: number + 1}
        assert all(told)
    totals(heard_between(connection, NO_DAY, LAST_DAY))
    connection.execute("select * from heard_days").fetchall()
    connection.execute("select * from fix").fetchall()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"span": {"partition": 2**31}}, "partition 2147483648"),
        ({"span": {"topic": "a\x00"}}, "no text"),
        ({"span": {"incarnation": "x" * 250}}, "no text"),
        ({"names": ("R1", "R1")}, "named twice"),
        ({"names": ("R1", "\x00")}, "not text"),
        ({"verdict": 9}, "verdict"),
        ({"day": 2**31 - 1}, "day"),
    ],
)
def test_a_heard_frame_that_cannot_be_counted_says_why(changes: dict[str, Any], why: str) -> None:
    """What a database could not keep, or no program read again, is refused before it gets there."""
    span = HeardSpan("radio.positions", 0, "one", 0, 2, 2)
    two = np.arange(2)
    rows = HeardRows(
        two.astype(np.int32),
        np.full(2, changes.get("day", 20_000), np.int32),
        np.full(2, changes.get("verdict", -1), np.int8),
        np.zeros(2, np.int32),
        changes.get("names", ("R1", "R2")),
    )
    span = msgspec.structs.replace(span, **changes.get("span", {}))
    with pytest.raises(frames.FrameError, match=why):
        heard_frames.decode(heard_frames.encode(HeardFrame((span,), two, rows)))
