"""Policies on record: loaded by a command, never changed, and what every process counts by."""

from __future__ import annotations

import asyncio
import getpass
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest
import shapely
from click import Group
from click.testing import CliRunner

from stream.cli import main, patrol
from stream.core.facts import Allocation, Duty, StateReport
from stream.core.policy import (
    BEGINNING,
    DEFAULT_STATES,
    Policies,
    Policy,
    State,
    limits,
    parse_policies,
)
from stream.pipeline.limits import Limits
from stream.pipeline.publisher import Publisher
from stream.reports import view
from stream.settings import Settings, SettingsError
from stream.store import areas, policies, reports
from stream.store.ledger import Ledger
from stream.store.pool import Pool
from stream.store.reading.sight import Eyes
from stream.store.schema import SchemaError, connect, migrate, migrations, require
from stream.web.weeks.shelf import Shelf
from tests.shell.stored import database_called, empty, fill, migrated, publish, put_in_force
from tests.strategies import BINARY, World, micros, world_fixes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

MONDAY = micros("2026-11-16T00:00:00+00:00")
HOUR = 3_600_000_000
ELSEWHERE = "127.0.0.1:1"
"""Where no Kafka is: whoever refuses does so before it is asked."""


@pytest.fixture(scope="module")
def dsn(database_server: EmbeddedDatabase) -> Iterator[str]:
    """One database for the module; each test begins with the rules' defaults and no facts."""
    with migrated(database_server, "policies") as found:
        yield found


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to the emptied database."""
    with connect(dsn) as opened:
        empty(opened)
        put_in_force(opened)
        yield opened


def written(folder: Path, text: str, name: str = "policy.toml") -> Path:
    """A policy file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class Shell:
    """``patrol policy`` at a database."""

    def __init__(self, dsn: str, **settings: str) -> None:
        self._runner = CliRunner(env={"PATROL_DATABASE": dsn, **settings})

    def __call__(self, *words: object) -> tuple[int, str]:
        done = self._runner.invoke(patrol, ["policy", *map(str, words)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output


def a_week() -> World:
    """Two duties, on Wednesday and a week later, with a fix a minute and a gap of four minutes in each."""
    box = shapely.box(*BINARY.at(0, 0), *BINARY.at(4, 4))
    duties, fixes, states = [], [], []
    for number, start in enumerate((MONDAY + 56 * HOUR, MONDAY + (56 + 168) * HOUR), 1):
        duties.append(Duty(f"D{number}", 1, "O1", start, start + HOUR, ("N1",), (Allocation("R1", "radio"),)))
        fixes += [
            ("R1", start + minute * 60_000_000, *BINARY.at(1, 1), None)
            for minute in range(61)
            if minute not in (30, 31, 32)
        ]
        states.append(StateReport("O1", start + 40 * 60_000_000, 3))
    return World(
        tuple(fixes),
        ((None, (("neighbourhood", "N1", box),)),),
        tuple(duties),
        tuple(states),
        MONDAY + 336 * HOUR,
        (MONDAY, MONDAY + 336 * HOUR),
    )


# ── the record ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_database_begins_with_the_rules_defaults(connection: Connection, database: str) -> None:
    """Version 1 of a fresh database is the accounting rules' own policy, from the beginning."""
    with connect(database) as fresh:
        migrate(fresh)
        require(fresh)
        found = policies.in_force(fresh)
        assert (found, found.versions, found.edition) == (Policies(), (1,), 1)
        [record] = policies.records(fresh)
        assert (record.why, record.loaded_by) == ("the rules' defaults", "patrol init")
        assert fresh.execute("select state, name, counts from policy_state order by state").fetchall() == [
            (code, state.name, state.counts) for code, state in sorted(DEFAULT_STATES.items())
        ]


def test_what_an_older_database_had_been_told_is_kept_by_number(database_server: EmbeddedDatabase) -> None:
    """An upgrade makes each dated row a version; a program of the version before can write none any more."""
    since = MONDAY + 1
    with database_called(database_server, "older") as dsn, connect(dsn) as opened:
        for name, text in migrations():
            if name < "0006":
                opened.execute(text.encode())
        opened.execute("create role analyst")
        opened.execute("grant select on officer_slices, policy_span to analyst")
        opened.execute("insert into policy values (from_us(%s), 0.85, '90.5 s', '2 min')", [since])
        opened.execute("insert into policy_state select from_us(%s), 3, 'ready', 'break'", [since])
        [text] = [text for name, text in migrations() if name.startswith("0006")]
        with opened.transaction():
            opened.execute(text.encode())
        found = policies.in_force(opened)
        assert (found.starts, found.versions) == ((BEGINNING, since), (1, 2))
        later = Policy(target=0.85, visit_join_s=90.5, states={3: State("ready", "break")})
        assert found.policies == (Policy(), later)
        for item in ("officer_slices", "policy_span"):
            assert opened.execute(
                "select has_table_privilege('analyst', %s, 'select')", [item]
            ).fetchone() == (True,)
        opened.execute("drop owned by analyst; drop role analyst")
        with pytest.raises(psycopg.Error):
            opened.execute("delete from policy")


@pytest.mark.parametrize(
    "query",
    ["update policy_version set why = 'x'", "delete from policy_version", "truncate policy_version cascade"],
)
def test_what_is_on_record_is_never_changed(connection: Connection, query: str) -> None:
    """The database itself refuses to change or delete a policy, and says what to do."""
    with pytest.raises(psycopg.errors.RaiseException, match="load another with 'patrol policy load'"):
        connection.execute(query.encode())


def test_a_setting_that_came_later_has_its_default_in_older_policies(connection: Connection) -> None:
    """What a policy on record does not say is the default; what only a newer program knows is told."""
    insert = "insert into policy_version values (%s, '-infinity', %s::jsonb, 'w', 'me')"
    connection.execute(insert, [2, '{"target": 0.7}'])
    assert policies.in_force(connection).policies == (Policy(target=0.7),)
    assert connection.execute("select target, visit_join from policy").fetchall()[0][0] == 0.7
    connection.execute(insert, [3, '{"moonlight": 1}'])
    with pytest.raises(SchemaError, match="'moonlight', which this program does not know: use the newer"):
        policies.in_force(connection)


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_checked_without_a_database(tmp_path: Path) -> None:
    """`policy check` says what a file sets beside the defaults; a mistyped name names the nearest."""
    good = written(tmp_path, "[[policy]]\nfrom = 2027-01-01\ntarget = 0.85\nstates.12 = {name = 'drill'}\n")
    shell = Shell("")
    code, said = shell("check", good)
    assert code == 0
    assert "target" in said
    assert "2027-01-01 00:00" in said
    assert "drill (visible)" in said
    code, said = shell("check", good, "--json")
    assert [item["settings"]["target"] for item in json.loads(said)] == [0.8, 0.85]
    assert "nothing that differs" in shell("check", written(tmp_path, "[[policy]]"))[1]
    with pytest.raises(SettingsError, match=r"unknown setting 'targt' \(perhaps target\?\)"):
        shell("check", written(tmp_path, "[[policy]]\ntargt = 0.85"))


def test_loading_puts_in_force_from_a_date_and_says_what_changes(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """A target from New Year: told, on record with its reason and who; a second time nothing is loaded."""
    file = written(tmp_path, "[[policy]]\ntarget = 0.85\n")
    shell = Shell(dsn)
    words = ("load", file, "--from", "2099-01-01", "--why", "the new plan")
    code, said = shell("diff", file, "--from", "2099-01-01")
    assert code == 1
    assert "0.85" in said
    code, said = shell(*words, "--dry-run")
    assert code == 0
    assert "nothing was changed" in said
    assert policies.edition(connection) == 1
    code, said = shell(*words)
    assert code == 0
    assert "version 2: loaded" in said
    assert "past" not in said
    found = policies.in_force(connection)
    start = micros("2099-01-01T00:00:00+00:00")
    assert (found.starts, found.versions) == ((BEGINNING, start), (1, 2))
    assert [item.target for item in found.policies] == [0.8, 0.85]
    assert [(item.why, item.loaded_by) for item in policies.records(connection)][1] == (
        "the new plan",
        getpass.getuser(),
    )
    code, said = shell(*words)
    assert (code, policies.edition(connection)) == (0, 2)
    assert "nothing was loaded" in said
    assert shell("diff", file, "--from", "2099-01-01")[0] == 0
    assert shell("diff", file)[0] == 1


def test_a_load_replaces_what_would_have_come_later_and_says_so(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """From its date on a file holds alone; the list says which versions are not in force at any time."""
    shell = Shell(dsn)
    for year, target in ((2098, 0.9), (2097, 0.7)):
        file = written(tmp_path, f"[[policy]]\ntarget = {target}\n")
        code, said = shell("load", file, "--from", f"{year}-01-01", "--why", "w")
        assert code == 0
    assert "version 2 replaced" in said
    assert policies.in_force(connection).versions == (1, 3)
    code, said = shell("list")
    assert code == 0
    assert "replaced" in said
    listed = json.loads(shell("list", "--json")[1])
    assert [(item["version"], item["in_force"]) for item in listed["versions"]] == [
        (1, True),
        (2, False),
        (3, True),
    ]
    assert listed["outdated"] == []


def test_what_is_in_force_can_be_written_as_a_file(dsn: str, connection: Connection, tmp_path: Path) -> None:
    """`policy list --toml` prints a file that differs in nothing, with odd names and times in it."""
    text = (
        "[[policy]]\nstates.12 = { name = 'tr\"ai\\\\ning', counts = 'break' }\nmax_gap_s = 240.5\n"
        "[[policy]]\nfrom = 2027-03-28\ntarget = 0.85\n[[policy]]\nfrom = 2027-07-01T10:20:30.000001+02:00\n"
    )
    shell = Shell(dsn)
    file = written(tmp_path, text)
    assert shell("load", file, "--from", "beginning", "--why", "w")[0] == 0
    assert policies.in_force(connection) == parse_policies(text)
    code, said = shell("list", "--toml")
    assert code == 0
    assert parse_policies(said) == parse_policies(text)
    assert shell("diff", written(tmp_path, said))[0] == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--from", "2027-01-01", "--why", " "], "say why"),
        (["--from", "soon", "--why", "w"], "soon"),
        (["--why", "w"], "--from"),
        (["--from", "2027-01-01"], "--why"),
    ],
)
def test_a_load_without_a_date_or_a_reason_is_wrong_use(
    dsn: str, connection: Connection, tmp_path: Path, words: list[str], complaint: str
) -> None:
    """Exit 2, and a line that names what is missing; nothing is loaded."""
    code, said = Shell(dsn)("load", written(tmp_path, "[[policy]]\ntarget = 0.1"), *words)
    assert code == 2
    assert complaint in said
    assert policies.edition(connection) == 1


def test_a_load_into_the_past_says_what_is_outdated_until_it_is_counted_again(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """The second of two duties is listed, with the command that counts it again; then the list is empty."""
    fill(connection, a_week(), 1)
    file = written(tmp_path, "[[policy]]\nmax_gap_s = 120\nparked_gap_s = 120\n")
    shell = Shell(dsn)
    code, said = shell("load", file, "--from", "2026-11-23", "--why", "a longer gap proves nothing")
    assert code == 0
    assert "reaches into the past, to 2026-11-23 00:00" in said
    assert "still counted under version 1: 1 duties, from 2026-11-25 08:00 to 2026-11-25 09:00" in said
    assert "patrol recompute --from 2026-11-25 --to 2026-11-26" in said
    assert connection.execute("select duty_id, version, outdated from duty_policy order by 1").fetchall() == [
        ("D1", 1, False),
        ("D2", 1, True),
    ]
    assert "still counted under version 1" in shell("list")[1]
    runner = CliRunner(env={"PATROL_DATABASE": dsn})
    done = runner.invoke(
        patrol, ["recompute", "--from", "2026-11-25", "--to", "2026-11-26", "--why", "it", "--json"]
    )
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert [item["cause"] for item in answer["restatements"]] == ["policy"]
    assert {item["week"] for item in answer["restated"]} == {"2026-W48"}
    assert answer["outdated"] == []
    assert connection.execute("select duty_id, version, outdated from duty_policy order by 1").fetchall() == [
        ("D1", 1, False),
        ("D2", 2, False),
    ]
    assert connection.execute("select cause, version from restatement").fetchall() == [("policy", 2)]


# ── what everybody counts by ──────────────────────────────────────────────────────────────────────────────


def test_a_worker_never_counts_by_an_older_policy(dsn: str, connection: Connection) -> None:
    """A ledger that had begun before counts its next batch by what was loaded meanwhile."""
    world = a_week()
    publish(connection, world)
    ledger = Ledger(connection)
    ledger.bookings(world.duties, world.states)
    with connect(dsn) as other:
        strict = Policies((BEGINNING,), (Policy(max_gap_s=120, parked_gap_s=120),))
        policies.load(other, strict, BEGINNING, by="other", why="w")
    ledger.positions(world_fixes(world))
    unknown = "select sum(unknown_s) from shares(%s, %s) where scope = 'force'"
    span = ["2026-11-16 Europe/London", "2026-11-30 Europe/London"]
    assert connection.execute(unknown, span).fetchall() == [(2 * 240,)]


def test_a_load_waits_for_batches_that_are_being_counted(dsn: str, connection: Connection) -> None:
    """Amid a transaction that counts, a load waits; it is there as soon as that is committed."""
    done = threading.Event()

    def work() -> None:
        with connect(dsn, name="loading") as other:
            policies.load(other, Policies((BEGINNING,), (Policy(target=0.1),)), MONDAY, by="x", why="w")
        done.set()

    thread = threading.Thread(target=work)
    with connect(dsn) as watching:
        with connection.transaction():
            areas.hold(connection)
            thread.start()
            waiting = (
                "select count(*) from pg_stat_activity where application_name = 'loading' "
                "and wait_event_type = 'Lock'"
            )
            while watching.execute(waiting).fetchone() != (1,):
                assert not done.is_set()
            assert policies.edition(connection) == 1
        thread.join()
        assert policies.edition(watching) == 2


def test_sql_and_explain_judge_by_the_policy_in_force(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """A target loaded from the second week on: the first week's verdict stays, in SQL and in `explain`."""
    fill(connection, a_week(), 1)
    file = written(tmp_path, "[[policy]]\ntarget = 0.5\nstates.3 = { name = 'at ease' }\n")
    assert Shell(dsn)("load", file, "--from", "2026-11-23", "--why", "w")[0] == 0
    runner = CliRunner(env={"PATROL_DATABASE": dsn})
    for week, target, name in (("2026-W47", 0.8, "standby"), ("2026-W48", 0.5, "at ease")):
        done = runner.invoke(patrol, ["explain", "--force", "--week", week, "--json"])
        assert done.exit_code == 0, done.output
        answer = json.loads(done.output)
        assert answer["target"] == target
        monday = {"2026-W47": "2026-11-16", "2026-W48": "2026-11-23"}[week]
        since = f"{monday} Europe/London"
        [(share, said, verdict)] = connection.execute(
            "select share, target, verdict from shares(%s, %s::timestamptz + '7 days') where scope = 'force'",
            [since, since],
        ).fetchall()
        assert (said, verdict) == (target, answer["verdict"])
        assert share == pytest.approx(answer["share"])
        names = connection.execute(
            "select distinct state_name from officer_slices where state = 3 and start_at >= %s "
            "and start_at < %s::timestamptz + '7 days'",
            [since, since],
        ).fetchall()
        assert names == [(name,)]


def test_each_publication_names_the_policies_that_counted_it(dsn: str, connection: Connection) -> None:
    """By number: those in force in its week and since its first duty began; and those by which duties are
    still counted although they were replaced, until a recompute has counted them again.
    """
    world = a_week()
    start = MONDAY + 166 * HOUR
    night = Duty("D3", 1, "O2", start, start + 4 * HOUR, ("N1",), (Allocation("R2", "radio"),))
    fixes = [("R2", start + minute * 240_000_000, *BINARY.at(1, 1), None) for minute in range(61)]
    fill(connection, replace(world, duties=(*world.duties, night), fixes=(*world.fixes, *fixes)), 1)
    monday = MONDAY + 168 * HOUR

    def change(policy: Policy) -> None:
        policies.load(connection, Policies((BEGINNING,), (policy,)), monday, by="x", why="w")

    def published(week: str) -> Summary:
        done = runner.invoke(patrol, ["report", "publish", "--week", week, "--now", "2026-12-01"])
        assert done.exit_code == 0, done.output
        found = reports.read(connection, week, "N1")
        assert found is not None
        return found

    runner = CliRunner(env={"PATROL_DATABASE": dsn})
    change(Policy(target=0.5))
    for week, target, versions in (("2026-W47", 0.8, (1,)), ("2026-W48", 0.5, (1, 2))):
        found = published(week)
        assert (found.basis.target, found.basis.policy_versions) == (target, versions)
        assert found.basis.policy_outdated == ()
    assert "Counted under versions 1 and 2 of the policy." in view.basis(found)

    change(Policy(target=0.6, max_gap_s=120, parked_gap_s=120))
    found = published("2026-W48")
    assert (found.basis.target, found.basis.policy_versions) == (0.6, (1, 3))
    assert found.basis.policy_outdated == (2,)
    assert any("since replaced for their time" in line for line in view.basis(found))
    done = runner.invoke(patrol, ["recompute", "--from", "2026-11-22", "--to", "2026-11-30", "--why", "w"])
    assert done.exit_code == 0, done.output
    assert "because of the policy" in done.output
    after = published("2026-W48")
    assert (after.basis.policy_versions, after.basis.policy_outdated) == ((1, 3), ())
    assert after.figures.unknown > found.figures.unknown
    assert "policy" in [item.cause for item in after.changes]


def test_what_is_published_and_seen_follows_what_is_loaded(dsn: str, connection: Connection) -> None:
    """The live figures on Kafka, the picture of the pages and of the watch, the weekly pages: each judges by
    the new target the next time it looks.
    """
    world = a_week()
    duty = replace(world.duties[1], end=None)
    fill(connection, replace(world, duties=(world.duties[0], duty)), 1)
    settings = Settings(database=dsn, clock="events")
    publisher, eyes = Publisher(settings), Eyes(settings, lambda: world.as_of)
    shelf = Shelf(settings, Pool(settings), lambda: world.as_of)

    def targets() -> set[float]:
        said = {msgspec.json.decode(value)["target"] for _, value in publisher.changed()}
        seen = {item.target for item in eyes.look(connection).shares}
        shelf.ask(lambda *_: None)
        return said | seen | {shelf.policies.at(duty.start).target}

    try:
        assert targets() == {0.8}
        policies.load(connection, Policies((BEGINNING,), (Policy(target=0.5),)), duty.start, by="x", why="w")
        assert targets() == {0.5}
    finally:
        publisher.close()
        shelf.pool.close()


def test_ingest_follows_what_is_loaded(dsn: str, connection: Connection) -> None:
    """Its limits are those of the database, by date, and change within a look."""

    async def work() -> None:
        stop = asyncio.Event()
        found = Limits(Settings(database=dsn), look_s=0.001)
        assert await found.begin(stop)
        assert found.now() == limits(Policies())
        following = asyncio.create_task(found.follow(stop))
        wanted = Policies((BEGINNING,), (Policy(max_error_m=50.0),))
        await asyncio.to_thread(policies.load, connection, wanted, MONDAY, by="x", why="w")
        while found.now() == limits(Policies()):
            await asyncio.sleep(0)
        assert found.now() == limits(policies.in_force(connection))
        assert [found.now().at(time).max_error_m for time in (MONDAY - 1, MONDAY)] == [200.0, 50.0]
        stop.set()
        await following
        found.close()

    asyncio.run(work())


# ── another policy in a shell ─────────────────────────────────────────────────────────────────────────────

AREAS = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"area_id": "N1", "name": "Abbey"},
                "geometry": shapely.geometry.mapping(shapely.box(-1.2, 52.6, -1.1, 52.7)),
            }
        ],
    }
)

AT_THE_DATABASE = {
    "up": [],
    "init": [],
    "ingest": [],
    "worker": [],
    "timers": [],
    "web": ["--port", "0"],
    "areas load": ["areas.geojson", "--kind", "neighbourhood", "--from", "2026-11-16", "--why", "w"],
    "areas rollback": ["--why", "w"],
    "areas list": [],
    "areas restatements": [],
    "restatements": [],
    "areas export": ["--kind", "neighbourhood", "--out", "areas.gpkg"],
    "areas diff": ["1", "1"],
    "export": ["--out", "out"],
    "recompute": ["--from", "2026-11-16", "--to", "2026-11-30"],
    "report weekly": ["--week", "2026-W47", "--out", "out"],
    "report publish": ["--week", "2026-W47"],
    "report public": ["--month", "2026-10", "--out", "out"],
    "postcode": ["LE1 1AA"],
    "publish site": ["out"],
    "explain": ["--force", "--week", "2026-W47"],
    "teams": [],
    "dead-letters replay": ["--reason", "error_too_large"],
    "retain": [],
    "hold add": ["D1", "--why", "a complaint"],
    "hold list": [],
    "hold release": ["1", "--why", "closed"],
    "person export": ["O1", "--out", "held"],
    "person erase": ["O1", "--why", "request 17", "--yes"],
}
"""Commands that meet the database, and words that make each do its work."""

WITHOUT_POLICY = {
    "demo": "has servers of its own, and no setting of its caller",
    "account": "counts files by --policy",
    "simulate": "judges nothing",
    "replay": "judges nothing",
    "status": "is there to look",
    "dead-letters list": "judges nothing",
    "dead-letters show": "judges nothing",
    "bridge": "judges nothing",
    "doctor": "reads files",
    "roster import": "judges nothing",
    "areas check": "reads a file",
    "policy check": "reads a file",
    "policy diff": "is there to compare",
    "policy list": "is there to look",
    "audit list": "reads the record",
    "audit search": "reads the record",
    "audit head": "reads the record",
    "audit unusual": "reads the record",
    "audit verify": "reads the record",
    **{
        f"people {name}": "is about accounts"
        for name in ("add", "list", "lock", "password", "roles", "token", "unlock")
    },
    "policy load": "is the one way to change what counts",
}
"""The others, and why a policy in the shell does not concern them."""


def names(group: Group, *before: str) -> Iterator[str]:
    """Every command of the table."""
    for name, item in group.commands.items():
        if isinstance(item, Group):
            yield from names(item, *before, name)
        else:
            yield " ".join((*before, name))


def test_every_command_is_known_to_meet_the_database_or_not() -> None:
    """The command's own table has no command that the next test forgets."""
    assert sorted(names(patrol)) == sorted([*AT_THE_DATABASE, *WITHOUT_POLICY])


def everything(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, with where it lies."""
    tables = connection.execute(
        "select tablename from pg_tables where schemaname = 'public' order by 1"
    ).fetchall()
    return {
        str(name): connection.execute(
            f"select ctid::text, t::text from {name} t order by 1".encode()
        ).fetchall()
        for (name,) in tables
    }


@pytest.mark.parametrize("name", AT_THE_DATABASE)
@pytest.mark.usefixtures("no_settings")
def test_another_policy_in_a_shell_changes_nothing(
    name: str,
    dsn: str,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a file in PATROL_POLICY that differs from the database, whatever begins ends with exit 2 and one
    line that says in what and what to do; no row of any table is another.
    """
    fill(connection, a_week(), 1)
    before = everything(connection)
    written(tmp_path, AREAS, "areas.geojson")
    written(tmp_path, "postcode,lat,long\nLE1 1AA,52.63,-1.13\n", "postcodes.csv")
    file = written(tmp_path, "[[policy]]\ntarget = 0.5\nmax_gap_s = 30\n")
    monkeypatch.setenv("PATROL_DATABASE", dsn)
    monkeypatch.setenv("PATROL_KAFKA", ELSEWHERE)
    monkeypatch.setenv("PATROL_POSTCODES", "postcodes.csv")
    monkeypatch.setenv("PATROL_POLICY", str(file))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["patrol", *name.split(), *AT_THE_DATABASE[name]])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr().err
    assert leaving.value.code == 2, said
    assert "differs from the policy in the database" in said
    assert "target 0.8 there, 0.5 in the file" in said
    assert f"patrol policy load {file} --from DATE --why TEXT" in said
    assert everything(connection) == before


def test_an_equal_policy_in_a_shell_is_fine(dsn: str, connection: Connection, tmp_path: Path) -> None:
    """Where the file says what the database says, by whatever words, commands do their work."""
    file = written(tmp_path, "[[policy]]\n[[policy]]\nfrom = 2027-01-01\ntarget = 0.85\n")
    shell = Shell(dsn, PATROL_POLICY=str(file))
    assert shell("load", file, "--from", "2027-01-01", "--why", "w")[0] == 0
    other = written(tmp_path, "[[policy]]\nfrom = 2027-01-01T00:00:00Z\ntarget = 0.850\n", "same.toml")
    for path in (file, other):
        done = CliRunner(env={"PATROL_DATABASE": dsn, "PATROL_POLICY": str(path)}).invoke(
            patrol, ["areas", "list"]
        )
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", ["explain --force --week 2026-W47", "teams"])
def test_figures_of_the_database_are_not_told_by_another_policy(
    dsn: str, connection: Connection, tmp_path: Path, command: str
) -> None:
    """--policy is for files: with the database it is wrong use."""
    file = written(tmp_path, "[[policy]]\ntarget = 0.5\n")
    done = CliRunner(env={"PATROL_DATABASE": dsn}).invoke(patrol, [*command.split(), "--policy", str(file)])
    assert done.exit_code == 2
    assert "--policy is for files" in done.output


def test_an_upgrade_lists_the_duties_that_were_counted_without_a_longest_duty(
    database_server: EmbeddedDatabase,
) -> None:
    """Open ones, and those of more than 24 hours, count as they did until a recompute; all others stay."""
    with database_called(database_server, "unlimited") as dsn, connect(dsn) as opened:
        for name, text in migrations():
            if name < "0013":
                opened.execute(text.encode())
        opened.execute("insert into officer (officer_id) values ('O1')")
        for duty_id, hours, cancelled in (
            ("day", 24, False),
            ("year", 8760, False),
            ("open", None, False),
            ("gone", 8760, True),
        ):
            end = None if hours is None else MONDAY + hours * HOUR
            opened.execute(
                "insert into duty (duty_id, officer, revision, start_at, end_at, patch, cancelled) "
                "values (%s, 1, 1, from_us(%s), from_us(%s), '{N1}', %s)",
                [duty_id, MONDAY, end, cancelled],
            )
        [text] = [text for name, text in migrations() if name.startswith("0013")]
        with opened.transaction():
            opened.execute(text.encode())
        rows = (
            "select duty_id, until_at = start_at + interval '24 hours', until_at is null from duty order by 1"
        )
        assert opened.execute(rows.encode()).fetchall() == [
            ("day", True, False),
            ("gone", None, True),
            ("open", False, False),
            ("year", False, False),
        ]
        listed = "select duty_id from policy_outdated join duty using (duty) order by 1"
        assert opened.execute(listed.encode()).fetchall() == [("open",), ("year",)]
        [found] = policies.outdated(opened)
        assert found.duties == 2
