"""Slices and figures as PostgreSQL's multiranges see them: sets of instants, and what is left of them.

Rules 8 to 16 again, each a query of a line or ten. Nothing steps through time: a duty, a device's time in
a place, a state are sets of microseconds (``int8multirange``), and what counts as what is their intersection,
union and difference. Maximal intervals are what PostgreSQL makes of a set by itself. Stays, bookings and
states come in as rows, of many worlds at once; no other room's code comes in.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from stream.core.facts import Duty, StateReport

FOREVER = 2**62

SCHEMA = """
create temp table world (world int, period int8range, horizon int8);
create temp table stay (
    world int, device text collate "C", during int8range,
    neighbourhood text, premises text, priorities text[], near text[]);
create temp table booking (
    world int, booking int, duty text collate "C", revision int, canonical text collate "C", officer text,
    opens int8, closes int8, patch text[], policy int, cancelled bool);
create temp table allocation (
    world int, booking int, device text collate "C", kind text, opens int8, closes int8);
create temp table report (world int, officer text, at int8, state int);
create temp table meaning (policy int, state int, counts text, name text);

create function pg_temp.span(int8, int8) returns int8multirange language sql immutable as
    $$ select case when $1 < $2 then int8multirange(int8range($1, $2)) else '{}' end $$;
create function pg_temp.length(int8multirange) returns int8 language sql immutable as
    $$ select coalesce(sum(upper(r) - lower(r)), 0)::int8 from unnest($1) r $$;
"""
"""The facts, and two functions; all of it temporary, so that a connection is a sheet of paper."""

RULES = """
-- Rules 8 and 8a: the last word on each duty, unless it was cancelled, or booked for more than 24 hours.
create temp table standing as
    select * from (
        select distinct on (world, duty) * from booking order by world, duty, revision desc, canonical desc
    ) latest where not cancelled and closes - opens <= 86400000000;

-- An officer's instant belongs to the duty that started latest, then to the greatest id.
create temp table duty as
    select d.*, pg_temp.span(d.opens, d.closes) - coalesce((
        select range_agg(pg_temp.span(o.opens, o.closes)) from standing o
        where o.world = d.world and o.officer = d.officer and (o.opens, o.duty) > (d.opens, d.duty)
    ), '{}') as own
    from standing d;

-- Rule 9: a device is to be believed where it is known and no better one is.
create temp table claim as
    select d.world, d.booking, a.device,
        row_number() over (
            partition by d.world, d.booking
            order by a.kind <> 'radio', greatest(d.opens, a.opens) desc, a.device
        ) as rank,
        pg_temp.span(greatest(d.opens, a.opens), least(d.closes, a.closes)) * coalesce((
            select range_agg(s.during) from stay s
            where s.world = d.world and s.device = a.device and s.priorities is not null
        ), '{}') as known
    from duty d join allocation a using (world, booking);
create temp table believed as
    select c.world, c.booking, c.device, c.known - coalesce((
        select range_agg(b.known) from claim b
        where b.world = c.world and b.booking = c.booking and b.rank < c.rank
    ), '{}') as known
    from claim c;
create temp table seen as
    select d.*, b.device, s.neighbourhood, s.premises, s.priorities, s.near,
        d.own * b.known * int8multirange(s.during) as during
    from duty d join believed b using (world, booking)
    join stay s on s.world = d.world and s.device = b.device and s.priorities is not null
        and b.known && s.during;
create temp table whereabouts as
    select * from seen
    union all
    select d.*, null, null, null, null::text[], null::text[], d.own - coalesce((
        select range_agg(s.during) from seen s where s.world = d.world and s.booking = d.booking
    ), '{}')
    from duty d;

-- Rule 10: a state holds from when it was keyed to the next, 1 at the start.
create temp table keyed as
    select d.world, d.booking, d.opens as at, 1 as state
    from duty d where not exists (
        select from report r where r.world = d.world and r.officer = d.officer and r.at = d.opens)
    union all
    select d.world, d.booking, r.at, max(r.state)
    from duty d join report r on r.world = d.world and r.officer = d.officer and r.at >= d.opens
    group by d.world, d.booking, r.at;
create temp table held as
    select world, booking, state, range_agg(during) as during from (
        select world, booking, state, pg_temp.span(at, coalesce(
            lead(at) over (partition by world, booking order by at), 4611686018427387904)) as during
        from keyed
    ) each group by world, booking, state;
create temp table status as
    select h.world, h.booking, h.state, coalesce(m.counts, 'visible') as counts, m.name, h.during
    from held h join duty d using (world, booking)
    left join meaning m on m.policy = d.policy and m.state = h.state;

-- Rule 11: state by state, the first that applies.
create temp table judged as
    select w.world, w.booking, w.officer, w.duty, w.patch, w.device, w.neighbourhood, w.premises,
        w.priorities, w.near, s.state, w.during * s.during as during,
        case when s.counts = 'break' then 'break'
             when s.counts = 'not_visible' then 'not_visible'
             when w.priorities is null then 'unknown'
             when w.premises is not null then 'not_visible'
             when w.neighbourhood = any (w.patch) then 'on_patch'
             else 'off_patch' end as activity,
        case when s.counts = 'break' then ''
             when s.counts = 'not_visible' then s.name
             when w.priorities is null then ''
             when w.premises is not null then w.premises
             when w.neighbourhood = any (w.patch) then ''
             else coalesce(w.neighbourhood, 'outside') end as reason,
        s.counts = 'visible' as by_place
    from whereabouts w join status s using (world, booking)
    where s.counts <> 'off_duty' and w.during && s.during;

-- Rule 12: what agrees in all but its time is one set, and a slice is one of its intervals.
create temp table slice as
    select world, officer, duty, lower(r) as opens, upper(r) as closes,
        activity, reason, neighbourhood, premises, priorities, device
    from (
        select world, officer, duty, activity, reason, neighbourhood, premises, priorities, device,
            range_agg(during) as during
        from judged
        group by world, officer, duty, activity, reason, neighbourhood, premises, priorities, device
    ) sets, unnest(during) r;

-- Rules 13 to 16: what each duty holds within the period.
create temp table item as
    select i.*,
        -- Rule 14: the classes that the device may be in, some of them in the patch and some not.
        by_place and near <> '{}' and classes && patch and not classes <@ patch as ambiguous
    from (
        select j.*, pg_temp.length(j.during * int8multirange(w.period)) as time,
            j.near || case when j.premises is null then coalesce(j.neighbourhood, '') else '' end as classes
        from judged j join world w using (world)
    ) i where time > 0;

-- Rule 15: who counts for whom. An officer without a patch in the period has his time, and no share.
create temp table counted as
    select 'force' as scope, '' as id, true as has_share, i.* from item i where patch <> '{}'
    union all
    select 'neighbourhood', n, true, i.* from item i, unnest(patch) n
    union all
    select 'officer', officer, patch <> '{}', i.* from item i
    where patch <> '{}' or (world, officer) not in (select world, officer from item where patch <> '{}');
create temp table figure as
    select world, scope, id, bool_or(has_share) as has_share,
        coalesce(sum(time) filter (where activity = 'on_patch'), 0)::int8 as on_patch,
        coalesce(sum(time) filter (where activity = 'off_patch'), 0)::int8 as off_patch,
        coalesce(sum(time) filter (where activity = 'not_visible'), 0)::int8 as not_visible,
        coalesce(sum(time) filter (where activity = 'unknown'), 0)::int8 as unknown,
        coalesce(sum(time) filter (where activity = 'break'), 0)::int8 as on_break,
        coalesce(sum(time) filter (where activity = 'on_patch' and priorities <> '{}'), 0)::int8 as priority,
        coalesce(sum(time) filter (where activity = 'on_patch' and ambiguous), 0)::int8 as ambiguous_on,
        coalesce(sum(time) filter (where activity <> 'on_patch' and ambiguous), 0)::int8 as ambiguous_off
    from counted group by world, scope, id;

-- Rule 16: off-patch and not-visible time by where and by state.
create temp table abstraction as
    select world, scope, id, activity,
        case when priorities is null then '' else coalesce(neighbourhood, 'outside') end as neighbourhood,
        coalesce(premises, '') as premises, state, sum(time)::int8 as time
    from counted where activity in ('off_patch', 'not_visible')
    group by 1, 2, 3, 4, 5, 6, 7;
"""
"""The rules, each a table made of those before it."""


class Where(NamedTuple):
    """A place, or all ``None`` where unknown."""

    neighbourhood: str | None
    premises: str | None
    priorities: tuple[str, ...] | None
    near: tuple[str, ...] | None


UNKNOWN = Where(None, None, None, None)


@dataclass(frozen=True)
class Facts:
    """What one world consists of.

    Attributes:
        stays: ``(device, start, end, where)``, µs.
        duties: revisions of bookings.
        states: radio states.
        policies: the policy of each booking, a key of the meanings.
        period: ``(from, to)``, µs.
        horizon: where open duties end, µs.
    """

    stays: Sequence[tuple[str, int, int, Where]]
    duties: Sequence[Duty]
    states: Sequence[StateReport]
    policies: Sequence[int]
    period: tuple[int, int]
    horizon: int


def _span(start: int, end: int) -> str:
    return f"[{start},{end})" if start < end else "empty"


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Gives a connection the empty tables."""
    connection.execute(SCHEMA.encode())


def load(
    connection: psycopg.Connection[Any],
    worlds: Iterable[Facts],
    meanings: Mapping[int, Mapping[int, tuple[str, str]]],
) -> None:
    """Puts worlds, numbered from 0, in place of those that were there, and applies the rules to them.

    Args:
        connection: prepared.
        worlds: the facts.
        meanings: for each policy, for each state what it counts as and its name (rule 10).
    """
    rows: dict[str, list[tuple[Any, ...]]] = {
        "world": [],
        "stay": [],
        "booking": [],
        "allocation": [],
        "report": [],
        "meaning": [
            (policy, state, *meaning)
            for policy, states in meanings.items()
            for state, meaning in states.items()
        ],
    }
    for world, facts in enumerate(worlds):
        rows["world"].append((world, _span(*facts.period), facts.horizon))
        rows["stay"] += [
            (
                world,
                device,
                _span(start, end),
                where.neighbourhood,
                where.premises,
                None if where.priorities is None else list(where.priorities),
                None if where.near is None else list(where.near),
            )
            for device, start, end, where in facts.stays
        ]
        for booking, (duty, policy) in enumerate(zip(facts.duties, facts.policies, strict=True)):
            # Rule 8a: an open duty counts for its first 24 hours, as far as is asked.
            closes = min(facts.horizon, duty.start + 86_400_000_000) if duty.end is None else duty.end
            booked = {name: value for name, value in asdict(duty).items() if name != "longest"}
            text = json.dumps(booked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            rows["booking"].append(
                (
                    *(world, booking, duty.duty_id, duty.revision, text, duty.officer_id),
                    *(duty.start, closes, list(duty.patch), policy, duty.cancelled),
                )
            )
            rows["allocation"] += [
                (world, booking, item.device_id, item.kind, item.start, item.end) for item in duty.devices
            ]
        rows["report"] += [(world, item.officer_id, item.time, item.state) for item in facts.states]
    made = re.findall(r"create temp table (\w+)", RULES)
    connection.execute(f"drop table if exists {', '.join(made)}; truncate {', '.join(rows)}".encode())
    with connection.cursor() as cursor:
        for table, content in rows.items():
            with cursor.copy(f"copy {table} from stdin".encode()) as copy:
                for row in content:
                    copy.write_row(row)
    # What the planner knows of a table decides whether hundreds of worlds take a second or an hour.
    connection.execute(f"analyze {', '.join(rows)}".encode())
    for table, rule in zip(made, re.split(r"(?=create temp table)", RULES)[1:], strict=True):
        connection.execute(rule.encode())
        connection.execute(f"analyze {table}".encode())


def slices(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """The slices of every world: ``(world, officer, duty, start, end, activity, reason, place, device)``."""
    found = connection.execute("select * from slice order by world, officer, opens").fetchall()
    return [(*row[:7], None if row[9] is None else (row[7], row[8], tuple(row[9])), row[10]) for row in found]


def figures(connection: psycopg.Connection[Any]) -> dict[tuple[int, str, str], tuple[Any, ...]]:
    """By world, scope and id: has a share, and µs on and off patch, not visible, unknown, on break, in
    priority areas, ambiguous on and off patch.
    """
    return {row[:3]: row[3:] for row in connection.execute("select * from figure").fetchall()}


def abstraction(connection: psycopg.Connection[Any]) -> dict[tuple[Any, ...], int]:
    """By world, scope, id, activity, neighbourhood, premises and state: µs (rule 16)."""
    return {row[:7]: row[7] for row in connection.execute("select * from abstraction").fetchall()}
