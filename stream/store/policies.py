"""Policies on record: dated, numbered, and never changed; what everybody counts by.

A policy that is loaded replaces, from its date on, all that were loaded before it, and changes nothing
earlier. Loading waits until running batches end, and every batch looks under the same lock whether it has the
newest number (``stream.store.desk``): so nothing is counted by a policy that has been replaced.

What was counted before, for times from that date on, stays as it is until a recompute. Such duties are listed
(``policy_outdated``) by whoever loads, so that counting pays nothing for it, and every other duty was counted
by what is in force for its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geo.matching.history import FOREVER
from stream.core.calendar import LOCAL, microseconds, moment
from stream.core.facts import SECOND
from stream.core.policy import (
    BEGINNING,
    Policies,
    PolicyError,
    canonical,
    counted_by,
    differences,
    policy_of,
    spans,
)
from stream.settings import SettingsError, read_policies
from stream.store import areas
from stream.store.schema import Lock, SchemaError, lock

if TYPE_CHECKING:
    from stream.core.policy import Difference, Policy
    from stream.settings import Settings
    from stream.store.schema import Connection

EDITION = "(select coalesce(max(version), 0) from policy_version)"
"""SQL: the newest number on record."""

NEWEST = "(select from_us(max(newest)) from stay_end)"
"""SQL: the time of the newest fix."""

COUNTED_TO = (
    "greatest(start_at, least(greatest(until_at, "
    "counted_until(start_at, end_at, cancelled, longest_duty(start_at))), "
    f"case when end_at is null then coalesce({NEWEST}, start_at) end))"
)
"""SQL: up to where a duty was counted, or will be by the policies in force."""

SHOWN = 3
"""How many differences are named in one line."""


class PolicyLoadError(ValueError):
    """A policy that cannot be loaded; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy as it was loaded.

    Attributes:
        version: its number.
        start: in force from, microseconds; ``BEGINNING``: always.
        end: until when it is in force, exclusive; None: no longer at any time, because others replaced it.
        loaded_at: microseconds.
    """

    version: int
    start: int
    end: int | None
    policy: Policy
    why: str
    loaded_by: str
    loaded_at: int


@dataclass(frozen=True, slots=True)
class Outdated:
    """Duties counted by a policy that has been replaced for their time since.

    Attributes:
        version: by which they were counted.
        duties: how many.
        start: of the first, microseconds.
        end: of the last; the newest event's time where it is open.
    """

    version: int
    duties: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading did, or would do.

    Attributes:
        versions: the new numbers; none where nothing differed.
        changed: what is different from before, by time and setting.
        replaced: numbers that no longer come into force, though they would have.
        outdated: all duties that have to be counted again.
    """

    versions: tuple[int, ...]
    changed: tuple[Difference, ...]
    replaced: tuple[int, ...]
    outdated: tuple[Outdated, ...]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


def edition(connection: Connection) -> int:
    """The newest number on record: where it is another than ``Policies.edition``, there are newer ones."""
    row = connection.execute(f"select {EDITION}".encode()).fetchone()
    return 0 if row is None else int(row[0])


def in_force(connection: Connection) -> Policies:
    """The policies in force, by the times from which they are.

    Raises:
        SchemaError: one has a setting that this program does not know.
    """
    rows = connection.execute(
        f"select {_us('valid_from')}, settings, version, {EDITION} from policy order by valid_from".encode()
    ).fetchall()
    return Policies(
        tuple(int(row[0]) for row in rows),
        tuple(_policy(row[1]) for row in rows),
        tuple(int(row[2]) for row in rows),
        int(rows[0][3]),
    )


def _policy(settings: dict[str, Any]) -> Policy:
    try:
        return policy_of(settings)
    except PolicyError as error:
        raise SchemaError(str(error)) from error


def _us(column: str) -> str:
    """A time as microseconds in SQL, the beginning and the end of all time too."""
    return (
        f"(case when isfinite({column}) then extract(epoch from {column}) * 1000000 "
        f"when {column} > 'epoch' then {FOREVER} else {BEGINNING} end)::int8"
    )


class Known:
    """The policies in force, read again only where another was loaded since; for one thread at a time."""

    def __init__(self) -> None:
        self.policies = Policies()

    def now(self, connection: Connection) -> Policies:
        """The policies in force at this moment.

        Raises:
            psycopg.Error: the database is away, or has no policies yet.
            SchemaError: one has a setting that this program does not know.
        """
        if self.policies.edition != edition(connection):
            self.policies = in_force(connection)
        return self.policies


def agreed(connection: Connection, settings: Settings) -> Policies:
    """The policies in force, after a look whether the file that ``PATROL_POLICY`` names says the same.

    Raises:
        SettingsError: it says something else, or cannot be used; the message says what to do.
    """
    found = in_force(connection)
    if settings.policy:
        other = differences(found, read_policies(settings.policy))
        if other:
            raise SettingsError(
                f"PATROL_POLICY={settings.policy} differs from the policy in the database: {listed(other)}. "
                f"The database decides: unset PATROL_POLICY, or make its file what counts with "
                f"'patrol policy load {settings.policy} --from DATE --why TEXT'"
            )
    return found


def listed(changed: list[Difference]) -> str:
    """A few differences in one line."""
    said = []
    for item in changed[:SHOWN]:
        since = (
            f" from {moment(item.start).astimezone(LOCAL):%Y-%m-%d %H:%M}" if item.start > BEGINNING else ""
        )
        said.append(f"{item.setting} {item.before} there, {item.after} in the file{since}")
    more = len(changed) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


def records(connection: Connection) -> list[PolicyRecord]:
    """All policies on record, the oldest number first."""
    ends: dict[Any, int] = dict(
        connection.execute(f"select version, {_us('valid_to')} from policy_span".encode()).fetchall()
    )
    return [
        PolicyRecord(
            int(version),
            int(start),
            ends.get(version),
            _policy(settings),
            str(why),
            str(by),
            microseconds(at),
        )
        for version, start, settings, why, by, at in connection.execute(
            f"select version, {_us('valid_from')}, settings, why, loaded_by, loaded_at from policy_version "
            "order by version".encode()
        ).fetchall()
    ]


def outdated(connection: Connection) -> tuple[Outdated, ...]:
    """The duties that a recompute would count by other policies than they were, by the number on record."""
    return tuple(
        Outdated(int(version), int(duties), int(start), int(end))
        for version, duties, start, end in connection.execute(
            f"select version, count(*), {_us('min(start_at)')}, "
            f"{_us(f'max({COUNTED_TO})')} "
            "from policy_outdated join duty using (duty) group by version order by version".encode()
        ).fetchall()
    )


# ── loading ───────────────────────────────────────────────────────────────────────────────────────────────


def load(
    connection: Connection, wanted: Policies, since: int, *, by: str, why: str, dry_run: bool = False
) -> Loaded:
    """Puts policies in force from a time on; what is in force before it stays.

    Only from the first difference on anything is loaded, one number for each date; where nothing differs,
    nothing is.

    Args:
        connection: outside any transaction.
        wanted: what shall be in force from ``since`` on.
        since: microseconds; ``BEGINNING``: at all times.
        by: who loads.
        why: the reason, for the record.
        dry_run: only look.

    Raises:
        PolicyLoadError: there is no reason.
    """
    if not why.strip():
        raise PolicyLoadError("say why with --why TEXT: it stands on record beside the policy")
    with connection.transaction(force_rollback=dry_run):
        # Nothing is counted meanwhile, nor are two loaded at once.
        areas.hold(connection, publishing=True)
        lock(connection, Lock.POLICY)
        before = in_force(connection)
        parts = spans(before, wanted, since)
        if not parts:
            return Loaded((), (), (), outdated(connection))
        first = parts[0][0]
        later = [(at, item) for at, item in zip(wanted.starts, wanted.policies, strict=True) if at > first]
        numbers = []
        for number, (start, policy) in enumerate([(first, wanted.at(first)), *later], before.edition + 1):
            connection.execute(
                "insert into policy_version (version, valid_from, settings, why, loaded_by) "
                "values (%s, from_us(%s), %s::jsonb, %s, %s)",
                [number, start, canonical(policy).decode(), why, by],
            )
            numbers.append(number)
        for start, end, one, other in parts:
            _outdate(connection, start, end, (one, other), before, numbers[-1])
        return Loaded(
            tuple(numbers),
            tuple(differences(before, wanted, since)),
            tuple(
                version
                for start, version in zip(before.starts, before.versions, strict=True)
                if start >= first
            ),
            outdated(connection),
        )


def _outdate(
    connection: Connection,
    start: int,
    end: int,
    differ: tuple[Policy, Policy],
    before: Policies,
    newest: int,
) -> None:
    """Lists the duties whose slices may be others now that another policy is in force in ``[start, end)``.

    Those whose devices had a fix then, where stays are counted otherwise; those that began then, where radio
    statuses count otherwise and there was one, or where they are counted to another time (rule 8a).
    """
    one, other = (counted_by(policy) for policy in differ)
    was, now = one.pop("states"), other.pop("states")
    one.pop("longest_duty_s"), other.pop("longest_duty_s")
    # A leg that begins before the time may end otherwise, where its end is judged to be a jump (rule 3).
    longest_s = max(max(policy.parked_gap_s, policy.max_gap_s) for policy in (*before.policies, *differ))
    reach = start if start == BEGINNING else max(BEGINNING, start - int(longest_s * SECOND))
    given = {
        "newest": newest,
        "start": start,
        "end": end,
        "reach": reach,
        "stays": one != other,
        "states": was != now,
        # Every duty begins in status 1, reported or not (rule 10).
        "first": was.get("1") != now.get("1"),
        "longest": differ[1].longest_duty,
    }
    ends = (*before.starts[1:], FOREVER)
    for low, high, version in zip(before.starts, ends, before.versions, strict=True):
        # Which of the older ones counted a duty is said by its start, or by the first that differs.
        connection.execute(
            "insert into policy_outdated (duty, version, loaded) "
            "select duty, %(version)s, %(newest)s from duty d where not cancelled "
            "and start_at < from_us(%(end)s) and coalesce(end_at, 'infinity') > from_us(%(reach)s) "
            "and greatest(start_at, from_us(%(start)s)) >= from_us(%(low)s) "
            "and greatest(start_at, from_us(%(start)s)) < from_us(%(high)s) "
            "and (until_at is not null and (%(stays)s and exists ("
            "select from allocation a join stay_end e using (device) "
            "where a.duty = d.duty and e.newest >= %(start)s and from_us(e.newest) >= d.start_at) "
            "or %(states)s and start_at >= from_us(%(start)s) and (%(first)s or exists (select from state s "
            "where s.officer = d.officer and s.time >= d.start_at and s.time < d.until_at))) "
            "or start_at >= from_us(%(start)s) and until_at is distinct from "
            "counted_until(start_at, end_at, cancelled, %(longest)s)) "
            "on conflict (duty) do update set loaded = excluded.loaded",
            given | {"version": version, "low": low, "high": high},
        )


def counted_again(connection: Connection, start: int, end: int, officer_id: str | None, newest: int) -> None:
    """Takes the duties that lie in ``[start, end)`` off the list: all of them was counted again.

    Args:
        connection: in a transaction.
        start: microseconds.
        end: microseconds, exclusive.
        officer_id: only this officer's.
        newest: the newest number on record when it began: what was loaded since is not in it.
    """
    connection.execute(
        "delete from policy_outdated o using duty d join officer using (officer) where o.duty = d.duty "
        "and d.start_at >= from_us(%s) and (cancelled "
        f"or {COUNTED_TO} <= from_us(%s)) "
        "and (%s::text is null or officer_id = %s) and loaded <= %s".encode(),
        [start, end, officer_id, officer_id, newest],
    )
