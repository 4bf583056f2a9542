"""What must not change a figure does not: worlds are told in another way, and everything comes out the same.

No oracle is asked here. A world is changed in a manner of which the rules say what it does (mostly: nothing),
and stays, slices, figures with their bounds, and visits are compared with those of the world as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.hours import OwnHours
from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.facts import SECOND, Allocation, StateReport
from stream.core.policy import BEGINNING, Policies, Policy
from stream.core.shares import shares
from stream.core.slices import ACTIVITIES, NO_DEVICE, newest, slices, whole_slices
from stream.core.stays import stays, whole_stays
from stream.core.visits import reach, visits
from tests.strategies import (
    DECIMAL,
    NEIGHBOURHOODS,
    OFFICERS,
    PREMISES,
    PRIORITIES,
    RADIOS,
    VEHICLES,
    World,
    fix_columns,
    many,
    micros,
)
from tests.worlds import busy, busy_world, horizon

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.strategies import Fix, Shape, Version

WEEK = 7 * 24 * 3600 * SECOND

HOURS = {"P1": {"days": "Mon", "hours": "08:05-08:20"}, "P10": {"days": "Mon-Sun", "hours": "23:55-00:10"}}
"""Two priority areas have days and hours of their own."""

Span = tuple[int, int, Any]
"""``(start, end, what)``, µs."""


@dataclass(frozen=True)
class Outcome:
    """All that is counted in a world, by names and with nothing that depends on how it was counted.

    Attributes:
        stays: by device.
        slices: by duty, with activity, state where it decides, place and device.
        bounds: by duty, ambiguous time of each slice (rule 14).
        figures: by scope and id.
        visits: sorted.
    """

    stays: Mapping[str, list[Span]]
    slices: Mapping[str, list[Span]]
    figures: Mapping[tuple[str, str], tuple[int, ...]]
    bounds: Mapping[tuple[str, str], tuple[int, int]]
    visits: list[tuple[object, ...]]


PLAIN = Policies(policies=(replace(Policy(), visit_min_s=20.0, visit_join_s=5.0),))
"""Short visits, so that these small worlds have some."""

ANY_SPEED = Policies(policies=(replace(PLAIN.policies[0], jump_speed_mps=1e12),))


def outcome(world: World, policies: Policies = PLAIN, *, device_ids: Sequence[str] = ()) -> Outcome:
    """Everything that comes out of a world; ``device_ids`` gives another numbering of devices."""
    history = AreaHistory(
        [
            (BEGINNING if since is None else since, AreaSet.of(_area(*row) for row in rows))
            for since, rows in sorted(world.versions, key=lambda v: BEGINNING if v[0] is None else v[0])
        ]
    )
    fixes = fix_columns(world.fixes)
    if device_ids:
        number = np.array([device_ids.index(name) for name in fixes.device_ids], np.int32)
        fixes = replace(fixes, device=number[fixes.device], device_ids=tuple(device_ids))
    duties, until = newest(world.duties), horizon(world)
    fine_stays = stays(fixes, history, policies)
    fine = slices(duties, fine_stays, fixes.device_ids, world.states, history.places, policies)

    whole = whole_stays(fine_stays, history.places)
    by_device: dict[str, list[Span]] = {}
    for device, start, end, place in _rows(whole.device, whole.start, whole.end, whole.place):
        by_device.setdefault(fixes.device_ids[device], []).append((start, end, _where(history, place)))
    by_duty: dict[str, list[Span]] = {}
    joined, _ = whole_slices(fine, duties, history.places, policies, until=until)
    for duty, start, end, activity, state, place, device in _rows(
        *(joined.duty, joined.start, joined.end, joined.activity, joined.state, joined.place, joined.device)
    ):
        source = None if device == NO_DEVICE else fixes.device_ids[device]
        by_duty.setdefault(duties[duty].duty_id, []).append(
            (start, end, (ACTIVITIES[activity], state, _where(history, place), source))
        )
    figures = shares(fine, duties, history.places, *world.period)
    windows = OwnHours.of(history.versions, *reach(fine, duties, until))
    seen = visits(fine, duties, history.places, policies, windows, until=until)
    return Outcome(
        by_device,
        by_duty,
        {
            (item.scope, item.id): (
                *(item.on_patch, item.off_patch, item.not_visible, item.unknown),
                *(item.on_break, item.priority, int(item.has_share)),
            )
            for item in figures
        },
        {(item.scope, item.id): (item.ambiguous_on, item.ambiguous_off) for item in figures},
        sorted(
            (seen.area_ids[area], seen.officer_ids[officer], *rest)
            for area, officer, *rest in _rows(
                *(seen.area, seen.officer, seen.start, seen.end, seen.dwell, seen.in_window, seen.home_team)
            )
        ),
    )


def _area(kind: str, name: str, shape: Shape) -> Area:
    return Area(Kind(kind), name, name, shape, HOURS.get(name.removeprefix("Q-"), {}))


def _rows(*columns: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _where(history: AreaHistory, number: int) -> tuple[object, ...] | None:
    return None if number == UNKNOWN else tuple(history.places[number][:3])


# Worlds in which much happens: two officers for an hour, on and off three small grounds.


# Another time.


@many(20)
@given(world=busy(DECIMAL), weeks=st.sampled_from([1, -1, 3]))
def test_a_week_later_everything_is_the_same_a_week_later(world: World, weeks: int) -> None:
    """All times moved by whole weeks of winter: the same, areas' own days and hours included."""
    assume(world.period[0] >= micros("2026-11-15T00:00:00+00:00"))
    assert outcome(_moved(world, weeks * WEEK)) == _later(outcome(world), weeks * WEEK)


@many(20)
@given(world=busy(DECIMAL), by=st.integers(-(10**12), 10**12).map(lambda k: 2 * k))
def test_times_are_only_compared(world: World, by: int) -> None:
    """All times moved by any even number of microseconds: the same, but for the hours of areas.

    Even, because a crossing on half a microsecond is put on the even one.
    """
    one, two = _later(outcome(world), by), outcome(_moved(world, by))
    assert [row[:5] + row[6:] for row in two.visits] == [row[:5] + row[6:] for row in one.visits]
    assert replace(two, visits=[]) == replace(one, visits=[])


def _moved(world: World, by: int) -> World:
    def at(time: int | None) -> int | None:
        return None if time is None else time + by

    return World(
        fixes=tuple((name, time + by, *rest) for name, time, *rest in world.fixes),  # type: ignore[misc]
        versions=tuple((at(since), rows) for since, rows in world.versions),
        duties=tuple(
            replace(
                duty,
                start=duty.start + by,
                end=at(duty.end),
                devices=tuple(replace(item, start=at(item.start), end=at(item.end)) for item in duty.devices),
            )
            for duty in world.duties
        ),
        states=tuple(replace(report, time=report.time + by) for report in world.states),
        as_of=world.as_of + by,
        period=(world.period[0] + by, world.period[1] + by),
    )


def _later(found: Outcome, by: int) -> Outcome:
    def spans(rows: list[Span]) -> list[Span]:
        return [(start + by, end + by, what) for start, end, what in rows]

    return replace(
        found,
        stays={name: spans(rows) for name, rows in found.stays.items()},
        slices={name: spans(rows) for name, rows in found.slices.items()},
        visits=[(*row[:2], row[2] + by, row[3] + by, *row[4:]) for row in found.visits],  # type: ignore[operator]
    )


# Other names.


@many(20)
@given(world=busy(DECIMAL), data=st.data())
def test_names_are_only_names(world: World, data: st.DataObject) -> None:
    """Other names in the same order change nothing; nor do officers and priority areas in any order.

    The order of neighbourhoods, premises, devices and duties decides where nothing else does (rules 5, 8, 9).
    """
    ordered = (*NEIGHBOURHOODS, "N9", *PREMISES, *RADIOS, *VEHICLES, "D1", "D2", "D3")
    names = {name: f"Q-{name}" for name in ordered}
    for some in (OFFICERS, PRIORITIES):
        names |= dict(zip(some, data.draw(st.permutations(some)), strict=True))
    # Hours go with the area, so those that have them keep their names here.
    names |= {name: name for name in PRIORITIES if name in HOURS or names[name] in HOURS}
    assert outcome(_renamed(world, names)) == _called(outcome(world), names)


@many(20)
@given(world=busy(DECIMAL), order=st.permutations((*RADIOS, *VEHICLES, "R0", "W9")))
def test_numbers_of_devices_mean_nothing(world: World, order: list[str]) -> None:
    """Devices numbered in another order, with others among them that never reported: the same."""
    assert outcome(world, device_ids=order) == outcome(world)


def _renamed(world: World, names: Mapping[str, str]) -> World:
    return replace(
        world,
        fixes=tuple((names[fix[0]], *fix[1:]) for fix in world.fixes),
        versions=tuple(
            (since, tuple((kind, names[name], shape) for kind, name, shape in rows))
            for since, rows in world.versions
        ),
        duties=tuple(
            replace(
                duty,
                duty_id=names[duty.duty_id],
                officer_id=names[duty.officer_id],
                patch=tuple(sorted(names[name] for name in duty.patch)),
                devices=tuple(replace(item, device_id=names[item.device_id]) for item in duty.devices),
            )
            for duty in world.duties
        ),
        states=tuple(replace(report, officer_id=names[report.officer_id]) for report in world.states),
    )


def _called(found: Outcome, names: Mapping[str, str]) -> Outcome:
    def place(where: Any) -> Any:
        if where is None:
            return None
        hood, site, priorities = where
        return names.get(hood), names.get(site), tuple(sorted(names[name] for name in priorities))

    def joined(rows: list[Span]) -> list[Span]:
        return [
            (start, end, (what[0], what[1], place(what[2]), names.get(what[3]))) for start, end, what in rows
        ]

    return Outcome(
        {names[name]: [(s, e, place(p)) for s, e, p in rows] for name, rows in found.stays.items()},
        {names[name]: joined(rows) for name, rows in found.slices.items()},
        {(scope, names.get(name, name)): row for (scope, name), row in found.figures.items()},
        {(scope, names.get(name, name)): row for (scope, name), row in found.bounds.items()},
        sorted((names[area], names[who], *rest) for area, who, *rest in found.visits),  # type: ignore[index]
    )


# Another order, and the same again.


@many(20)
@given(world=busy(DECIMAL))
def test_arrival_in_reverse_changes_nothing(world: World) -> None:
    """Fixes, bookings, states and versions that come in in reverse: the same."""
    backwards = replace(
        world,
        fixes=world.fixes[::-1],
        duties=world.duties[::-1],
        states=world.states[::-1],
        versions=world.versions[::-1],
    )
    assert outcome(backwards) == outcome(world)


@many(20)
@given(world=busy(DECIMAL), data=st.data())
def test_repetitions_change_nothing(world: World, data: st.DataObject) -> None:
    """Facts told twice, older revisions after newer ones, and worse reports of a known fix: the same."""

    def some(facts: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(data.draw(st.lists(st.sampled_from(facts), max_size=4))) if facts else ()

    best: dict[tuple[str, int], Fix] = {}
    for fix in sorted(world.fixes, key=lambda f: (f[4] is None, f[4] or 0.0, f[2], f[3]), reverse=True):
        best[fix[:2]] = fix
    # Of one identity the smallest error counts, of equals the smallest lon (rule 1).
    worse = tuple((*f[:2], f[2] + 0.001, f[3] - 0.001, f[4]) for f in some(list(best.values())))
    vague = tuple((*f[:2], f[2] - 0.001, f[3], None) for f in some(list(best.values())) if f[4] is not None)
    again = replace(
        world,
        fixes=(*some(world.fixes), *worse, *world.fixes, *vague),
        duties=(*world.duties, *some(world.duties)),
        states=(*some(world.states), *world.states),
    )
    assert outcome(again) == outcome(world)


@many(20)
@given(world=busy(), data=st.data())
def test_a_fix_on_the_way_says_nothing_new(world: World, data: st.DataObject) -> None:
    """A fix half-way along a moving leg, at half its time: the same, to a microsecond a crossing.

    Its error is that of the leg. Bounds are left out: a leg's distances are those of its own middle latitude.
    """
    best: dict[tuple[str, int], Fix] = {}
    for fix in sorted(
        world.fixes, key=lambda f: (float("inf") if f[4] is None else f[4], f[2], f[3]), reverse=True
    ):
        best[fix[:2]] = fix
    legs = [
        (a, b)
        for a, b in pairwise(sorted(best.values(), key=lambda f: f[:2]))
        if a[0] == b[0] and 1 < b[1] - a[1] <= 300 * SECOND and (b[1] - a[1]) % 2 == 0
    ]
    assume(legs)
    more: list[Fix] = [
        (a[0], (a[1] + b[1]) // 2, (a[2] + b[2]) / 2, (a[3] + b[3]) / 2, max(a[4] or 10.0, b[4] or 10.0))
        for a, b in data.draw(st.lists(st.sampled_from(legs), min_size=1, unique=True))
    ]
    one = outcome(world, ANY_SPEED)
    two = outcome(replace(world, fixes=(*world.fixes, *more)), ANY_SPEED)
    for was, became in ((one.stays, two.stays), (one.slices, two.slices)):
        assert was.keys() == became.keys()
        for name, rows in was.items():
            assert _apart(rows, became[name]) <= len(rows) + len(became[name])
    borders = sum(map(len, one.slices.values()))
    assert one.figures.keys() == two.figures.keys()
    for key, figure in one.figures.items():
        assert all(abs(a - b) <= borders for a, b in zip(figure, two.figures[key], strict=True))


def _apart(one: list[Span], other: list[Span]) -> int:
    """Microseconds in which two rows of intervals do not say the same."""
    marks = sorted({at for start, end, _ in (*one, *other) for at in (start, end)})
    apart, i, j = 0, 0, 0
    for start, end in pairwise(marks):
        while i < len(one) and one[i][1] <= start:
            i += 1
        while j < len(other) and other[j][1] <= start:
            j += 1
        here = one[i][2] if i < len(one) and one[i][0] <= start else "nothing"
        there = other[j][2] if j < len(other) and other[j][0] <= start else "nothing"
        apart += end - start if here != there else 0
    return apart


# A duty in two.


@many(20)
@given(world=busy(DECIMAL), data=st.data())
def test_a_duty_in_two_is_the_same_time(world: World, data: st.DataObject) -> None:
    """A duty booked as two, one after the other: the same figures, bounds and visits, and slices end to end.

    What rules 8 to 10 take from a duty's start goes along: the state in force is keyed anew, an officer has
    one duty, and of each kind one device, so that no order of allocation is lost.
    """
    first: dict[str, Any] = {}
    for duty in newest(world.duties):
        if not duty.cancelled:
            devices = {item.kind: item for item in reversed(duty.devices)}
            first.setdefault(duty.officer_id, replace(duty, devices=tuple(devices.values())))
    duties = list(first.values())
    assume(duties)
    until = horizon(world)
    duty = data.draw(st.sampled_from(duties))
    ends = until if duty.end is None else duty.end
    assume(ends - duty.start >= 2)
    inner = sorted({t for fix in world.fixes if duty.start < (t := fix[1]) < ends})
    middle = data.draw(
        st.one_of(st.integers(duty.start + 1, ends - 1), *([st.sampled_from(inner)] if inner else []))
    )

    def devices_of(start: int, end: int) -> tuple[Allocation, ...]:
        return tuple(
            replace(
                item,
                start=start if item.start is None else max(start, item.start),
                end=None
                if item.end is None and end == ends
                else min(end, ends if item.end is None else item.end),
            )
            for item in duty.devices
        )

    halves = (
        replace(duty, duty_id="D1a", end=middle, devices=devices_of(duty.start, middle)),
        replace(duty, duty_id="D1b", start=middle, devices=devices_of(middle, ends)),
    )
    keyed = [r for r in world.states if r.officer_id == duty.officer_id and duty.start <= r.time <= middle]
    states = world.states
    if keyed and max(r.time for r in keyed) < middle:
        last = max(keyed, key=lambda r: (r.time, r.state))
        states = (*states, StateReport(duty.officer_id, middle, last.state))
    plain = replace(world, duties=tuple(duties))
    split = replace(world, duties=(*(d for d in duties if d != duty), *halves), states=states)
    one, two = outcome(plain), outcome(split)
    ends_to_end = two.slices.get("D1a", []) + two.slices.get("D1b", [])
    assert _apart(one.slices.get(duty.duty_id, []), ends_to_end) == 0
    assert all(end <= middle for _, end, _ in two.slices.get("D1a", []))
    assert {name: rows for name, rows in two.slices.items() if name not in {"D1a", "D1b"}} == {
        name: rows for name, rows in one.slices.items() if name != duty.duty_id
    }
    assert replace(two, slices={}) == replace(one, slices={})


# The same ground, drawn in another way.


@many(20)
@given(world=busy(), data=st.data())
def test_more_vertices_on_the_same_lines_change_nothing(world: World, data: st.DataObject) -> None:
    """Edges with a vertex in their middle, rings begun elsewhere or run the other way: the same."""
    refined = tuple(data.draw(st.lists(st.booleans(), min_size=24, max_size=24)))
    turn, flip = data.draw(st.integers(0, 5)), data.draw(st.booleans())

    def ring(line: Any) -> list[tuple[float, float]]:
        vertices = list(line.coords)[:-1]
        found: list[tuple[float, float]] = []
        for at, (p, q) in enumerate(pairwise([*vertices, vertices[0]])):
            found += [p, ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)] if refined[at % len(refined)] else [p]
        found = found[turn % len(found) :] + found[: turn % len(found)]
        return found[::-1] if flip else found

    def drawn(shape: Shape) -> Shape:
        parts = [
            shapely.Polygon(ring(part.exterior), [ring(hole) for hole in part.interiors])
            for part in shapely.get_parts(shape).tolist()
        ]
        return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts[::-1])

    versions: tuple[Version, ...] = tuple(
        (since, tuple((kind, name, drawn(shape)) for kind, name, shape in rows))
        for since, rows in world.versions
    )
    one, two = outcome(world), outcome(replace(world, versions=versions))
    assert replace(two, bounds={}) == replace(one, bounds={})
    # Distances from half an edge are computed with other roundings: a microsecond a border, now and then.
    for key, pair in one.bounds.items():
        assert all(abs(a - b) <= 100 for a, b in zip(pair, two.bounds[key], strict=True)), key


@many(20)
@given(world=busy(DECIMAL), data=st.data())
def test_the_same_areas_published_again_change_nothing(world: World, data: st.DataObject) -> None:
    """A version published again under a new date: the same, wherever the date falls."""
    versions = sorted(world.versions, key=lambda v: BEGINNING if v[0] is None else v[0])
    number = data.draw(st.integers(0, len(versions) - 1))
    since = versions[number][0] or min(fix[1] for fix in world.fixes) if world.fixes else 0
    until = versions[number + 1][0] if number + 1 < len(versions) else since + 3600 * SECOND
    assert until is not None
    assume(until - since > 1)
    again = (data.draw(st.integers(since + 1, until - 1)), versions[number][1])
    one, two = outcome(world), outcome(replace(world, versions=(*world.versions, again)))
    assert two == one


def test_these_worlds_have_something_to_lose() -> None:
    """Busy worlds have visits, ambiguous time and every activity: nothing is compared with nothing."""
    seen = [outcome(busy_world(seed)) for seed in range(40)]
    assert sum(len(each.visits) for each in seen) > 50
    assert any(0 < row[5] < row[4] for each in seen for row in each.visits)  # type: ignore[operator]
    assert {row[6] for each in seen for row in each.visits} == {True, False}
    for side in (0, 1):
        assert sum(any(pair[side] for pair in each.bounds.values()) for each in seen) > 10
    assert {what[0] for each in seen for rows in each.slices.values() for *_, what in rows} == set(ACTIVITIES)
