"""What the watch for alerts needs of the last day: a part of its slices, and the figures that can raise one.

Columns in, values out; no Kafka, no database, no clock. The conditions of alerts depend on the newest slices,
on the last hour's, on those in priority areas, and on where runs of the others began; so of the closed slices
of a shift most can be left out, and the answers are those of all of them (``overview.deepen``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stream.core.columns import changes, coalesce
from stream.core.facts import SECOND
from stream.core.live.overview import Covered, Depth, awaited, due_since, presence
from stream.core.live.projection import LOOK_BACK, expected_end, outlook
from stream.core.shares import OFFICER, figures_of, totals
from stream.core.slices import ON_BREAK, ON_PATCH, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.live.overview import DayTracks, LiveShare, Standing
    from stream.core.live.scopes import Tally
    from stream.core.policy import Policies
    from stream.core.slices import Slices


def needed(
    slices: Slices, places: Sequence[Place], horizon: int, patience: int
) -> tuple[NDArray[np.bool_], Covered]:
    """Which closed slices are needed, and the stretches without a break of all that may be left out.

    Args:
        slices: of some duties, all that are closed, sorted by duty and time.
        places: the places behind ``slices.place``.
        horizon: those that end later are needed anyway, microseconds.
        patience: how long a silent officer is shown as last seen (rule 4), microseconds.
    """
    old = slices.end <= horizon
    inside = np.array([bool(place.priorities) for place in places] + [False], np.bool_)
    keep = ~old | inside[slices.place]
    duty, activity = slices.duty, slices.activity
    keep[_lasts(duty, np.flatnonzero(old))] = True  # its state
    shown = np.flatnonzero(old & ((activity != UNSEEN) | (slices.end - slices.start >= patience)))
    told = shown[(activity[shown] != UNSEEN) & (activity[shown] != ON_BREAK)]
    away = (activity != ON_PATCH).astype(np.int8)
    for rows, alike in ((shown, activity), (told, away)):
        # The last run of each duty: its last slice, its first, and the one before, which is not of it. Before
        # one of time off patch that is the last on patch.
        opens = changes(duty[rows], alike[rows])
        first = np.maximum.accumulate(np.where(opens, np.arange(len(rows)), 0))
        last = np.flatnonzero(np.append(duty[rows][1:] != duty[rows][:-1], True)) if len(rows) else first
        for at in (last, first[last], np.maximum(first[last] - 1, 0)):
            keep[rows[at]] = True
    gone = np.flatnonzero(~keep & (activity != ON_BREAK))
    at, start, end = coalesce(slices.start[gone], slices.end[gone], [duty[gone]])
    return keep, Covered(duty[gone][at].astype(np.int64), start, end)


def _lasts(duty: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of some rows the last of each duty."""
    last: NDArray[np.bool_] = np.append(duty[rows][1:] != duty[rows][:-1], True)[: len(rows)]
    return rows[last]


def watch_depth(tracks: DayTracks, covered: Covered, areas: AreaSet, policies: Policies) -> Depth:
    """What ``deepen`` says of the last day, as far as alerts depend on it: without figures.

    Args:
        tracks: the last day, with the slices that are needed.
        covered: what of it is not in its slices.
        areas: the areas in force.
        policies: the rules' settings.
    """
    now = tracks.as_of
    shown = presence(tracks.slices, tracks.duties, now, int(policies.at(now).max_gap_s * SECOND))
    return Depth(
        tracks,
        shown,
        {},
        {},
        awaited(tracks, areas, policies, shown),
        min((duty.start for duty in tracks.duties), default=now),
        due_since(tracks, covered),
    )


def watched_shares(
    tally: Tally, standing: Standing, recent: Slices, usual: int, least_done: float
) -> list[LiveShare]:
    """The figures of the force and of neighbourhoods, with their outlooks.

    Args:
        tally: all figures.
        standing: the duties that they are of.
        recent: the slices of these duties that reach into the last hour.
        usual: how long a duty without an end is expected to last, microseconds.
        least_done: how much of the booked time must be over before a share is projected, 0 to 1.
    """
    now, scopes = tally.as_of, tally.scopes
    late = scopes.sums(totals(recent, standing.duties, standing.places, now - LOOK_BACK, now))
    ends = np.array([expected_end(duty, usual) for duty in standing.duties], np.int64)
    rest = scopes.sums(np.maximum(ends - now, 0))
    count = scopes.sums(np.ones(len(ends), np.int64)).tolist()
    made = []
    for row, (scope, name) in enumerate(scopes.keys):
        if scope != OFFICER:
            item = tally.share(row)
            last = figures_of(scope, name, now - LOOK_BACK, now, late[row])
            ahead = outlook(item.figures, last, int(rest[row]), count[row], least_done)
            made.append(replace(item, outlook=ahead))
    return made
