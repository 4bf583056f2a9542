"""One database role a process: each may do what the table says, and nothing else; and it is enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from click.testing import CliRunner

from stream.cli import patrol
from stream.cli.serve import initialise
from stream.embedded import EmbeddedBroker, EmbeddedDatabase, free_port
from stream.pipeline.failures import exit_code, told
from stream.store import roles
from stream.store.roles import GRANTS, LETTERS, ROLES, document, grant, lacking, missing_lines, named, objects
from stream.store.schema import connect, migrate
from tests.shell.pipeline import Pipeline, aside, assert_same, demo_facts, invoke, offline
from tests.shell.secure import Papers, SecureKafka, TlsDatabase, allow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.store.schema import Connection

DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "roles.md"
SECRET = "Zq-%s"
PEOPLE = ("ingest", "worker", "web", "reader", "operator")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Where certificates are made."""
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedDatabase]:
    """A PostgreSQL with roles of its own: roles are a whole server's."""
    with EmbeddedDatabase() as found:
        yield found


@pytest.fixture(scope="module")
def tls(papers: Papers) -> Iterator[TlsDatabase]:
    """One that is reached over TLS."""
    with TlsDatabase(papers) as found:
        yield found


@pytest.fixture
def owned(server: EmbeddedDatabase) -> Iterator[Connection]:
    """A database with the schema and roles, as its owner."""
    with psycopg.connect(server.dsn, autocommit=True) as administrator:
        administrator.execute("create database roles template template0")
    try:
        with connect(server.dsn_of("roles")) as connection:
            migrate(connection)
            grant(connection)
            yield connection
    finally:
        with psycopg.connect(server.dsn, autocommit=True) as administrator:
            administrator.execute("drop database roles with (force)")


def test_every_table_has_a_line(owned: Connection) -> None:
    """What there is, and nothing else, stands in the table of grants: a new table needs a line."""
    assert missing_lines(owned) == []
    owned.execute("create table forgotten (n int)")
    assert missing_lines(owned) == ["forgotten"]


def test_the_document_is_the_table() -> None:
    """deploy/roles.md is what the program prints."""
    assert DOCUMENT.read_text(encoding="utf-8") == document() == invoke(["init", "--grants"])
    assert all(set(letters) <= set(LETTERS) for by_role in GRANTS.values() for letters in by_role.values())
    assert all(set(by_role) <= set(ROLES) for by_role in GRANTS.values())


def attempts(connection: Connection, name: str, kind: str) -> dict[str, str]:
    """A statement that needs each privilege on something, by the privilege's letter; it changes nothing."""
    if kind == "function":
        return {"X": f"select {name.partition('(')[0]}(null)"}
    if kind == "sequence":
        return {"r": f"select last_value from {name}", "w": f"select setval('{name}', 1)"}
    row = connection.execute(
        "select attname, relkind from pg_attribute a join pg_class c on c.oid = attrelid "
        "where attrelid = %s::regclass and attnum > 0 and attidentity = '' and attgenerated = '' "
        "order by attnum limit 1",
        [name],
    ).fetchone()
    assert row is not None
    if row[1] == "v":  # what is written through a view is refused before its privileges are looked at
        return {"r": f"select from {name} limit 0"}
    return {
        "r": f"select from {name} limit 0",
        "a": f"insert into {name} default values",
        "w": f"update {name} set {row[0]} = {row[0]} where false",
        "d": f"delete from {name} where false",
        "truncate": f"truncate {name}",
        "drop": f"drop table {name}",
        "alter": f"alter table {name} add column more int",
    }


def test_each_role_is_refused_what_it_is_not_granted(owned: Connection) -> None:
    """Every privilege on every table, tried as every role, is refused unless the table grants it."""
    there = objects(owned)
    bare = {roles._bare(name): by_role for name, by_role in GRANTS.items()}
    wrong = []
    tried = 0
    for name, kind in there.items():
        for letter, statement in attempts(owned, name, kind).items():
            for role in ROLES:
                try:
                    with owned.transaction(force_rollback=True):
                        owned.execute(f"set local role {named(role)}".encode())
                        owned.execute(statement.encode())
                    let = True
                except psycopg.errors.InsufficientPrivilege as failure:
                    let = "the record is only added to" in str(failure)  # its own rule, beyond privileges
                except psycopg.Error:
                    let = True  # refused for what it is, not for who asks
                tried += 1
                if let != (letter in bare[roles._bare(name)].get(role, "")):
                    wrong.append(f"{role} {'may' if let else 'may not'}: {statement}")
    assert wrong == []
    assert tried > 6 * 300


def test_no_role_makes_tables_or_signs_in(owned: Connection) -> None:
    """Roles own nothing, make nothing, and are no logins."""
    for role in ROLES:
        owned.execute(f"set role {named(role)}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owned.execute("create table mine (n int)")
    owned.execute("reset role")
    found = owned.execute(
        "select count(*) from pg_roles where rolname like 'patrol\\_%' and (rolcanlogin or rolsuper)"
    ).fetchone()
    assert found == (0,)


def test_grants_are_mended_and_nothing_is_said_where_all_is_right(owned: Connection) -> None:
    """What is lacking is granted and what is too much is taken away, whoever it was given to among ours."""
    assert grant(owned) == lacking(owned) == []
    assert roles.prefixes(owned) == ["patrol"]
    owned.execute("revoke connect on database roles from public")
    assert [line.partition(": ")[2] for line in grant(owned)] == ["connect to database roles granted"] * len(
        ROLES
    )
    owned.execute("revoke select on duty from patrol_web")
    owned.execute("grant delete on duty to patrol_web")
    owned.execute("grant select on duty to public")
    owned.execute("grant execute on function fix_chunk_day(bigint) to public")
    said = lacking(owned)
    assert said == grant(owned)
    assert sorted(said) == sorted(
        [
            "role public: select on duty taken away",
            "role patrol_web: select on duty granted",
            "role patrol_web: delete on duty taken away",
            "role public: execute on fix_chunk_day(begins bigint) taken away",
        ]
    )
    assert grant(owned) == []


def test_init_makes_roles_keeps_them_and_says_what_is_missing(
    owned: Connection, server: EmbeddedDatabase, embedded_broker: EmbeddedBroker
) -> None:
    """Roles of another prefix are made once; each init mends their grants, and --check only names them."""
    given = {
        "PATROL_KAFKA": embedded_broker.bootstrap,
        "PATROL_TOPIC_PREFIX": "roles.",
        "PATROL_DATABASE": server.dsn_of("roles"),
        "PATROL_PARTITIONS": "1",
    }
    said = invoke(["init", "--roles", "leics"], given)
    assert "database: role leics_ingest: made" in said
    assert "database: roles have what they need, and no more" in invoke(["init", "--roles", "leics"], given)
    owned.execute("revoke select on duty from leics_web")
    line = "role leics_web: select on duty granted"
    checked = CliRunner().invoke(patrol, ["init", "--check"], env=given)
    assert (checked.exit_code, checked.output) == (1, f"database: to be done by 'patrol init': {line}\n")
    assert f"database: {line}" in invoke(["init"], given).splitlines()
    assert CliRunner().invoke(patrol, ["init", "--check"], env=given).exit_code == 0
    assert CliRunner().invoke(patrol, ["init", "--roles", "Leics; drop"], env=given).exit_code == 2
    owned.execute(
        "drop owned by leics_ingest, leics_worker, leics_web, leics_reader, leics_operator, leics_retention"
    )


def test_what_a_role_may_not_do_is_told_in_one_line(owned: Connection) -> None:
    """A command whose role may not do something says what it was and where to look; so does making roles."""
    for statement, table in (("delete from duty", "table duty"), ("create role more", "create role")):
        owned.execute("set role patrol_web")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            owned.execute(statement.encode())
        owned.execute("reset role")
        assert exit_code(caught.value) == 2
        assert table in told(caught.value)
        assert "deploy/roles.md" in told(caught.value)
        assert "\n" not in told(caught.value)


def test_a_day_is_made_by_whoever_owns_nothing(owned: Connection) -> None:
    """The worker makes a partition in the right schema, whatever it calls its own temporary tables."""
    owned.execute("set role patrol_worker")
    owned.execute("create temporary table fix_chunk (at bigint) on commit preserve rows")
    owned.execute("select fix_chunk_day(86400000000)")
    owned.execute("select fix_chunk_day(86400000000)")
    owned.execute("reset role")
    found = owned.execute(
        "select inhparent::regclass::text, inhrelid::regclass::text from pg_inherits "
        "where inhrelid::regclass::text like 'fix%' and inhparent = 'public.fix_chunk'::regclass"
    ).fetchall()
    assert found == [("public.fix_chunk", "fix_chunk_19700102")]
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="midnight"):
        owned.execute("select fix_chunk_day(1)")


def test_a_certificate_of_the_database_is_verified(tls: TlsDatabase, papers: Papers) -> None:
    """A server of another authority, with another name or without encryption is refused, and named."""
    with psycopg.connect(tls.dsn_of("postgres"), autocommit=True) as administrator:
        administrator.execute("create role somebody login password 'Zq-somebody'")
    good = tls.over_tls("somebody", "Zq-somebody", options="-c%20search_path%3Dpg_catalog")
    with connect(good) as connection:
        assert connection.execute(
            "select ssl, current_setting('search_path') from pg_stat_ssl where pid = pg_backend_pid()"
        ).fetchone() == (True, "pg_catalog")
    stranger = papers.authority(papers.stranger)
    for changes, said in (
        ({"sslrootcert": stranger}, "certificate verify failed"),
        ({"sslrootcert": "/nowhere.pem"}, 'root certificate file "/nowhere.pem" does not exist'),
        ({"host": "localhost.localdomain", "hostaddr": "127.0.0.1"}, "does not match host name"),
        ({"sslmode": "disable"}, "no encryption"),
    ):
        dsn = tls.over_tls("somebody", "Zq-somebody", **changes)
        done = CliRunner().invoke(
            patrol, ["explain", "--force", "--week", "2026-W47"], env={"PATROL_DATABASE": dsn}
        )
        assert isinstance(done.exception, psycopg.OperationalError), done
        assert said in str(done.exception), changes
        assert "Zq-somebody" not in str(done.exception)


class Apart(Pipeline):
    """A pipeline whose processes each sign in as themselves, at Kafka and at the database, over TLS."""

    kafka: SecureKafka
    server: TlsDatabase
    name: str

    def as_role(self, role: str) -> dict[str, str]:
        """The settings of a process or command that is a member of a role."""
        place = self.folder / role
        place.mkdir(exist_ok=True)
        (place / "dsn").write_text(self.server.over_tls(f"login_{role}", SECRET % role, self.name))
        (place / "kafka").write_text(SECRET % role)
        brokers = self.kafka.brokers("users", user=role)
        return {
            "PATROL_DATABASE_FILE": str(place / "dsn"),
            "PATROL_KAFKA": brokers.addresses,
            "PATROL_KAFKA_SECURITY": "SASL_SSL",
            "PATROL_KAFKA_CA": brokers.ca,
            "PATROL_KAFKA_USER": role,
            "PATROL_KAFKA_PASSWORD_FILE": str(place / "kafka"),
            "PATROL_TOPIC_PREFIX": self.settings.topic_prefix,
        }

    def prepare(self) -> None:
        """Makes roles too, logins that are members of them, and users of Kafka that may do what they need."""
        super().prepare()
        aside(lambda: initialise(self.settings, "patrol"))
        with psycopg.connect(self.server.dsn_of(self.name), autocommit=True) as administrator:
            for name in PEOPLE:
                words = f"login password '{SECRET % name}' in role {named(name)}"
                administrator.execute(f"create role login_{name} {words}".encode())
        for name, rules in KAFKA_ACCESS.items():
            allow(self.kafka.bootstrap, name, self.settings.topic_prefix, rules)

    @property
    def environment(self) -> dict[str, str]:
        """Of the process that is started next."""
        role = {"web": "web", "ingest": "ingest"}.get(self.starting.split()[0], "worker")
        given = dict(super().environment)
        given.pop("PATROL_DATABASE")
        return given | self.as_role(role)

    starting = ""

    def start(self, part: str) -> None:
        """Remembers whose settings are wanted."""
        self.starting = part
        super().start(part)


KAFKA_ACCESS = {
    "ingest": [
        *(("topic", name, "read") for name in ("radio.positions", "vehicle.positions", "duty.")),
        *(("topic", name, "write") for name in ("patrol.", "dead.letters")),
        ("group", "patrol-", "read"),
    ],
    "worker": [
        ("topic", "patrol.", "read"),
        *(("topic", name, "describe") for name in ("radio.", "vehicle.", "duty.")),
        *(("topic", name, "write") for name in ("visibility.", "dead.letters")),
        ("group", "patrol-", "read"),
    ],
    "reader": [("topic", "", "read"), ("group", "patrol-", "describe")],
    "operator": [("topic", "", "read"), ("topic", "", "write"), ("group", "patrol-", "describe")],
}
"""What deploy/README.md says that each needs at Kafka."""


@pytest.mark.kafka
def test_everything_goes_through_with_tls_users_and_roles(
    tls: TlsDatabase, papers: Papers, tmp_path: Path
) -> None:
    """Positions become figures on a page, each process with its own user and role, and nobody may do more."""
    with psycopg.connect(tls.dsn_of("postgres"), autocommit=True) as administrator:
        administrator.execute("create database apart template template0")
    facts = demo_facts(tmp_path / "facts", hours=0.25)
    with SecureKafka(papers, {name: SECRET % name for name in PEOPLE}) as kafka:
        port = free_port()
        parts = ("ingest", "worker --without-timers", "timers", f"web --port={port}")
        pipeline = Apart(kafka.bootstrap, tls.dsn_of("apart"), tmp_path / "apart", parts=parts)
        pipeline.kafka, pipeline.server, pipeline.name = kafka, tls, "apart"
        with pipeline:
            operator, reader = pipeline.as_role("operator"), pipeline.as_role("reader")
            for path, kind in facts.areas:
                invoke(["areas", "load", str(path), "--kind", kind, "--from", "2000-01-01"], operator)
            pipeline.send(facts.messages)
            pipeline.settle()
            folder = tmp_path / "export"
            words = ["export", "--until", "2026-01-26T23:00:00Z", "--out", str(folder)]
            invoke(words, reader)
            assert_same(pipeline.export(facts.until), offline(facts, tmp_path / "offline"))
            shares = pipeline.records("visibility.shares")
            pipeline.wait(lambda: next(shares), "figures are published")
            pipeline.wait(lambda: live(port) == 200, "the page is answered")
            assert CliRunner().invoke(patrol, ["status"], env=reader).exit_code in (0, 1)
            invoke(["recompute", "--from", "2026-01-26", "--to", "2026-02-02"], operator)
            refused = CliRunner().invoke(
                patrol, ["recompute", "--from", "2026-01-26", "--to", "2026-02-02"], env=reader
            )
            assert isinstance(refused.exception, psycopg.errors.InsufficientPrivilege), refused.output


def live(port: int) -> int:
    """How the live page's API answers."""
    return httpx.get(f"http://127.0.0.1:{port}/api/v1/live").status_code
