"""What a process writes in its log: an outage is two lines, and nothing unknown is swallowed."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError
from hypothesis import given
from hypothesis import strategies as st

from stream.pipeline.logs import DEFER_S, JSON, OWN_A_PERIOD, PERIOD_S, PLAIN, Quiet, formatter
from stream.pipeline.outages import DATABASE, KAFKA, SETTLED_S, Outages, lasting

OWN = "stream.pipeline.agents"


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Written:
    """A log of its own, as ``start_logging`` makes it, with a clock that a test sets."""

    style: str = PLAIN
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.outages = Outages(self.clock)
        self.quiet = Quiet(self.outages, self.clock)
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.addFilter(self.quiet)
        self.handler.setFormatter(formatter(self.style))
        self.said = 0

    def say(
        self, name: str, level: int, text: str, *args: object, error: BaseException | None = None
    ) -> None:
        """One call of a logger."""
        trace: Any = (type(error), error, error.__traceback__) if error else None
        self.handler.handle(logging.LogRecord(name, level, __file__, 1, text, args, trace))
        self.said += 1

    def wait(self, seconds: float) -> None:
        """Time passes, and the log is looked after."""
        self.clock.now += seconds
        lines = self.quiet.due()
        self.outages.look()
        for record in lines:
            self.handler.handle(record)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the outages log."""
    caplog.set_level(logging.INFO, "stream.pipeline.outages")
    return caplog


def test_an_outage_is_one_line_when_it_begins_and_one_when_it_is_over(told: pytest.LogCaptureFixture) -> None:
    """Four parts fail over and over for ten minutes: two lines, and the second says how long it lasted."""
    clock = Clock()
    outages = Outages(clock)
    for _ in range(600):
        clock.now += 1.0
        for who in ("fixes", "heard", "shares", "alerts"):
            outages.failed(who, DATABASE, psycopg.OperationalError("connection refused"))
        outages.look()
        assert outages.detail().startswith("waiting for the database for ")
    for who in ("fixes", "heard", "shares", "alerts"):
        outages.well(who)
    assert outages.detail() == ""
    clock.now += SETTLED_S
    outages.look()
    assert [record.getMessage() for record in told.records] == [
        "waiting for the database: connection refused",
        "the database is back after 9 min 59 s",
    ]


def test_what_fails_again_at_once_is_the_same_outage(told: pytest.LogCaptureFixture) -> None:
    """A server that comes and goes while it starts is one outage."""
    clock = Clock()
    outages = Outages(clock)
    for _ in range(20):
        outages.failed("ingest", KAFKA, KafkaConnectionError("away"))
        clock.now += 2.0
        outages.well("ingest")
        clock.now += SETTLED_S - 1.0
        outages.look()
    assert len(told.records) == 1
    clock.now += SETTLED_S
    outages.look()
    assert len(told.records) == 2
    assert outages.total == {KAFKA: 1, DATABASE: 0}


def test_another_reason_in_the_same_outage_is_told_once(told: pytest.LogCaptureFixture) -> None:
    """What a server says of itself when it is back (read-only, full) is worth a line, and one only."""
    outages = Outages(Clock())
    for _ in range(5):
        outages.failed("fixes", DATABASE, psycopg.errors.AdminShutdown("shutting down"))
        outages.failed("fixes", DATABASE, psycopg.OperationalError("refused"))
        outages.failed("fixes", DATABASE, psycopg.errors.ReadOnlySqlTransaction("read-only transaction"))
        outages.failed("fixes", DATABASE, psycopg.errors.DiskFull("no space left"))
    assert len(told.records) == 3
    assert "no space left" in outages.detail()


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([KAFKA, DATABASE]), st.booleans()),
        max_size=60,
    )
)
def test_whoever_waits_is_told_until_it_does_not(steps: list[tuple[str, str, bool]]) -> None:
    """At any moment the outages name the servers that somebody waits for, and no other."""
    clock = Clock()
    outages, waiting = Outages(clock), set[tuple[str, str]]()
    for who, what, fails in steps:
        clock.now += 0.7
        if fails:
            outages.failed(who, what, OSError("away"))
            waiting.add((who, what))
        else:
            outages.well(who)
            waiting = {item for item in waiting if item[0] != who}
        outages.look()
        assert outages.waiting().keys() == {what for _, what in waiting}


def test_talk_of_a_client_in_an_outage_is_counted(told: pytest.LogCaptureFixture) -> None:
    """Thousands of a client's lines before and in an outage become a number in the line that ends it."""
    log = Written()
    for number in range(1000):
        log.say("aiokafka.conn", logging.ERROR, "Unable to connect to node %d", number)
    log.wait(3.0)
    log.outages.failed("ingest", KAFKA, NodeNotReadyError("away"))
    log.wait(DEFER_S)
    for _ in range(1000):
        log.say("faust.transport", logging.ERROR, "Crashed: %r", "x", error=KafkaConnectionError("away"))
    log.outages.well("ingest")
    log.wait(SETTLED_S)
    assert log.lines == []
    assert "2,000 lines of its clients were held back" in told.records[-1].getMessage()


def test_talk_of_a_client_before_a_short_outage_is_counted(told: pytest.LogCaptureFixture) -> None:
    """An outage that was noticed late, and was over soon, has the lines that came before it all the same."""
    log = Written()
    for number in range(40):
        log.say("aiokafka.conn", logging.ERROR, "Unable to connect to node %d", number)
    log.wait(4.0)
    log.outages.failed("worker", KAFKA, NodeNotReadyError("away"))
    log.outages.well("worker")
    log.wait(SETTLED_S)
    log.wait(DEFER_S)
    assert log.lines == []
    assert "40 lines of its clients were held back" in told.records[-1].getMessage()


def test_talk_of_a_client_without_an_outage_is_written_once_a_while() -> None:
    """Without an outage it is written after a moment, in one line that says how many there were."""
    log = Written()
    for number in range(50):
        log.say("aiokafka.group", logging.ERROR, "Heartbeat to node 7 failed for %d", number)
    assert log.lines == []
    log.wait(DEFER_S)
    [line] = log.lines
    assert line.endswith(
        "ERROR aiokafka.group: Heartbeat to node 7 failed for 0 (49 more like this were held back)"
    )


UNKNOWN = [
    ValueError("no such thing"),
    AssertionError("impossible"),
    KeyError("x"),
    psycopg.ProgrammingError("y"),
]


@given(
    st.lists(st.sampled_from(UNKNOWN), min_size=1, max_size=30),
    st.sampled_from(["faust.agents", "aiokafka.consumer", "mode.services", "asyncio", "other", OWN]),
)
def test_an_unknown_error_is_never_swallowed(errors: list[Exception], name: str) -> None:
    """Whoever logs it, in an outage or not, every kind of error is written with its traceback."""
    log = Written()
    for what in (KAFKA, DATABASE):
        log.outages.failed("somebody", what, OSError("away"))
    for error in errors:
        log.say(name, logging.ERROR, "crashed: %s", "again", error=error)
    log.wait(PERIOD_S)
    written = log.stream.getvalue()
    for error in errors:
        assert f"{type(error).__name__}: {error}" in written


@given(
    st.lists(st.sampled_from(["one", "two", "three"]), max_size=300), st.sampled_from([OWN, "uvicorn.error"])
)
def test_every_line_is_written_or_counted(texts: list[str], name: str) -> None:
    """Lines written and lines that others say were held back add up to all that were said."""
    log = Written()
    for text in texts:
        log.say(name, logging.WARNING, text)
        log.clock.now += 0.1
    written = len(log.lines)
    kinds = len(set(texts))
    assert written <= kinds * (OWN_A_PERIOD if name == OWN else 1)
    log.wait(2 * PERIOD_S)
    counted = sum(
        int(line.rpartition("(")[2].split()[0]) for line in log.lines if line.endswith("held back)")
    )
    assert written + counted == len(texts)


HOSTILE = "a\x1b[31mred\nFORGED 2026-11-30T00:00:00Z ERROR x: y\r\u202e"


def test_foreign_words_cannot_forge_lines() -> None:
    """Line ends and terminal codes in what is logged are escaped, in both styles."""
    plain = Written()
    plain.say(OWN, logging.WARNING, "device %s", HOSTILE)
    assert len(plain.lines) == 1
    assert "\x1b" not in plain.lines[0]
    asjson = Written(JSON)
    asjson.say(OWN, logging.WARNING, "device %s", HOSTILE)
    [line] = asjson.lines
    assert "\x1b" not in line
    found = json.loads(line)
    assert found["event"] == f"device {HOSTILE}"
    assert found["level"] == "warning"
    assert found["logger"] == OWN
    assert found["time"].endswith("Z")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3599.9, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_lengths_of_time_in_words(seconds: float, words: str) -> None:
    """Seconds, minutes and hours are said as people do."""
    assert lasting(seconds) == words
