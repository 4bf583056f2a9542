"""The tables as columns again: what the database holds, in the core's own forms.

Reads only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from geo.areas import Kind
from geo.matching.history import FOREVER, UNKNOWN
from stream.core.quality.devices import DeviceDoubts, device_doubts
from stream.core.quality.doubts import named
from stream.core.quality.findings import Examined, grounds
from stream.core.quality.heard import NO_DAY, TAKEN
from stream.core.quality.tracks import Extent, Tracked, held, renumbered, tracked
from stream.core.quality.unmatched import why
from stream.core.stays import take
from stream.store import areas, bookings, chunks
from stream.store.heard import LAST_DAY, heard_between
from stream.store.reading.doubtful import doubts_of
from stream.store.reading.elsewhere import positions_nowhere
from stream.store.reading.instant import Numbered, fetch, instant, scalars
from stream.store.reading.live import newest_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.facts import Duty, StateReport
    from stream.core.policy import Policies
    from stream.core.quality.doubts import Doubts
    from stream.core.quality.elsewhere import Positions
    from stream.core.quality.heard import Heard
    from stream.core.quality.tracks import DeviceDays, Held
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.store.schema import Connection


EVER: Final = (-FOREVER, FOREVER)


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """All stays and slices of the database, as of one instant.

    Attributes:
        unmatched: why there can be no figure, where nothing matches (``stream.core.quality.unmatched``).
        device_ids: the names behind the devices' numbers.
        duties: the duties behind the slices' numbers, cancelled ones among them.
        versions: the boundaries by the time from which they are in force, microseconds.
        states: the radio states keyed.
        doubts: the duties' doubtful time, as judged last.
        worth: what the facts are worth; None where that was not asked for.
        nowhere: the positions of days on which nobody was in any area.
    """

    stays: Stays
    slices: Slices
    device_ids: tuple[str, ...]
    places: Sequence[Place]
    duties: tuple[Duty, ...]
    versions: list[tuple[int, AreaSet]]
    states: tuple[StateReport, ...]
    doubts: Doubts
    worth: Worth | None
    unmatched: tuple[str, ...]
    nowhere: Positions


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """What the stored facts are worth, device by device (rule 22).

    Attributes:
        booked: when devices are booked, in the numbering of ``booked_ids``.
        booked_ids: the devices that duties name, sorted.
        tracked: what their tracks are worth.
        doubted: devices that contradict themselves.
        heard: what was heard; of facts from before it was counted nothing.
    """

    booked: Held
    booked_ids: tuple[str, ...]
    tracked: Tracked
    doubted: DeviceDoubts
    heard: Heard


def derived(connection: Connection, policies: Policies | None = None) -> Derived:
    """Reads stays and slices, closed and growing, as of one instant.

    Args:
        connection: outside any transaction.
        policies: given, every stored position is looked at too, for what the facts are worth.
    """
    with instant(connection):
        numbered = Numbered.of(connection)
        officers = scalars(connection, "select officer from officer")
        known = bookings.read_officers(connection, officers, 0)
        keys, duties = bookings.duties_of(known.values())
        slices, versions = numbered.slices(connection, keys), areas.by_time(connection)
        return Derived(
            numbered.stays(connection),
            slices,
            numbered.device_ids,
            numbered.places,
            tuple(duties),
            versions,
            tuple(report for item in known.values() for report in item.states),
            doubts_of(connection, keys, numbered.device_ids),
            None if policies is None else _worth(connection, numbered, duties, versions, policies),
            tuple(_unmatched(connection, duties, slices, numbered.places, [item for _, item in versions])),
            positions_nowhere(connection, slices, numbered.places, versions, newest_event(connection) + 1),
        )


def _worth(
    connection: Connection,
    numbered: Numbered,
    duties: Sequence[Duty],
    versions: Sequence[tuple[int, AreaSet]],
    policies: Policies,
) -> Worth:
    booked, booked_ids = held(duties)
    mine = renumbered(booked, booked_ids, numbered.device_ids)
    extent = Extent.of([found for _, found in versions])
    seen: list[Tracked] = []
    doubted: list[DeviceDoubts] = []
    keys = scalars(connection, "select device from device order by device_id")
    for some in np.split(np.array(keys, np.int32), range(chunks.TOGETHER, len(keys), chunks.TOGETHER)):
        found = chunks.around(connection, some, *(np.full(len(some), end, np.int64) for end in EVER))
        fixes = replace(found, device=numbered.devices(some[found.device]), device_ids=numbered.device_ids)
        fixes = take(fixes, np.lexsort((fixes.time, fixes.device)))
        seen.append(tracked(fixes, fixes, mine, extent, policies))
        doubted.append(device_doubts(fixes, policies))
    heard = heard_between(connection, NO_DAY, LAST_DAY)
    every = Tracked.of_groups(seen)
    every = replace(every, days=with_repeats(every.days, heard, numbered.device_ids))
    return Worth(booked, booked_ids, every, DeviceDoubts.joined(doubted), heard)


def with_repeats(days: DeviceDays, heard: Heard, device_ids: Sequence[str]) -> DeviceDays:
    """With the reports beyond the one that each fix needs: a fix is stored once, however often it came."""
    code_of = {name: code for code, name in enumerate(device_ids)}
    taken = heard.verdict == TAKEN
    reports: Counter[tuple[int, int]] = Counter()
    for device, day, count in zip(
        *(column[taken].tolist() for column in (heard.device, heard.day, heard.count)), strict=True
    ):
        reports[code_of[heard.device_ids[device]], day] += count
    found = [reports[key] for key in zip(days.device.tolist(), days.day.tolist(), strict=True)]
    return replace(days, repeats=np.maximum(np.array(found, np.int64) - days.fixes, 0))


def examined(found: Derived, worth: Worth, until: int, policies: Policies) -> Examined:
    """The stored facts as they are examined: as files are, but for rows that name no device.

    Args:
        found: what the database holds.
        worth: and what it is worth.
        until: everything is counted up to here, microseconds.
        policies: those in force.
    """
    return Examined(
        found.duties,
        found.states,
        found.device_ids,
        worth.heard,
        worth.tracked,
        worth.booked,
        worth.booked_ids,
        found.slices,
        {
            code: name
            for _, version in found.versions
            for code, name in version.names(Kind.NEIGHBOURHOOD).items()
        },
        {},
        until,
        worth.doubted,
        named(found.doubts.up_to(until), found.duties, found.device_ids),
        policies,
        grounds(found.versions),
    )


def _unmatched(
    connection: Connection,
    duties: Sequence[Duty],
    slices: Slices,
    places: Sequence[Place],
    versions: Sequence[AreaSet],
) -> list[str]:
    """Why there can be no figure; positions are only asked about where nobody was known to be in any area."""
    counting = [duty for duty in duties if duty.counts]
    known = slices.place[slices.place != UNKNOWN]
    inside = bool(len(known))
    near = any(any(places[number][:3]) for number in np.unique(known).tolist())
    extent = Extent.of(versions)
    names = frozenset(name for item in versions for name in item.names(Kind.NEIGHBOURHOOD))
    known_to = "select device_id from device where device = any(%s)"
    heard = set(scalars(connection, known_to, [chunks.heard(connection).tolist()]))
    if counting and not inside:
        inside = _any_while_allocated(connection)
    if names and not near and extent is not None:
        near = any(
            extent.is_near(some.lon, some.lat).any() for some in chunks.some_by_some(connection, *EVER)
        )
    return why(counting, names, heard=heard, inside=inside, near=near or not names) if counting else []


def _any_while_allocated(connection: Connection) -> bool:
    """Whether any device was heard while it was allocated to a duty."""
    found = fetch(
        connection,
        "select device, fix_us(greatest(d.start_at, a.start_at)), "
        "fix_us(least(d.until_at, a.end_at)) "
        "from allocation a join duty d using (duty) where until_at is not null",
    )
    windows = np.array(found, np.int64).reshape(-1, 3)
    return any(
        chunks.any_within(connection, *some.T).any()
        for some in np.split(windows, range(chunks.TOGETHER, len(windows), chunks.TOGETHER))
    )
