"""The record: whatever is added is chained, and whatever is done to it afterwards is found."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.cli import patrol
from stream.core.calendar import rfc3339
from stream.store import record
from stream.store.record import ANYBODY, Anchor, Entry, Kind, Outcome, Search
from stream.store.schema import connect
from tests.shell.stored import migrated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

texts = st.text(max_size=12)
entries = st.builds(
    Entry,
    st.sampled_from(Kind),
    st.text(min_size=1, max_size=12),
    st.text(min_size=1, max_size=12),
    st.sampled_from(["session", "token", "command"]),
    texts,
    st.lists(texts, max_size=3).map(tuple),
    st.none() | texts,
    st.dictionaries(
        texts, texts | st.integers(0, 9) | st.booleans() | st.lists(texts, max_size=2), max_size=2
    ),
    st.sampled_from(Outcome),
)


@pytest.fixture(scope="module")
def server(database_server: EmbeddedDatabase) -> Iterator[str]:
    """A database with the schema, for all tests of this module."""
    with migrated(database_server, "on_record") as dsn:
        yield dsn


@pytest.fixture
def connection(server: str) -> Iterator[Connection]:
    """A connection to it, with nothing on record."""
    with connect(server) as made:
        wipe(made)
        yield made


def wipe(connection: Connection) -> None:
    """Empties the record as nobody may: with its triggers asleep."""
    by_force(connection, "delete from record_entry")


def by_force(connection: Connection, statement: str, values: Any = ()) -> None:
    """Does to the record what its triggers refuse, as a superuser could."""
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")
        connection.execute(statement.encode(), values)


def entry(what: str = "duty", account: str = "ann", **more: Any) -> Entry:
    """A made-up entry."""
    return Entry(Kind.CONSULTATION, what, account, "session", "10.0.0.7", **more)


def fill(connection: Connection, count: int) -> None:
    """So many entries."""
    for number in range(count):
        record.add(connection, entry(f"page {number}", about=(f"{1000 + number % 3}",), why="asked"))


def broken(connection: Connection, *anchors: Anchor) -> int | None:
    """The number of the entry at which the record is found not to be whole."""
    found = record.verify(connection, anchors)
    assert (found.broken is None) == (found.at is None)
    return found.at


# ── Adding ────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=25)
@given(batches=st.lists(st.lists(entries, max_size=3), min_size=1, max_size=4))
def test_whatever_is_added_is_chained_and_read_back(server: str, batches: list[list[Entry]]) -> None:
    """Entries of any content are chained without gaps, by SQL and by the program alike, and read back."""
    with connect(server) as connection:
        wipe(connection)
        for batch in batches:
            record.add(connection, *batch)
        wanted = [item for batch in batches for item in batch]
        found = record.search(connection, Search(), None)[::-1]
        assert [item.entry for item in found] == list(range(1, len(wanted) + 1))
        for had, has in zip(wanted, found, strict=True):
            assert (has.kind, has.outcome, has.means) == (had.kind, had.outcome, had.means)
            assert has.account == (record.plain(had.account) or "-")
            assert list(has.about) == [record.plain(name) for name in dict.fromkeys(had.about)]
            assert has.db_role == "postgres"
        assert record.verify(connection).broken is None


def test_many_writers_at_once_and_crashes_between_leave_one_chain(
    server: str, connection: Connection
) -> None:
    """However many add at once, and however many of them are cut off half-way, there is one chain."""
    kept = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(6):
            with connect(server) as own:
                try:
                    with own.transaction():
                        record.add(own, entry(account=f"writer {seed}"), entry("second"))
                        if chance.random() < 0.4:
                            own.execute("select pg_terminate_backend(pg_backend_pid())")
                except psycopg.OperationalError:
                    continue
            kept.append(seed)

    with ThreadPoolExecutor(5) as threads:
        for _ in threads.map(write, range(5)):
            pass
    found = record.verify(connection)
    assert (found.broken, found.entries) == (None, 2 * len(kept))
    assert 0 < len(kept) < 30


def test_whoever_waits_too_long_for_the_others_is_told(server: str, connection: Connection) -> None:
    """A writer that never commits holds the others up for some seconds, and not for ever."""
    with connect(server) as other:
        other.execute("alter function record_chain() set lock_timeout = '50ms'")
        try:
            with connection.transaction():
                record.add(connection, entry())
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    record.add(other, entry())
        finally:
            other.execute("alter function record_chain() set lock_timeout = '5s'")
        record.add(other, entry())
    assert record.verify(connection).entries == 2


def test_a_client_says_neither_number_nor_time_nor_role(connection: Connection) -> None:
    """Number, time, role and hashes are the database's, whatever is inserted."""
    connection.execute(
        "insert into record_entry values (77, '1999-01-01', 'consultation', 'x', 'done', 'ann', "
        "'', '', '{}', null, '{}', 'somebody', '\\x00', '\\x00')"
    )
    [found] = record.search(connection, Search())
    assert (found.entry, found.db_role) == (1, "postgres")
    assert found.at > 1_700_000_000_000_000
    assert broken(connection) is None


def test_no_position_can_stand_in_the_details() -> None:
    """A detail is a text, a whole number or a list of texts: a coordinate is refused."""
    with pytest.raises(TypeError, match="whole number"):
        record._values(entry(details={"lon": -1.1398}))


# ── What is done to it afterwards ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "update record_entry set account = 'nobody'",
        "delete from record_entry",
        "delete from record_entry where entry = 3",
        "truncate record_entry",
    ],
)
def test_the_database_refuses_to_change_the_record(connection: Connection, statement: str) -> None:
    """Nothing on record is changed or deleted by a statement, also by the tables' owner."""
    fill(connection, 3)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
        connection.execute(statement.encode())
    assert record.verify(connection).entries == 3


CHANGES = [
    ("at", "at + interval '1 microsecond'"),
    ("kind", "'disclosure'"),
    ("what", "what || ' '"),
    ("outcome", "'refused'"),
    ("account", "'eve'"),
    ("means", "'token'"),
    ("source", "''"),
    ("about", "about || '{1}'::text[]"),
    ("about", "'{}'"),
    ("why", "null"),
    ("why", "''"),
    ("details", "'{\"a\": 1}'"),
    ("db_role", "'patrol'"),
    ("previous", "sha256(previous)"),
    ("hash", "sha256(hash)"),
]


@pytest.mark.parametrize(("column", "value"), CHANGES, ids=[" ".join(item) for item in CHANGES])
def test_any_change_is_found(connection: Connection, column: str, value: str) -> None:
    """Whatever is changed of an entry, by whoever can, is found at that entry."""
    fill(connection, 4)
    by_force(connection, f"update record_entry set {column} = {value} where entry = 3")
    assert broken(connection) == 3


def test_a_change_with_its_hashes_made_anew_is_found_against_what_was_noted(connection: Connection) -> None:
    """Whoever makes the rest of the chain again after a change is found by a head that was kept elsewhere."""
    fill(connection, 5)
    noted = record.head(connection)
    assert noted is not None
    rows = record.search(connection, Search(), None)[::-1]
    wipe(connection)
    for row in rows:
        account = "eve" if row.entry == 3 else row.account
        record.add(connection, entry(row.what, account, about=tuple(row.about), why=row.why))
    assert broken(connection) is None
    assert broken(connection, noted) == 5


@settings(max_examples=12)
@given(data=st.data())
def test_left_out_swapped_or_cut_is_found(server: str, data: st.DataObject) -> None:
    """A row left out, two in another order and a cut end are found, at the first that is wrong."""
    with connect(server) as connection:
        wipe(connection)
        count = data.draw(st.integers(2, 6))
        fill(connection, count)
        noted = record.head(connection)
        assert noted is not None
        one, two = sorted(data.draw(st.sets(st.integers(1, count), min_size=2, max_size=2)))
        how = data.draw(st.sampled_from(["left out", "swapped", "cut"]))
        if how == "left out":
            by_force(connection, "delete from record_entry where entry = %s", [one])
        elif how == "swapped":
            by_force(connection, "update record_entry set entry = -1 where entry = %s", [one])
            by_force(connection, "update record_entry set entry = %s where entry = %s", [one, two])
            by_force(connection, "update record_entry set entry = %s where entry = -1", [two])
        else:
            by_force(connection, "delete from record_entry where entry >= %s", [two])
            assert broken(connection) is None
        assert broken(connection, noted) == (count if how == "cut" else one)


def test_the_oldest_go_when_their_time_is_over_and_that_is_on_record(connection: Connection) -> None:
    """Retention deletes the oldest; the rest is whole, says so, and agrees with heads noted before."""
    fill(connection, 3)
    early, middle = record.head(connection), record.search(connection, Search())[0].at
    fill(connection, 2)
    by = Entry(Kind.ERASURE, "", "server:root", "command", why="two years")
    assert record.forget(connection, 0, by) == 0
    assert record.forget(connection, middle + 1, by) == 3
    found = record.search(connection, Search(), None)
    assert [item.entry for item in found] == [6, 5, 4]
    assert (found[0].kind, found[0].what, found[0].account) == ("erasure", record.THE_RECORD, "server:root")
    assert early is not None
    assert json.loads(found[0].details) == {"entries": 3, "hash": early.hash.hex(), "upto": 3}
    assert broken(connection, early) is None
    assert broken(connection, Anchor(3, bytes(32))) == 3
    assert record.forget(connection, found[0].at + 1, by) == 2  # the newest stays, so that the chain goes on
    assert broken(connection, early) is None
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from record_entry where entry = 6")
    by_force(connection, "delete from record_entry where entry = 6")
    assert broken(connection) == 6


# ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────


def run(server: str, *words: str, code: int = 0) -> str:
    """What a command prints."""
    done = CliRunner().invoke(patrol, words, env={"PATROL_DATABASE": server}, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def test_commands_at_the_server_are_on_record(server: str, connection: Connection) -> None:
    """A command is on record with the machine's user, what it was asked and why, and again where it fails."""
    run(server, "explain", "--officer", "1001", "--week", "2026-W47", code=1)
    run(server, "areas", "list")
    run(server, "recompute", "--from", "2026-11-01", "--to", "2026-11-02", "--why", "a late roster")
    run(server, "areas", "rollback", "--kind", "premises", "--why", "wrong file", code=1)
    found = record.search(connection, Search(), None)[::-1]
    assert [(item.what, item.kind, item.outcome, list(item.about), item.why) for item in found] == [
        ("patrol explain", "consultation", "done", ["1001"], None),
        ("patrol recompute", "alteration", "done", [ANYBODY], "a late roster"),
        ("patrol areas rollback", "setting", "done", [], "wrong file"),
        ("patrol areas rollback", "setting", "failed", [], "wrong file"),
    ]
    assert {item.means for item in found} == {"command"}
    assert all(item.account.startswith("server:") and item.source for item in found)
    assert json.loads(found[0].details) == {"officer": "1001", "week": "2026-W47"}


def test_the_record_is_searched_and_verified_by_commands(
    server: str, connection: Connection, tmp_path: Any
) -> None:
    """The commands list, search and verify; what was noted down elsewhere is compared."""
    fill(connection, 4)
    assert "page 3" in run(server, "audit", "list", "--limit", "2")
    words = ("audit", "search", "--about", "1001", "--account", "ann", "--text", "PAGE", "--json")
    [only] = json.loads(run(server, *words))
    assert (only["what"], only["about"], only["why"]) == ("page 1", ["1001"], "asked")
    assert "nothing on record" in run(server, "audit", "search", "--to", "1990-01-01", code=1)
    kept = tmp_path / "heads"
    kept.write_text(run(server, "audit", "head") + "\n" + run(server, "audit", "head"))
    assert "agree with 2 noted heads" in run(server, "audit", "verify", "--heads", str(kept))
    by_force(connection, "delete from record_entry where entry > 5")
    assert "the record is whole" in run(server, "audit", "verify")
    assert "was cut" in run(server, "audit", "verify", "--heads", str(kept), code=1)
    answer = json.loads(run(server, "audit", "verify", "--heads", str(kept), "--json", code=1))
    assert (answer["whole"], answer["entries"], answer["anchors"]) == (False, 5, 2)
    kept.write_text("nothing of the kind")
    assert "no line of 'patrol audit head'" in run(server, "audit", "verify", "--heads", str(kept), code=2)


def test_unusual_looking_is_listed_by_day(server: str, connection: Connection) -> None:
    """An officer opened by many and an account that opened many are listed, from the settings' numbers on."""
    for number in range(10):
        record.add(connection, entry("officer", f"reader {number}", about=("1001",)))
    for _ in range(30):
        record.add(connection, entry("duty", "often", about=("1002",)))
    for number in range(40):
        record.add(connection, entry("officer", "curious", about=(f"{2000 + number}",)))
    record.add(connection, entry("live page", "lists", about=tuple(f"{number}" for number in range(99))))
    day = rfc3339(record.search(connection, Search())[0].at)
    found = json.loads(run(server, "audit", "unusual", "--day", day, "--json", code=1))
    assert [(item["kind"], item["who"], item["count"]) for item in found] == [
        ("read by many", "1001", 10),
        ("reads many", "curious", 40),
    ]
    assert "nothing unusual" in run(server, "audit", "unusual", "--day", "2001-01-01")
