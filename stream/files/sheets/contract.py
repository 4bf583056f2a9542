"""Stays, slices, shares and doubts as the CSV files of the public contract.

Columns and values in, Arrow tables and CSV files out; nothing is counted here. One writer for both
``patrol account`` (from files) and ``patrol export`` (from the database). Rows come in a fixed order and
times with six decimals, so that equal facts give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from geo.matching.history import FOREVER, UNKNOWN
from stream.core.quality.doubts import doubtful, named
from stream.core.slices import ACTIVITIES, HIDDEN, NO_DEVICE, NO_STATE, OFF_PATCH, reason, whole_slices
from stream.core.stays import whole_stays
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.doubts import Doubts
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.stays import Stays


def stays_table(stays: Stays, device_ids: Sequence[str], places: Sequence[Place]) -> pa.Table:
    """``stays.csv``: by ``device_id`` and start; ``known`` is false where the location is unknown.

    Whole as rule 7 has them: cut where the place changes, not where what is near does.
    """
    stays = whole_stays(stays, places)
    name, order = _by_name(device_ids, stays.device, stays.start)
    place = stays.place[order]
    return pa.table(
        {
            "device_id": name,
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
    rank = {name: number for number, name in enumerate(sorted(set(officers)))}
    officer = np.array([rank[name] for name in officers] or [0], np.int64)
    duty_rank = np.argsort(np.argsort([duty.duty_id for duty in duties] or [""]))
    order = np.lexsort((duty_rank[whole.duty], whole.start, officer[whole.duty]))
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


def _by_name(
    names: Sequence[str], number: NDArray[np.integer], start: NDArray[np.int64]
) -> tuple[pa.Array, NDArray[np.int64]]:
    rank = np.argsort(np.argsort(np.array(names or [""], dtype=object)))
    order = np.lexsort((start, rank[number]))
    return arrow.named(names, number[order]), order


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
    ends = [duty.end for duty in duties if duty.end is not None and not duty.cancelled]
    starts = [int(slices.start.max())] if len(slices) else []
    closed = slices.end[slices.end < FOREVER]
    return max([*ends, *starts, *([int(closed.max())] if len(closed) else [])], default=0)
