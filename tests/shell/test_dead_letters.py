"""Dead letters: what a list and a look say, and that a second chance leaves what a first one would have."""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import topics
from stream.cli import patrol
from stream.cli.dead_letters import message_lines
from stream.core import frames
from stream.core.events import Reason, UsableLimits, decode_positions
from stream.core.policy import Policies, Policy, limits
from stream.core.quality.heard import NO_DAY, heard
from stream.pipeline import dead_letters
from stream.pipeline.second_chance import (
    NOT_REPLAYABLE,
    DeadLetter,
    LetterJudge,
    Wanted,
    devices_of,
    letter_of,
)
from stream.settings import Settings
from stream.store.heard import LAST_DAY, add, heard_between
from stream.store.registry import Registry
from stream.store.schema import connect, migrate
from stream.store.second_chances import SecondChance, record
from tests.messages import DUTY, POSITION, STATE, TRACCAR
from tests.shell.pipeline import Message, Pipeline, assert_same, demo_facts, heard_of, heard_rows_of, offline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stream.embedded import EmbeddedBroker

AT_MS = 1_795_421_704_000
PREFIX = "here."
CONTROL = {"Cc", "Zl", "Zp"}
"""Categories of characters that would control a terminal."""
OPEN = limits(Policies(policies=(Policy(max_error_m=1e6, max_ahead_s=1e9),)))


# ── What a list and a look say ────────────────────────────────────────────────────────────────────────────


class Record:
    """A record of ``dead.letters`` as a client gives it."""

    def __init__(self, value: bytes | None, headers: Any, partition: int = 0, offset: int = 0) -> None:
        self.value, self.headers, self.partition, self.offset = value, headers, partition, offset
        self.key, self.timestamp = b"", AT_MS


def letter(value: bytes | None, reason: str, topic: str, stood: tuple[int, int] = (0, 5)) -> DeadLetter:
    """A dead letter as ingest or the worker writes it."""
    headers = dead_letters.headers(reason, "why", topic, *stood, AT_MS)
    return letter_of(Record(value, list(headers.items())))


@given(
    st.one_of(
        st.none(),
        st.binary(max_size=300),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")),
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["reason", "time", "offset", "topic", "x\x1b"]),
            st.none() | st.binary(max_size=40),
        ),
        max_size=8,
    ),
    st.none() | st.integers(1, 200),
)
def test_whatever_a_letter_holds_it_is_read_and_shown_safely(
    value: bytes | None, headers: list[tuple[str, bytes | None]], most: int | None
) -> None:
    """No header and no message makes it fail, and nothing that is shown controls a terminal."""
    found = letter_of(Record(value, headers))
    Wanted(device="x").takes(found, PREFIX)
    shown = "\n".join(message_lines(value, most))
    assert not CONTROL & {unicodedata.category(sign) for sign in shown.replace("\n", "")}
    judged = LetterJudge(Settings(topic_prefix=PREFIX), OPEN, 3, lambda _topic, _partition: 10).judge(found)
    assert bool(judged.send) != bool(judged.why[0])


def test_a_letter_names_its_devices_in_every_form() -> None:
    """Positions, Traccar's positions, bookings, lines and frames of fixes are searched by device."""
    fixes = decode_positions([POSITION], None, limits=OPEN).fixes
    for value, reason, devices in (
        (POSITION, Reason.TOO_OLD, {"2345678"}),
        (TRACCAR, Reason.TOO_OLD, {"FX12ABC"}),
        (DUTY, Reason.BAD_VALUE, {"2345678", "FX12ABC"}),
        (STATE, Reason.BAD_VALUE, set()),
        (frames.encode(fixes), topics.BROKEN_FRAME, {"2345678"}),
        (
            frames.encode_lines([STATE, json.dumps(json.loads(DUTY)).encode()]),
            topics.BROKEN_FRAME,
            {"2345678", "FX12ABC"},
        ),
    ):
        assert devices_of(letter(value, reason, "radio.positions")) == devices


def test_what_cannot_be_sent_again_is_refused_with_a_reason() -> None:
    """Feeds, topics of another force, messages not kept and what is still unusable are not sent."""
    judge = LetterJudge(Settings(topic_prefix=PREFIX), limits(Policies()), 3, lambda _topic, _partition: 10)
    for found, reason in (
        (letter(POSITION, Reason.TOO_OLD, "tcp://:5027", (-1, -1)), NOT_REPLAYABLE),
        (letter(POSITION, Reason.TOO_OLD, "radio.positions"), NOT_REPLAYABLE),
        (letter(None, Reason.TOO_OLD, "here.radio.positions"), NOT_REPLAYABLE),
        (letter(b"{}", Reason.NOT_JSON, "here.radio.positions"), Reason.MISSING_FIELD),
        (letter(b"PVFX", topics.BROKEN_FRAME, "here.patrol.fixes"), topics.BROKEN_FRAME),
        (letter(b"x", topics.BROKEN_FRAME, "here.patrol.heard"), NOT_REPLAYABLE),
        (letter(POSITION, Reason.TOO_OLD, "here.radio.positions", (0, 11)), "not_yet"),
    ):
        assert judge.judge(found).why[0] == reason
        assert not judge.judge(found).send


# ── What was heard ────────────────────────────────────────────────────────────────────────────────────────


def position(number: int, device: str, error_m: float, ahead_s: int) -> bytes:
    """A report that the usual policy may reject: too wide an error, or a time that is ahead."""
    time = AT_MS - number * 1000 + ahead_s * 1000
    return json.dumps(
        {"device_id": device, "time": time, "lon": -1.1, "lat": 52.6, "error_m": error_m}
    ).encode()


reports = st.lists(
    st.tuples(st.sampled_from(["r1", "r2"]), st.sampled_from([8.0, 250.0]), st.sampled_from([0, 0, 90_000])),
    min_size=1,
    max_size=12,
)


def judged(values: Sequence[bytes], usable: UsableLimits) -> Any:
    return decode_positions(values, np.full(len(values), AT_MS * 1000, np.int64), limits=usable)


def test_a_report_sent_again_is_heard_once(database: str) -> None:
    """Replayed in any order, once or more often, all is counted as if it had been usable at first."""
    with connect(database) as connection:
        migrate(connection)

        @settings(max_examples=60)
        @given(reports, st.randoms(use_true_random=False))
        def check(rows: list[tuple[str, float, int]], chance: random.Random) -> None:
            connection.execute("truncate heard, replayed")
            values = [position(number, *row) for number, row in enumerate(rows)]
            first = judged(values, limits(Policies()))
            registry, before = Registry(), heard(first.judged)
            with connection.transaction():
                add(connection, before, registry.devices(connection, before.device_ids))
            judge = LetterJudge(Settings(), OPEN, 3, lambda _topic, _partition: len(values))
            chances = [
                judge.judge(
                    letter(values[reject.index], reject.reason, topics.RADIO_POSITIONS, (0, reject.index))
                ).chance
                for reject in first.rejects
            ]
            given_ = [each for each in chances if each is not None]
            assert len(given_) == len(first.rejects)
            for _ in range(chance.randint(1, 3)):
                some = [each for each in given_ if chance.random() < 0.7]
                chance.shuffle(some)
                record(connection, some, registry, by="test")
            record(connection, given_, registry, by="test")
            assert record(connection, given_, registry, by="test") == 0
            found = heard_between(connection, NO_DAY, LAST_DAY)
            assert set(heard_rows_of(found)) == set(heard_rows_of(heard(judged(values, OPEN).judged)))

        check()


def test_a_rejection_that_was_not_counted_takes_nothing_away(database: str) -> None:
    """Where the rejected report is on record under no day that it may have, only the taken one is added."""
    from stream.store.second_chances import Stand

    with connect(database) as connection:
        migrate(connection)
        given_ = SecondChance(
            Stand("t", 0, 1, b"x"), "not_json", "r9", 20_000, 3, 0, ((20_000, 3), (NO_DAY, 3))
        )
        assert record(connection, [given_], Registry(), by="test") == 1
        assert heard_rows_of(heard_between(connection, NO_DAY, LAST_DAY)) == [("r9", 20_000, -1, 3, 1)]


# ── Running processes ─────────────────────────────────────────────────────────────────────────────────────

POLICY = """
[[policy]]
max_error_m = 1000
"""


def run(pipeline: Pipeline, *words: str) -> Result:
    """A command, in the pipeline's environment."""
    environment = {
        "PATROL_DATABASE": pipeline.settings.database,
        "PATROL_KAFKA": pipeline.settings.kafka,
        "PATROL_TOPIC_PREFIX": pipeline.settings.topic_prefix,
    }
    return CliRunner().invoke(patrol, ["dead-letters", *words], env=environment, catch_exceptions=False)


@pytest.mark.slow
def test_a_second_chance_leaves_what_a_first_one_would_have(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """Rejected by a policy or refused by the database, then replayed three times: all tables are equal.

    They are those of the same messages with the mended policy from the beginning, with what was heard.
    """
    facts, chance = demo_facts(tmp_path, hours=0.3), random.Random(5)
    usable = [at for at, one in enumerate(facts.messages) if is_usable(one)]
    wide, refused = set(chance.sample(usable, 40)), chance.choice(usable)
    messages = [
        changed(one, 300.0 + at % 500) if at in wide else changed(one, 33.125) if at == refused else one
        for at, one in enumerate(facts.messages)
    ]
    booking = next(one for one in messages if one.topic == topics.DUTY_BOOKINGS)
    duty_id = json.loads(booking.value)["duty_id"]
    rules = (
        (
            "create function taken(at bigint, n integer, data bytea) returns boolean return "
            "(select not exists (select from fix_rows(at, n, data) where error_m = 33.125))"
        ),
        "alter table fix_open add constraint refused check (taken(at, n, data))",
        f"alter table duty_revision add constraint refused check (duty_id <> '{duty_id}')",
    )
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    with Pipeline(embedded_broker.bootstrap, database, tmp_path, hear_s=0.05) as pipeline:
        pipeline.load_areas(facts)
        for rule in rules:
            pipeline.connection.execute(rule.encode())
        pipeline.send(messages, portions=2)
        pipeline.settle()
        listed = run(pipeline, "list", "--json")
        counts = Counter[str]()
        for item in json.loads(listed.output)["counts"]:
            counts[item["reason"]] += item["count"]
        rejected, refused_ones = counts["error_too_large"], counts["broken_frame"]
        assert rejected >= len(wide)
        assert refused_ones >= 2
        assert '"lat"' not in listed.output

        # Before the mend nothing of it is usable, and nothing is sent.
        settled = pipeline.settled()
        assert run(pipeline, "replay", "--reason", "error_too_large").exit_code == 1
        assert pipeline.settled() == settled

        for table in ("fix_open", "duty_revision"):
            pipeline.connection.execute(f"alter table {table} drop constraint refused".encode())
        load = ["policy", "load", str(policy), "--from", "beginning", "--why", "wider"]
        loaded = CliRunner().invoke(
            patrol, load, env={"PATROL_DATABASE": pipeline.settings.database}, catch_exceptions=False
        )
        assert loaded.exit_code == 0, loaded.output
        pipeline.wait(lambda: "was loaded" in pipeline.log("ingest"), "ingest follows the policy")

        dry = json.loads(run(pipeline, "replay", "--reason", "error_too_large", "--dry-run", "--json").output)
        assert (dry["sent"], dry["unusable"], pipeline.settled()) == (rejected, {}, settled)
        chosen = ["--reason", "error_too_large", "--reason", "broken_frame"]
        for time in range(3):
            done = json.loads(run(pipeline, "replay", *chosen, "--json").output)
            assert done["sent"] == rejected + refused_ones
            assert done["sent_before"] == (rejected if time else 0)
            # What was a line of bookings is taken by ingest again, frames go to the worker.
            settled += rejected
            pipeline.wait(partial(taken_beyond, pipeline, settled), "ingest takes them again")
            pipeline.wait(lambda: counted_all(pipeline), "all of it is counted")
        mended = Policies(policies=(Policy(max_error_m=1000.0),))
        assert_same(
            pipeline.export(facts.until),
            offline(replace(facts, messages=tuple(messages)), tmp_path / "offline", "--policy", str(policy)),
        )
        found = heard_between(pipeline.connection, NO_DAY, LAST_DAY)
        assert set(heard_rows_of(found)) == set(heard_rows_of(heard_of(messages, mended)))


def taken_beyond(pipeline: Pipeline, settled: int) -> bool:
    """Whether ingest has taken more raw messages than so many."""
    return pipeline.settled() > settled


def counted_all(pipeline: Pipeline) -> bool:
    """Whether nothing waits, neither for ingest nor for the worker."""
    lag = pipeline._meter.measure(pipeline.connection)
    return lag.none and not lag.heard


def is_usable(message: Message) -> bool:
    """Whether it is a radio's position that ingest takes."""
    return (
        message.topic == topics.RADIO_POSITIONS
        and not decode_positions(
            [message.value], np.array([message.stamp // 1000 * 1000], np.int64), limits=limits(Policies())
        ).rejects
    )


def changed(message: Message, error_m: float) -> Message:
    """The same position with another error."""
    return replace(message, value=json.dumps({**json.loads(message.value), "error_m": error_m}).encode())
