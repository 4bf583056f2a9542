"""The CSV files of an account, those of the public contract among them, but for what explains figures.

Columns and values in, Arrow tables and CSV files out; nothing is counted here. One writer for both
``patrol account`` (from files) and ``patrol export`` (from the database). Rows come in a fixed order and
times with six decimals, so that equal facts give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from geo.matching.history import UNKNOWN
from stream.core.calendar import rfc3339
from stream.core.quality.doubts import doubtful, named
from stream.core.quality.findings import FINDINGS, NO_SECONDS, SCOPES, day_text
from stream.core.slices import (
    ACTIVITIES,
    HIDDEN,
    NO_DEVICE,
    NO_STATE,
    OFF_PATCH,
    last_open,
    reason,
    whole_slices,
)
from stream.core.stays import whole_stays
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.crewing import Crewing
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.doubts import Doubts
    from stream.core.quality.findings import QualityFindings
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.core.teams import Teams
    from stream.core.visits import PriorityFigures, Visits


def stays_table(stays: Stays, device_ids: Sequence[str], places: Sequence[Place]) -> pa.Table:
    """``stays.csv``: by ``device_id`` and start; ``known`` is false where the location is unknown.

    Whole as rule 7 has them: cut where the place changes, not where what is near does.
    """
    stays = whole_stays(stays, places)
    order = np.lexsort((stays.start, arrow.ranks(device_ids)[stays.device]))
    place = stays.place[order]
    return pa.table(
        {
            "device_id": arrow.named(device_ids, stays.device[order]),
            "start": arrow.times(stays.start[order]),
            "end": arrow.times(stays.end[order]),
            "known": np.where(place == UNKNOWN, "false", "true"),
            **_places(places, place),
        }
    )


def slices_table(
    slices: Slices,
    duties: Sequence[Duty],
    device_ids: Sequence[str],
    places: Sequence[Place],
    policies: Policies,
    doubts: Doubts,
    *,
    until: int,
) -> pa.Table:
    """``slices.csv``: by officer, start and duty; slices without an end are cut at ``until``.

    Whole as rule 12 has them, with the seconds of each that are ambiguous (rule 14) and doubtful (rule 21).
    """
    whole, unsure = whole_slices(slices, duties, places, policies, until=until)
    officers = [duty.officer_id for duty in duties]
    ranks = arrow.ranks([duty.duty_id for duty in duties]), arrow.ranks(officers)
    order = np.lexsort((ranks[0][whole.duty], whole.start, ranks[1][whole.duty]))
    duty, place, device = whole.duty[order], whole.place[order], whole.device[order]
    return pa.table(
        {
            "officer_id": arrow.named(officers, duty),
            "duty_id": arrow.named([item.duty_id for item in duties], duty),
            "start": arrow.times(whole.start[order]),
            "end": arrow.times(whole.end[order]),
            "activity": arrow.named(ACTIVITIES, whole.activity[order]),
            "reason": _reasons(whole, order, duties, places, policies),
            **_places(places, place),
            "device_id": arrow.named(
                [*device_ids, ""], np.where(device == NO_DEVICE, len(device_ids), device)
            ),
            "ambiguous_s": arrow.seconds(unsure[order].tolist()),
            "doubtful_s": arrow.seconds(doubtful(whole, doubts)[order].tolist()),
        }
    )


def doubts_table(
    doubts: Doubts, duties: Sequence[Duty], device_ids: Sequence[str], *, until: int
) -> pa.Table:
    """``doubts.csv``: doubtful time by officer, start and duty (rule 21), cut at ``until``."""
    rows = named(doubts.up_to(until), duties, device_ids)
    rows.sort(key=lambda row: (row.officer_id, row.start, row.duty_id, row.kind, row.device_id, row.other_id))
    return pa.table(
        {
            "officer_id": arrow.texts([row.officer_id for row in rows]),
            "duty_id": arrow.texts([row.duty_id for row in rows]),
            "start": arrow.times(np.array([row.start for row in rows], np.int64)),
            "end": arrow.times(np.array([row.end for row in rows], np.int64)),
            "kind": arrow.texts([row.kind for row in rows]),
            "device_id": arrow.texts([row.device_id for row in rows]),
            "other_id": arrow.texts([row.other_id for row in rows]),
        }
    )


def shares_table(figures: Sequence[Figures], policies: Policies) -> pa.Table:
    """``shares.csv``: the force, then neighbourhoods, then officers; empty where there is no figure."""
    targets = [policies.at(item.start).target for item in figures]
    return pa.table(
        {
            "scope": [item.scope for item in figures],
            "id": [item.id for item in figures],
            "from": arrow.times(np.array([item.start for item in figures], np.int64)),
            "to": arrow.times(np.array([item.end for item in figures], np.int64)),
            "duty_s": arrow.seconds([item.duty for item in figures]),
            "on_patch_s": arrow.seconds([item.on_patch for item in figures]),
            "off_patch_s": arrow.seconds([item.off_patch for item in figures]),
            "not_visible_s": arrow.seconds([item.not_visible for item in figures]),
            "unknown_s": arrow.seconds([item.unknown for item in figures]),
            "break_s": arrow.seconds([item.on_break for item in figures]),
            "priority_s": arrow.seconds([item.priority for item in figures]),
            "share": [arrow.ratio(item.share) for item in figures],
            "share_low": [arrow.ratio(item.share_low) for item in figures],
            "share_high": [arrow.ratio(item.share_high) for item in figures],
            "target": [arrow.ratio(target) for target in targets],
            "verdict": [item.verdict(target) or "" for item, target in zip(figures, targets, strict=True)],
            "doubtful_s": arrow.seconds([item.doubtful for item in figures]),
            "attested_s": arrow.seconds([0] * len(figures)),
        }
    )


def visits_table(visits: Visits) -> pa.Table:
    """``visits.csv``: by area, start and officer."""
    return pa.table(
        {
            "area_id": arrow.named(visits.area_ids, visits.area),
            "officer_id": arrow.named(visits.officer_ids, visits.officer),
            "start": arrow.times(visits.start),
            "end": arrow.times(visits.end),
            "dwell_s": arrow.seconds(visits.dwell.tolist()),
            "in_window_s": arrow.seconds(visits.in_window.tolist()),
            "home_team": np.where(visits.home_team, "true", "false"),
        }
    )


def priorities_table(figures: Sequence[PriorityFigures]) -> pa.Table:
    """``priorities.csv``: a row for each of the figures, in their order."""
    bins = [[item.visits_by_length[at] for item in figures] for at in range(4)]
    return pa.table(
        {
            "area_id": pa.array([item.area_id for item in figures], pa.string()),
            "from": arrow.times(np.array([item.start for item in figures], np.int64)),
            "to": arrow.times(np.array([item.end for item in figures], np.int64)),
            "visits": arrow.counts([item.visits for item in figures]),
            "officer_s": arrow.seconds([item.officer_time for item in figures]),
            "patrol_s": arrow.seconds([item.patrol_time for item in figures]),
            "officer_in_window_s": arrow.seconds([item.officer_time_in_window for item in figures]),
            "patrol_in_window_s": arrow.seconds([item.patrol_time_in_window for item in figures]),
            "other_teams_s": arrow.seconds([item.others_time for item in figures]),
            "visits_2_5": arrow.counts(bins[0]),
            "visits_5_10": arrow.counts(bins[1]),
            "visits_10_20": arrow.counts(bins[2]),
            "visits_over_20": arrow.counts(bins[3]),
        }
    )


def crewing_table(crewing: Crewing) -> pa.Table:
    """``crewing.csv``: by neighbourhood and hour; ``outside`` and ``unknown`` come after the neighbourhoods.

    ``hour`` is when the local hour begins, in UTC like all times.
    """
    return pa.table(
        {
            "neighbourhood": arrow.named(crewing.neighbourhood_ids, crewing.neighbourhood),
            "hour": arrow.times(crewing.hour),
            "single_s": arrow.seconds(crewing.single.tolist()),
            "double_s": arrow.seconds(crewing.double.tolist()),
        }
    )


def teams_table(found: Teams) -> pa.Table:
    """``teams.csv``: a row a team; shares are empty in a team without officers."""
    teams = found.teams
    count = len(teams)
    return pa.table(
        {
            "team": arrow.texts([item.team for item in teams]),
            "as_of": arrow.times(np.full(count, found.as_of)),
            "from": arrow.times(np.full(count, found.start)),
            "to": arrow.times(np.full(count, found.end)),
            "officers": arrow.texts([str(len(item.officers)) for item in teams]),
            "experienced": arrow.texts([str(len(item.experienced)) for item in teams]),
            "share_low": arrow.texts([arrow.ratio(item.share_low) for item in teams]),
            "share_high": arrow.texts([arrow.ratio(item.share_high) for item in teams]),
            "joiners": arrow.texts([str(len(item.joiners)) for item in teams]),
            "leavers": arrow.texts([str(len(item.leavers)) for item in teams]),
            "unseen": arrow.texts([str(len(item.unseen)) for item in teams]),
        }
    )


def officers_table(found: Teams) -> pa.Table:
    """``officers.csv``: a row an officer with the present team, since when, and how many months at least."""
    members = found.members
    return pa.table(
        {
            "officer_id": arrow.texts([item.officer_id for item in members]),
            "team": arrow.texts([item.team or "" for item in members]),
            "since": arrow.texts(["" if item.since is None else rfc3339(item.since) for item in members]),
            "months": arrow.texts(["" if item.months is None else str(item.months) for item in members]),
            "at_least": arrow.texts([str(item.at_least).lower() for item in members]),
            "last_seen": arrow.times(np.array([item.last_seen for item in members], np.int64)),
            "unseen": arrow.texts([str(item.unseen).lower() for item in members]),
        }
    )


def quality_table(found: QualityFindings) -> pa.Table:
    """``quality.csv``, what the facts are worth, in the order of the findings (rule 22).

    By device and day, duty, officer, patch and input; ``day`` and ``seconds`` are empty where there are none.
    """
    days = {day: day_text(day) for day in set(found.day.tolist())}
    return pa.table(
        {
            "scope": arrow.named(SCOPES, found.scope),
            "id": arrow.named(found.texts, found.id),
            "day": [days[day] for day in found.day.tolist()],
            "finding": arrow.named(FINDINGS, found.finding),
            "count": arrow.counts(found.count.tolist()),
            "seconds": [_seconds(us) for us in found.us.tolist()],
            "detail": arrow.named(found.texts, found.detail),
        }
    )


def _seconds(us: int) -> str:
    if us == NO_SECONDS:
        return ""
    return f"{'-' if us < 0 else ''}{abs(us) // 1_000_000}.{abs(us) % 1_000_000:06d}"


def _places(places: Sequence[Place], number: NDArray[np.integer]) -> dict[str, pa.Array]:
    at = np.where(number == UNKNOWN, len(places), number)
    return {
        "neighbourhood": arrow.named([*(place.neighbourhood or "" for place in places), ""], at),
        "premises": arrow.named([*(place.premises or "" for place in places), ""], at),
        "priorities": arrow.named([*(";".join(place.priorities) for place in places), ""], at),
    }


def _reasons(
    slices: Slices,
    order: NDArray[np.int64],
    duties: Sequence[Duty],
    places: Sequence[Place],
    policies: Policies,
) -> list[str]:
    texts = [""] * len(order)
    explained = np.flatnonzero((slices.activity[order] == HIDDEN) | (slices.activity[order] == OFF_PATCH))
    policy_of = policies.number_at(np.array([duty.start for duty in duties], np.int64)).tolist()
    for at in explained.tolist():
        row = order[at]
        number = int(slices.place[row])
        code = int(slices.state[row])
        policy = policies.policies[policy_of[int(slices.duty[row])]]
        texts[at] = reason(
            int(slices.activity[row]),
            "" if code == NO_STATE else policy.state(code).name,
            None if number == UNKNOWN else places[number],
        )
    return texts


def last_known(slices: Slices, duties: Sequence[Duty]) -> int:
    """The end of the last closed slice or duty: open duties are listed up to here, unless told otherwise."""
    ends = [duty.end for duty in duties if duty.end is not None and duty.counts]
    starts = [int(slices.start.max())] if len(slices) else []
    # Where a duty is open, its last slice is closed by what is known of its place alone.
    closed = slices.end[~last_open(slices, duties) | (slices.place != UNKNOWN)]
    told = [*ends, *starts, *([int(closed.max())] if len(closed) else [])]
    # Where nothing counts, findings still say of what is booked why it does not (rule 8a).
    return max(told) if told else max((duty.start + 1 for duty in duties if not duty.cancelled), default=0)
