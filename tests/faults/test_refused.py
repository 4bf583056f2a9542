"""What the database refuses: for the data's sake it is kept aside, for its own sake it is waited for."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from psycopg import conninfo
from psycopg.sql import SQL, Identifier, Literal

from stream import topics
from stream.core import frames
from stream.core.events import decode_positions
from stream.core.policy import Policies, limits
from stream.store.schema import connect
from tests.shell.pipeline import WORKER, Message, Pipeline, assert_same, demo_facts, offline

if TYPE_CHECKING:
    from pathlib import Path

    from stream.embedded import EmbeddedBroker

REFUSED_M = 33.125
REFUSED_DUTY = "REFUSED"
TAKEN = f"select not exists (select from fix_rows(at, n, data) where error_m = {REFUSED_M})"
RULES = (
    f"create function taken(at bigint, n integer, data bytea) returns boolean return ({TAKEN})",
    "alter table fix_open add constraint refused check (taken(at, n, data))",
    f"alter table duty_revision add constraint refused check (duty_id <> '{REFUSED_DUTY}')",
)


def spoiled(message: Message) -> Message:
    """The same message with what the rules above refuse."""
    body = json.loads(message.value)
    if message.topic == topics.DUTY_BOOKINGS:
        body |= {"duty_id": REFUSED_DUTY, "officer_id": "nobody"}
    else:
        body["error_m"] = REFUSED_M
    return replace(message, value=json.dumps(body).encode())


def is_usable(message: Message) -> bool:
    """Whether it is a radio's position that ingest takes."""
    if message.topic != topics.RADIO_POSITIONS:
        return False
    received = np.array([message.stamp // 1000 * 1000], np.int64)
    return not decode_positions([message.value], received, limits=limits(Policies())).rejects


@pytest.mark.slow
def test_what_the_database_refuses_blocks_nothing_else(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """Refused fixes and bookings are dead letters, alone; all that came with them is counted."""
    facts = demo_facts(tmp_path, hours=0.5)
    chance = random.Random(1)
    usable = [at for at, one in enumerate(facts.messages) if is_usable(one)]
    picked = set(chance.sample(usable, 6))
    bookings = [one for one in facts.messages if one.topic == topics.DUTY_BOOKINGS]
    messages = [spoiled(one) if at in picked else one for at, one in enumerate(facts.messages)]
    messages.insert(chance.randrange(len(messages)), spoiled(chance.choice(bookings)))
    chance.shuffle(messages)
    with Pipeline(embedded_broker.bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(facts)
        for rule in RULES:
            pipeline.connection.execute(rule.encode())
        pipeline.send(messages, portions=3)
        pipeline.settle()
        clean = [one for at, one in enumerate(facts.messages) if at not in picked]
        assert_same(
            pipeline.export(facts.until), offline(replace(facts, messages=tuple(clean)), tmp_path / "offline")
        )
        letters = pipeline.records(topics.DEAD_LETTERS)
        pipeline.wait(lambda: len(kept(next(letters))) >= len(picked) + 1, "the dead letters")
        assert sorted(kept(next(letters))) == [*["fix"] * len(picked), "line"]
        assert "Traceback" not in pipeline.log(WORKER)


def kept(letters: list[Any]) -> list[str]:
    """What was refused, one word for each fix or line; fails for anything that would have been taken."""
    found = []
    for letter in letters:
        if dict(letter.headers)["reason"] != topics.BROKEN_FRAME.encode():
            continue
        assert b"the database refuses it: " in dict(letter.headers)["detail"]
        value = letter.value
        if value.startswith(frames.MAGIC):
            fixes = frames.decode(value).fixes
            assert set(fixes.error_m.tolist()) == {REFUSED_M}
            found += ["fix"] * len(fixes)
        else:
            [line] = frames.decode_lines(value)
            assert json.loads(line)["duty_id"] == REFUSED_DUTY
            found.append("line")
    return found


@pytest.mark.slow
def test_a_database_that_is_read_only_is_waited_for(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """While the database takes no changes the worker says why it waits; then everything is counted."""
    facts = demo_facts(tmp_path, hours=0.5)
    half = len(facts.messages) // 2
    name = str(conninfo.conninfo_to_dict(database)["dbname"])
    server = conninfo.make_conninfo(database, dbname="postgres")

    def switch(read_only: str) -> None:
        """Connections begin anew with it."""
        pipeline.hang_up()
        with connect(server) as keeper:
            change = SQL("alter database {} set default_transaction_read_only = {}")
            keeper.execute(change.format(Identifier(name), Literal(read_only)))
            keeper.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
            )

    with Pipeline(embedded_broker.bootstrap, database, tmp_path) as pipeline:
        pipeline.load_areas(facts)
        pipeline.send(facts.messages[:half])
        pipeline.settle()
        switch("on")
        pipeline.post(facts.messages[half:])
        pipeline.wait(lambda: "read-only transaction" in pipeline.log(WORKER), "the worker says why it waits")
        switch("off")
        pipeline.settle()
        assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
        assert "Traceback" not in pipeline.log(WORKER)
