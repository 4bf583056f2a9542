"""What is so right now that somebody may want to know, and the words in which it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.hours import OwnHours
from geo.matching.history import FOREVER, UNKNOWN
from geo.matching.places import Place
from stream.core.facts import SECOND, Allocation, Duty
from stream.core.live.alerts import FEED_STOPPED, KINDS, OFF_PATCH_LONG, TRACKER_SILENT, Observation
from stream.core.live.conditions import HEARD, conditions
from stream.core.live.overview import Awaited, DayTracks, Depth, Picture, Units, deepen
from stream.core.policy import Policies
from stream.core.shares import TOTALS
from stream.core.slices import NO_DEVICE, NO_STATE, OFF_PATCH, ON_PATCH, Slices
from tests.strategies import many, micros

NOW = micros("2026-11-23T12:00:00+00:00")
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
AREAS = AreaSet.of(
    [
        Area(Kind.NEIGHBOURHOOD, "N1", "Abbey", shapely.box(-1.2, 52.6, -1.1, 52.7)),
        Area(Kind.NEIGHBOURHOOD, "N2", "Belgrave", shapely.box(-1.1, 52.6, -1.0, 52.7)),
        Area(Kind.PREMISES, "N2", "Keyham Lane", shapely.box(-1.05, 52.65, -1.04, 52.66)),
    ]
)
PLACES = (Place("N1", None, ()), Place("N2", None, ()), Place("N2", "N2", ()), Place(None, None, ()))


def duty(*devices: Allocation, start: int = NOW - 4 * HOUR) -> Duty:
    """An officer of the Abbey who has been on duty for four hours."""
    return Duty("D1", 1, "O1", start, NOW + 4 * HOUR, ("N1",), devices, name="PC 1001")


def seen(booked: Duty, last_fix: dict[str, int], place: int = 0, silent_for: int = 0) -> Observation:
    """What is so while the officer has been in one place since the duty began."""
    activity = ON_PATCH if place == 0 else OFF_PATCH
    row = (0, booked.start, NOW + HOUR, activity, NO_STATE, place, NO_DEVICE)
    kinds = (np.int32, np.int64, np.int64, np.int8, np.int16, np.int32, np.int32)
    track = Slices(*(np.array([value], kind) for value, kind in zip(row, kinds, strict=True)))
    tracks = DayTracks(NOW, (booked,), track, PLACES, OwnHours.of([], 0, 1))
    depth: Depth = deepen(tracks, AREAS, Policies())
    nothing = np.empty(0)
    units = Units(
        (), nothing.astype(np.int64), nothing, nothing, nothing, nothing, nothing, nothing.astype(np.int32)
    )
    picture = Picture(
        as_of=NOW,
        newest=NOW,
        duties=(booked,),
        table=np.zeros((1, TOTALS), np.int64),
        ends=track,
        places=PLACES,
        areas=AREAS,
        units=units,
        last_fix=last_fix,
    )
    return conditions(picture, [], depth, silent_for, 300 * SECOND)


def texts(found: Observation, kind: str) -> list[str]:
    """What is said of one kind."""
    return [item.text for item in found.conditions if item.kind == kind]


# ── Priority areas ────────────────────────────────────────────────────────────────────────────────────────


def market(area_id: str, name: str, **said: str) -> Area:
    """A priority area."""
    return Area(Kind.PRIORITY, area_id, name, shapely.box(-1.15, 52.65, -1.14, 52.66), said)


def awaited(areas: list[Area], *stretches: tuple[int, int, int, int]) -> tuple[Awaited, ...]:
    """Priority areas as they are shown at noon on a Monday, after stretches of the duties D0 and D1.

    Args:
        areas: the priority areas.
        stretches: on patch: the duty's number, from and to in minutes before noon, the area's number.
    """
    named = [area.area_id for area in areas]
    rows = sorted(
        (number, NOW - low * MINUTE, NOW - high * MINUTE, ON_PATCH, NO_STATE, place, NO_DEVICE)
        for number, low, high, place in stretches
    )
    kinds = (np.int32, np.int64, np.int64, np.int8, np.int16, np.int32, np.int32)
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    track = Slices(*(np.array(values, kind) for values, kind in zip(columns, kinds, strict=True)))
    duties = tuple(Duty(f"D{n}", 1, f"O{n}", NOW - 40 * HOUR, NOW + HOUR, ("N1",)) for n in range(2))
    places = tuple(Place("N1", None, (name,)) for name in named)
    found = AreaSet.of([*AREAS.areas(), *areas])
    windows = OwnHours.of([(NOW - 100 * HOUR, found)], NOW - 48 * HOUR, NOW + HOUR)
    return deepen(DayTracks(NOW, duties, track, places, windows), found, Policies()).awaited


def test_a_priority_area_is_shown_with_all_that_is_known_of_it() -> None:
    """What was published of it, its hours, its last visit, who is there, and the visits since midnight."""
    areas = [
        market("P1", "Market", issue="theft", days="Mon-Fri", hours="11:30-14:00"),
        market("P2", "Station Road", hours="20:00-22:00"),
    ]
    found = awaited(areas, (0, 60, 50, 0), (0, 20, 0, 0), (0, 0, -30, 0), (1, 13 * 60, 730, 1), (1, 5, -5, 0))
    assert found == (
        Awaited(
            "P1", "Market", "theft", "Mon-Fri", "11:30-14:00", True, NOW - 30 * MINUTE, NOW, 2, 3, 35 * MINUTE
        ),
        Awaited("P2", "Station Road", "", "", "20:00-22:00", False, FOREVER, NOW - 730 * MINUTE, 0, 0, 0),
    )


@pytest.mark.parametrize(("ago", "told"), [(24 * 60, False), (24 * 60 - 1, True)])
def test_a_visit_is_told_for_a_day(ago: int, told: bool) -> None:
    """A visit that ended a day ago or more is as none."""
    [found] = awaited([market("P1", "Market")], (0, 25 * 60, ago, 0))
    assert found.last_visit_end == (NOW - ago * MINUTE if told else None)


# ── Silent devices ────────────────────────────────────────────────────────────────────────────────────────


def test_a_device_handed_back_is_not_held() -> None:
    """Whose radio went back an hour ago is silent, however loud that radio is in other hands."""
    booked = duty(Allocation("R1", "radio", None, NOW - HOUR), Allocation("V1", "vehicle"))
    found = seen(booked, {"R1": NOW, "V1": NOW - 20 * MINUTE})
    assert texts(found, TRACKER_SILENT) == ["PC 1001: no position since 11:40 (vehicle V1)"]


def test_who_holds_no_device_is_not_silent() -> None:
    """Who has handed back the only device, or is yet to be given one, is not called silent."""
    for start, end in ((None, NOW - HOUR), (NOW + HOUR, None), (NOW - HOUR, NOW)):
        assert texts(seen(duty(Allocation("R1", "radio", start, end)), {}), TRACKER_SILENT) == []


TIMES: st.SearchStrategy[int | None] = st.none() | st.integers(-3, 3).map(lambda step: NOW + step * HOUR)


@many(150)
@given(st.lists(st.tuples(TIMES, TIMES, st.none() | st.integers(-30, 0)), min_size=1, max_size=3))
def test_silence_is_judged_by_the_devices_in_hand(
    held: list[tuple[int | None, int | None, int | None]],
) -> None:
    """An officer is silent since the last position of those devices that are in hand at this very instant."""
    devices = [Allocation(f"R{n}", "radio", start, end) for n, (start, end, _) in enumerate(held)]
    last = {f"R{n}": NOW + age * MINUTE for n, (_, _, age) in enumerate(held) if age is not None}
    in_hand = [
        name
        for (start, end, _), name in zip(held, [item.device_id for item in devices], strict=True)
        if (-np.inf if start is None else start) <= NOW < (np.inf if end is None else end)
    ]
    since = max([NOW - 4 * HOUR, *(last[name] for name in in_hand if name in last)])
    found = [item for item in seen(duty(*devices), last).conditions if item.kind == TRACKER_SILENT]
    if not in_hand or NOW - since < HEARD:
        assert found == []
        return
    [item] = found
    assert (item.scope, item.id, item.since) == ("officer", "O1", since)
    assert item.text.endswith(f"({', '.join(f'radio {name}' for name in in_hand)})")


@pytest.mark.parametrize(("age", "silent"), [(HEARD - 1, False), (HEARD, True)])
def test_a_short_silence_is_none(age: int, silent: bool) -> None:
    """A device counts as heard until two whole minutes have passed."""
    found = seen(duty(Allocation("R1", "radio")), {"R1": NOW - age})
    assert bool(texts(found, TRACKER_SILENT)) is silent


# ── Off patch, and a feed that stands still ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("place", "where"),
    [
        (1, ": in Belgrave"),
        (2, ": at Keyham Lane"),
        (3, ": outside the force"),
        (UNKNOWN, ""),
    ],
)
def test_where_an_officer_off_patch_is(place: int, where: str) -> None:
    """Off patch is said with the premises, else the neighbourhood, by name, and since when."""
    found = seen(duty(Allocation("R1", "radio")), {"R1": NOW}, place)
    assert texts(found, OFF_PATCH_LONG) == [f"PC 1001: off patch since 08:00{where}"]


@pytest.mark.parametrize(("silent_s", "stopped"), [(299, False), (300, True)])
def test_while_the_feed_stands_still_nothing_else_is_judged(silent_s: int, stopped: bool) -> None:
    """A feed that has been silent for long enough is all that is said, and the rest is left open."""
    found = seen(duty(Allocation("R1", "radio")), {}, 1, silent_s * SECOND)
    assert found.time == NOW + silent_s * SECOND
    assert ([item.kind for item in found.conditions] == [FEED_STOPPED]) is stopped
    assert found.unknown == (frozenset(KINDS) - {FEED_STOPPED} if stopped else frozenset())
    if stopped:
        [item] = found.conditions
        assert item.text == "No positions received since 12:00:00"
        assert item.since == NOW


def test_times_of_another_day_say_which() -> None:
    """What has been so since before midnight is said with its day."""
    booked = replace(duty(Allocation("R1", "radio"), start=NOW - 14 * HOUR), end=None)
    assert texts(seen(booked, {}), TRACKER_SILENT) == [
        "PC 1001: no position since 22:00 on 22 November (radio R1)"
    ]
