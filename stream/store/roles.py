"""One database role a process, with what it needs and no more.

:data:`GRANTS` is the table: which role may do what with which table, view, sequence or function. A new table
needs a line in it, or a test fails. Roles are groups that nobody signs in as; the logins, their passwords and
how they prove who they are, are the force's own, and are made members of groups.

What is here grants and takes away; it makes no table. It has to be run by the owner of the tables, who is
whoever ran ``patrol init`` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from stream.store.schema import Lock, lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stream.store.schema import Connection

PREFIX: Final = "patrol"
"""How the roles' names begin, unless told otherwise: roles are a whole server's, databases may be several."""

INGEST, WORKER, WEB, READER, OPERATOR, RETENTION = ROLES = (
    *("ingest", "worker", "web", "reader", "operator", "retention"),
)
MEANINGS: Final[Mapping[str, str]] = {
    INGEST: "`patrol ingest`: reads what is usable, and puts on record what Kafka deleted",
    WORKER: "`patrol worker` and `patrol timers`: count, judge, alert, publish reports, delete what is old",
    WEB: "`patrol web`: reads what pages show, notes alerts, keeps accounts and sessions, adds to the record",
    READER: "commands that read: `report weekly`, `export`, `explain`, `teams`, `status`, `postcode` …",
    OPERATOR: "commands that change: `areas`, `policy`, `recompute`, `report publish`, `dead-letters` …, "
    "and the page on which boundaries are published",
    RETENTION: "`patrol retain`: deletes what is older than it may be",
}
"""What each role is for, for people."""

LETTERS: Final[Mapping[str, str]] = {
    "r": "select",
    "a": "insert",
    "w": "update",
    "d": "delete",
    "X": "execute",
    "U": "usage",
}
"""How privileges are written here; ``w`` is also what a row lock needs."""


def _all(read: str = "", **further: str) -> dict[str, str]:
    """Privileges by role.

    Args:
        read: names of roles that may only read, separated by spaces.
        further: letters by role.
    """
    return {**dict.fromkeys(read.split(), "r"), **further}


_FACT: Final = _all("web reader retention")
_SHOWN: Final = _all("worker web reader operator retention")
_EVERYBODY: Final = _all("ingest worker web reader operator retention")

GRANTS: Final[Mapping[str, Mapping[str, str]]] = {
    # What everybody asks before anything else.
    "migration": _EVERYBODY,
    "policy_version": _EVERYBODY | {OPERATOR: "ra"},
    # Boundaries.
    "area_version": _SHOWN | {OPERATOR: "raw"},
    "area_version_version_seq": {OPERATOR: "rw"},
    "area": _SHOWN | {OPERATOR: "ra"},
    "place": _FACT | {WORKER: "ra", OPERATOR: "ra", RETENTION: "ra"},
    # Facts.
    "device": _FACT | {WORKER: "ra", OPERATOR: "ra"},
    "officer": _FACT | {WORKER: "raw", OPERATOR: "raw", READER: "rw", RETENTION: "rw"},
    "duty": _FACT | {WORKER: "rawd", OPERATOR: "raw", RETENTION: "rwd"},
    "duty_revision": _FACT | {WORKER: "rad", OPERATOR: "r", RETENTION: "rd"},
    "allocation": _FACT | {WORKER: "rad", OPERATOR: "r", RETENTION: "rd"},
    "state": _FACT | {WORKER: "rad", OPERATOR: "r", RETENTION: "rd"},
    "fix_row": _FACT | {WORKER: "rd", OPERATOR: "r", RETENTION: "rd"},
    "fix_open": _FACT | {WORKER: "rad", OPERATOR: "r", RETENTION: "rad"},
    "fix_chunk": _FACT | {WORKER: "rad", OPERATOR: "r", RETENTION: "rad"},
    "frame_offset": _all("ingest web reader operator", worker="raw"),
    # What is counted from them.
    "stay": _FACT | {WORKER: "rad", OPERATOR: "rad", RETENTION: "rad"},
    "stay_end": _FACT | {WORKER: "raw", OPERATOR: "raw", RETENTION: "rw"},
    "slice": _FACT | {WORKER: "rad", OPERATOR: "rad", RETENTION: "rd"},
    "slice_end": _FACT | {WORKER: "rawd", OPERATOR: "raw", RETENTION: "rwd"},
    "activity": _SHOWN,
    "suspect": _FACT | {WORKER: "rad", OPERATOR: "ra", RETENTION: "rd"},
    # `patrol export` and the reports judge what is due before they say anything.
    "doubt": _FACT | {WORKER: "rad", OPERATOR: "rad", READER: "rad", RETENTION: "rad"},
    "doubtful": _FACT | {WORKER: "rad", OPERATOR: "rad", READER: "rad", RETENTION: "rad"},
    "doubt_due": _FACT | {WORKER: "rawd", OPERATOR: "rawd", READER: "rawd", RETENTION: "rawd"},
    "doubt_kind": _SHOWN,
    "heard": _FACT | {WORKER: "raw", OPERATOR: "rawd", RETENTION: "rd"},
    "heard_offset": _all("web reader operator", worker="raw"),
    "heard_verdict": _SHOWN,
    "device_day": _FACT | {WORKER: "raw", OPERATOR: "r", RETENTION: "rd"},
    "device_day_basis": _all("web reader operator", worker="raw"),
    "device_due": _all("web reader", worker="rad", operator="ra", retention="rad"),
    "device_seen": _all("web reader", worker="raw", operator="r"),
    "replayed": _all("reader", worker="r", operator="ra"),
    "no_longer_held": _all("web reader operator", ingest="raw", worker="raw"),
    # What is kept, and what was deleted; the worker's timers delete too.
    "hold": _SHOWN | {OPERATOR: "raw"},
    "kept_from": _EVERYBODY | {WORKER: "rw", RETENTION: "rw"},
    "deletion": _SHOWN | {WORKER: "ra", RETENTION: "ra"},
    "erased_hour": _SHOWN | {WORKER: "raw", RETENTION: "raw"},
    # Names are erased by the tables' owner, who may do anything.
    "erased_person": _all("worker reader operator"),
    # What was told, and what became of it.
    "alert": _all("reader operator", worker="rawd", web="rw"),
    "alert_watch": _all("reader operator web", worker="raw"),
    "report": _all("web reader retention", worker="ra", operator="ra"),
    "report_report_seq": {},
    "report_run": _all("web reader operator", worker="ra"),
    "outbox": _all("reader operator", worker="raw"),
    "restatement": _all("web reader", worker="ra", operator="ra", retention="ra"),
    "restated": _all("web reader", worker="ra", operator="ra", retention="ra"),
    "restatement_due": _all("web reader", worker="rad", operator="rad", retention="rad"),
    "settled": _all("web reader", worker="rad", operator="rad", retention="rad"),
    "settled_week": _all("web reader", worker="raw", operator="raw", retention="raw"),
    "recomputed": _all("web reader", worker="rd", operator="rawd", retention="rd"),
    "recompute_run": _all("worker web reader", operator="rad"),
    "recompute_part": _all("worker web reader", operator="rawd"),
    "policy_outdated": _all("web reader", worker="rd", operator="rawd", retention="rd"),
    # Whoever looks or changes adds to the record, and nobody changes it; what is added needs the newest row.
    "record_entry": dict.fromkeys((WORKER, WEB, READER, OPERATOR), "ra") | {RETENTION: "rad"},
    # Accounts and sessions: nobody else reads them.
    "access_account": _all(web="raw", operator="raw"),
    "access_grant": _all(web="rad", operator="rad"),
    "access_session": _all(web="rawd", operator="rawd"),
    "access_token": _all(web="raw", operator="raw"),
    "access_browser": _all(web="rawd", operator="rd"),
    "access_attempt": _all(web="rawd", operator="rawd"),
    "access_provided": _all(web="rawd"),
    "access_message": _all(web="rad"),
    # Views: readable names for what may be read anyway.
    **dict.fromkeys(("policy", "policy_span", "policy_state"), _EVERYBODY),
    **dict.fromkeys(
        (
            *("stays", "slices", "visits", "fix", "officer_slices", "duty_policy"),
            *("doubts", "device_days", "heard_days", "heard_reports", "duty_stays"),
        ),
        _SHOWN,
    ),
    # Sequences of keys that tables give themselves: nobody needs them.
    **{
        f"{name}_seq": {}
        for name in (
            *("device_device", "duty_duty", "officer_officer", "place_place"),
            *(
                "restatement_due_mark",
                "restatement_restatement",
                "access_account_account",
                "access_token_token",
                "hold_hold",
                "deletion_deletion",
                "erased_person_person",
            ),
        )
    },
    # What runs as the owner; all other functions do what their caller may.
    "fix_chunk_day(bigint)": {WORKER: "X"},
    "fix_chunk_drop(bigint)": {WORKER: "X", RETENTION: "X"},
}
"""What each role may do, by table, view, sequence, and function that runs as the owner."""


def objects(connection: Connection) -> dict[str, str]:
    """What there is to be granted, and of which kind each is: ``table``, ``sequence`` or ``function``.

    Partitions are left out: what may be done with a table in parts is said of the whole.
    """
    return {
        str(name): str(kind)
        for name, kind in connection.execute(
            "select relname, case relkind when 'S' then 'sequence' else 'table' end from pg_class "
            "where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') "
            "and not relispartition union all "
            "select proname || '(' || pg_get_function_identity_arguments(oid) || ')', 'function' "
            "from pg_proc where pronamespace = current_schema()::regnamespace and prosecdef order by 1"
        )
    }


def missing_lines(connection: Connection) -> list[str]:
    """What the table of grants does not know, and what it knows that is not there."""
    there = {_bare(name) for name in objects(connection)}
    return sorted(there ^ {_bare(name) for name in GRANTS})


def _bare(name: str) -> str:
    """A function's name without those of its arguments."""
    head, bracket, rest = name.partition("(")
    return (
        f"{head}({', '.join(word.split()[-1] for word in rest[:-1].split(',') if word)})" if bracket else name
    )


def named(role: str, prefix: str = PREFIX) -> str:
    """A role's name in the server."""
    return f"{prefix}_{role}"


def prefixes(connection: Connection) -> list[str]:
    """How the roles begin that have grants in this database."""
    return [
        str(prefix)
        for (prefix,) in connection.execute(
            "select distinct left(rolname, -length('_ingest')) from pg_class c, aclexplode(c.relacl) g "
            "join pg_roles r on r.oid = g.grantee where c.oid = to_regclass('migration') "
            "and rolname like '%%\\_ingest' order by 1"
        )
    ]


def grant(connection: Connection, prefix: str = PREFIX) -> list[str]:
    """Makes the roles that are missing and gives each what the table says, and nothing else; safe to repeat.

    Args:
        connection: of the tables' owner; to make roles it needs CREATEROLE.
        prefix: how the roles' names begin.

    Returns:
        what was done, a line each; empty: all was as it should be.

    Raises:
        psycopg.errors.InsufficientPrivilege: it may not.
    """
    done = []
    with connection.transaction():
        lock(connection, Lock.MIGRATION)
        known = {
            str(name)
            for (name,) in connection.execute(
                "select rolname from pg_roles where rolname = any(%s)",
                [[named(role, prefix) for role in ROLES]],
            )
        }
        for role in ROLES:
            if (name := named(role, prefix)) not in known:
                connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(name)))
                done.append(f"role {name}: made")
        for line, statement in _changes(connection, prefix):
            connection.execute(statement)
            done.append(line)
    return done


def lacking(connection: Connection, prefix: str = PREFIX) -> list[str]:
    """What :func:`grant` would do to the roles that are there, a line each; changes nothing."""
    return [line for line, _ in _changes(connection, prefix)]


def _changes(connection: Connection, prefix: str) -> Iterator[tuple[str, sql.Composed]]:
    """What differs between the table and the database, as words and as a statement."""
    schema = connection.execute("select current_schema()").fetchone()
    assert schema is not None
    there = objects(connection)
    wanted = {_bare(name): by_role for name, by_role in GRANTS.items()}
    people = ["public", *(named(role, prefix) for role in ROLES)]
    have = _granted(connection)
    row = connection.execute("select current_database()").fetchone()
    assert row is not None
    for (name,) in connection.execute(
        "select rolname from pg_roles where rolname = any(%s) "
        "and not has_database_privilege(oid, current_database(), 'CONNECT') order by 1",
        [[named(role, prefix) for role in ROLES]],
    ).fetchall():
        yield (
            f"role {name}: connect to database {row[0]} granted",
            sql.SQL("grant connect on database {} to {}").format(
                sql.Identifier(row[0]), sql.Identifier(name)
            ),
        )
    for role in ROLES:
        if (schema[0], named(role, prefix), "USAGE") not in have:
            yield (
                f"role {named(role, prefix)}: usage of schema {schema[0]} granted",
                sql.SQL("grant usage on schema {} to {}").format(
                    sql.Identifier(schema[0]), sql.Identifier(named(role, prefix))
                ),
            )
    for name, kind in there.items():
        for who in people:
            role = who.removeprefix(f"{prefix}_") if who != "public" else ""
            letters = wanted.get(_bare(name), {}).get(role, "")
            should = {LETTERS[letter].upper() for letter in letters}
            has = {privilege for what, whose, privilege in have if (what, whose) == (name, who)}
            for verb, preposition, privileges in (
                ("grant", "to", should - has),
                ("revoke", "from", has - should),
            ):
                if not privileges:
                    continue
                words = ", ".join(sorted(privileges)).lower()
                what = sql.SQL(name) if kind == "function" else sql.Identifier(name)
                whom = sql.SQL("public") if who == "public" else sql.Identifier(who)
                yield (
                    f"role {who}: {words} on {name} {'granted' if verb == 'grant' else 'taken away'}",
                    sql.SQL(f"{verb} {words} on {kind} {{}} {preposition} {{}}").format(what, whom),
                )


def _granted(connection: Connection) -> set[tuple[str, str, str]]:
    """What is granted now, to all but owners: ``(object, role, privilege)``, schemas among the objects."""
    return {
        (str(name), str(who), str(privilege))
        for name, who, privilege in connection.execute(
            "with found (name, owner, acl) as ("
            "  select relname::text, relowner, coalesce(relacl, acldefault('r', relowner)) from pg_class "
            "  where relnamespace = current_schema()::regnamespace and not relispartition "
            "  union all select proname || '(' || pg_get_function_identity_arguments(oid) || ')', proowner, "
            "  coalesce(proacl, acldefault('f', proowner)) from pg_proc "
            "  where pronamespace = current_schema()::regnamespace and prosecdef "
            "  union all select nspname::text, nspowner, coalesce(nspacl, acldefault('n', nspowner)) "
            "  from pg_namespace "
            "  where oid = current_schema()::regnamespace) "
            "select name, coalesce(rolname, 'public'), privilege_type from found, aclexplode(acl) g "
            "left join pg_roles r on r.oid = g.grantee where g.grantee <> found.owner"
        )
    }


def document() -> str:
    """The table for people, in Markdown."""
    lines = [
        "# What each process may do in the database",
        "",
        (
            "Printed by `patrol init --grants`; a test compares them. `r` select, `a` insert, `w` update "
            "(and lock rows), `d` delete, `X` execute. How roles are made and used: "
            "[deploy/README.md](README.md#one-role-a-process)."
        ),
        "",
        "| role | of |",
        "|---|---|",
        *(f"| `{named(role)}` | {MEANINGS[role]} |" for role in ROLES),
        "",
        f"| table, view or function | {' | '.join(ROLES)} |",
        f"|---|{'---|' * len(ROLES)}",
    ]
    for name, by_role in sorted(GRANTS.items()):
        if by_role:
            lines.append(f"| `{name}` | {' | '.join(by_role.get(role, '') for role in ROLES)} |")
    return "\n".join([*lines, ""])
