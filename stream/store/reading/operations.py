"""What whoever runs the system asks of the database: versions, connections, sizes, and how its timers are.

Reads only, and nothing that grows with the facts: sizes and counts of rows are the server's own estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Timers:
    """What is done now and then, and what waits for it.

    Attributes:
        newest_age_s: age of the newest position that is not ahead of the database's clock, seconds; None:
            there is none.
        watched_age_s: seconds since somebody last looked for alerts; None: nobody has.
        reports_age_s: seconds since reports were last published; None: never.
        letters_waiting: letters that are still to be sent.
        letters_failed: letters that were given up in the last seven days.
        doubts_due: duties whose doubts are to be judged.
        devices_due: days of devices with late facts, to be looked at again.
        facts_due: later facts whose effect on settled weeks is to be put on record.
        outdated: duties that are still counted by a policy that was replaced.
    """

    newest_age_s: float | None
    watched_age_s: float | None
    reports_age_s: float | None
    letters_waiting: int
    letters_failed: int
    doubts_due: int
    devices_due: int
    facts_due: int
    outdated: int


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table, with its parts where it has any.

    Attributes:
        name: its name.
        rows: about how many.
        size: bytes, with indexes.
        parts: how many parts it is in; 1 where it has none.
    """

    name: str
    rows: int
    size: int
    parts: int = 1


CHUNKS: Final[Mapping[str, str]] = {"fix_chunk": "closed", "fix_open": "open", "fix_row": "rows"}
"""Where facts are kept as hours of devices: tables, and what is said of them."""


@dataclass(frozen=True, slots=True)
class ConnectedProcess:
    """A program that has a connection to the database.

    Attributes:
        name: what it says that it is: ``patrol worker``.
        host: where it runs; empty: on the database's own machine.
        since_s: for how long the oldest of its connections has been open, seconds; None: the server does not
            tell this role.
    """

    name: str
    host: str
    since_s: float | None


def timers(connection: Connection) -> Timers:
    """How the timers are, by the database's clock."""
    [row] = connection.execute(
        "select (select extract(epoch from now()) - max(newest) / 1e6 from stay_end "
        "        where newest between 0 and extract(epoch from now()) * 1e6), "
        "(select extract(epoch from now() - observed) from alert_watch), "
        "(select extract(epoch from now() - max(finished_at)) from report_run), "
        "(select count(*) from outbox where state = 'queued'), "
        "(select count(*) from outbox where state = 'failed' and settled_at > now() - interval '7 days'), "
        "(select count(*) from doubt_due), "
        "(select count(*) from device_due), "
        "(select count(*) from restatement_due), "
        "(select count(*) from policy_outdated)"
    ).fetchall()
    newest, watched, reports = (None if age is None else max(0.0, float(age)) for age in row[:3])
    return Timers(newest, watched, reports, *map(int, row[3:]))


def newest_migration(connection: Connection) -> str:
    """The schema's version: the name of the newest migration that was applied."""
    row = connection.execute("select max(name) from migration").fetchone()
    return str(row[0]) if row is not None and row[0] else ""


def server_version(connection: Connection) -> str:
    """PostgreSQL's own version."""
    return str(connection.info.parameter_status("server_version") or "")


def tables(connection: Connection) -> list[StoredTable]:
    """The tables, the largest first; a table in parts is one."""
    return [
        StoredTable(str(name), max(0, int(rows)), int(size), max(1, int(parts)))
        for name, rows, size, parts in connection.execute(
            "with recursive part as ("
            "  select c.oid, c.oid as top from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            "  where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
            "  union all select i.inhrelid, part.top from pg_inherits i join part on i.inhparent = part.oid) "
            "select t.relname::text, sum(coalesce(s.n_live_tup, 0)), sum(pg_total_relation_size(p.oid)), "
            "count(*) filter (where p.oid <> p.top) "
            "from part p join pg_class t on t.oid = p.top left join pg_stat_user_tables s on s.relid = p.oid "
            "group by t.relname order by 3 desc, 1"
        )
    ]


def processes(connection: Connection) -> list[ConnectedProcess]:
    """The programs of this project that are connected now, but for this connection's own."""
    return [
        ConnectedProcess(str(name), str(host), None if since is None else max(0.0, float(since)))
        for name, host, since in connection.execute(
            "select split_part(application_name, ':', 1), coalesce(host(client_addr), ''), "
            # Of other roles' connections the server tells only those who may see all statistics since when.
            "extract(epoch from max(now() - backend_start)) "
            "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            "and application_name like 'patrol %' group by 1, 2 order by 1, 2"
        )
    ]


def held(connection: Connection) -> set[int]:
    """The advisory locks of this project that somebody holds: see ``stream.store.schema.Lock``."""
    return {
        int(key)
        for (key,) in connection.execute(
            "select (classid::bigint << 32) | objid::bigint from pg_locks "
            "where locktype = 'advisory' and granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
    }


def chunks(found: Iterable[StoredTable]) -> dict[str, int]:
    """About how many rows hold an hour of a device, by state."""
    return {CHUNKS[table.name]: table.rows for table in found if table.name in CHUNKS}


def oldest_day_age(connection: Connection) -> int | None:
    """How many days ago a position was first heard; None: none was. It looks at every row of ``heard``."""
    row = connection.execute(
        "select current_date - (date '1970-01-01' + min(day)) from heard where day > -2147483648"
    ).fetchone()
    return None if row is None or row[0] is None else max(0, int(row[0]))
