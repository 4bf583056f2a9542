"""Explanations, abstraction and team facts as CSV files and JSON.

Values in, Arrow tables and plain values out; nothing is counted here.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from stream.core.calendar import rfc3339
from stream.core.explaining.explanation import CAUSES
from stream.core.explaining.wording import PREMISES, costs, words
from stream.core.json_types import when
from stream.core.policy import BEGINNING
from stream.core.shares import FORCE, OFFICER, seconds
from stream.core.slices import ACTIVITIES, NO_DEVICE, NO_STATE, UNSEEN
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.core.abstraction import Item, Meaning
    from stream.core.explaining.explanation import Explanation, Stretch
    from stream.core.explaining.wording import Named
    from stream.core.shares import Figures
    from stream.core.teams import Team, Teams


def abstraction_table(items: Sequence[Item]) -> pa.Table:
    """``abstraction.csv``: by figure, the longest first (rule 16)."""
    return pa.table(
        {
            "scope": arrow.texts([item.scope for item in items]),
            "id": arrow.texts([item.id for item in items]),
            "from": arrow.times(np.array([item.start for item in items], np.int64)),
            "to": arrow.times(np.array([item.end for item in items], np.int64)),
            "activity": arrow.texts([item.activity for item in items]),
            "neighbourhood": arrow.texts([item.where.neighbourhood for item in items]),
            "premises": arrow.texts([item.where.premises for item in items]),
            "state": arrow.texts([_code(item.meaning) for item in items]),
            "state_name": arrow.texts([item.meaning.name for item in items]),
            "seconds": arrow.texts(arrow.seconds([item.time for item in items])),
        }
    )


def parts_table(found: Explanation) -> pa.Table:
    """``parts.csv``: the finest parts of a figure by officer and time; their ``seconds`` sum to it.

    ``device_id`` says where the officer was; for unknown time, it is the device that should have.
    """
    table, duties = found.stretches, found.duties
    officers = [duty.officer_id for duty in duties]
    order = np.lexsort((table.start, arrow.ranks(officers)[table.duty]))
    duty, where, device = table.duty[order], table.where[order], table.device[order]
    devices = (*found.device_ids, "")
    every, figures = np.zeros(len(order), np.int32), found.figures
    # The kind of a device is the duty's word: looked up once for each pair that occurs.
    pair, of_pair = np.unique(
        duty.astype(np.int64) * len(devices) + device % len(devices), return_inverse=True
    )
    sources = [_source(found, *divmod(int(value), len(devices))) for value in pair]
    days, of_day = np.unique(table.day[order], return_inverse=True)
    return pa.table(
        {
            "scope": arrow.named([figures.scope], every),
            "id": arrow.named([figures.id], every),
            "from": arrow.named([rfc3339(figures.start)], every),
            "to": arrow.named([rfc3339(figures.end)], every),
            "activity": arrow.named(ACTIVITIES, table.activity[order]),
            "neighbourhood": arrow.named([item.neighbourhood for item in found.wheres], where),
            "premises": arrow.named([item.premises for item in found.wheres], where),
            "state": arrow.named([_code(item) for item in found.meanings], table.state[order]),
            "state_name": arrow.named([item.name for item in found.meanings], table.state[order]),
            "cause": arrow.named(CAUSES, table.cause[order]),
            "officer_id": arrow.named(officers, duty),
            "duty_id": arrow.named([item.duty_id for item in duties], duty),
            "day": arrow.named([_day(number) for number in days.tolist()], of_day),
            "start": arrow.times(table.start[order]),
            "end": arrow.times(table.end[order]),
            "device_id": arrow.named(devices, device % len(devices)),
            "source": arrow.named(sources, of_pair),
            "seconds": arrow.texts(arrow.seconds((table.end - table.start)[order].tolist())),
            "ambiguous_s": arrow.texts(arrow.seconds(table.ambiguous[order].tolist())),
            "priority_s": arrow.texts(arrow.seconds(table.priority[order].tolist())),
        }
    )


def explanation_json(found: Explanation, basis: Named, *, depth: str) -> dict[str, Any]:
    """An explanation as JSON: the figure, its costs in words, and the tree of its parts.

    Seconds have at most six decimals, so that sums rounded to six decimals are exact.

    Args:
        found: the explanation.
        basis: names, and what the figure is based on.
        depth: down to which of ``stream.core.explaining.explanation.LEVELS``.
    """
    said = words(found, basis)
    missing = found.missing
    return {
        **figure_json(found.figures, found.target),
        "name": "force"
        if found.figures.scope == FORCE
        else basis.name(found.figures.scope, found.figures.id),
        "missing_s": None if missing is None else max(0.0, float(missing) / 1e6),
        "basis": {
            "target": found.target,
            "policy_from": None if found.policy_from == BEGINNING else rfc3339(found.policy_from),
            "boundaries": list(basis.boundaries),
            "open_until": rfc3339(found.until),
            "as_of": None if basis.as_of is None else rfc3339(basis.as_of),
            "left_out": [found.duties[number].duty_id for number in found.left_out],
            "uncounted": [found.duties[number].duty_id for number in found.uncounted],
        },
        "words": {
            "title": said.title,
            "verdict": list(said.verdict),
            "costs": list(said.costs),
            "notes": [*said.warnings, *said.notes],
        },
        "costs": [
            {"what": cost.what, "seconds": seconds(cost.time), "minutes": cost.minutes}
            for cost in costs(found, basis)[1]
        ],
        "doubts": [
            {**item._asdict(), "start": rfc3339(item.start), "end": rfc3339(item.end)}
            for item in found.doubts
        ],
        "parts": [_part(found, basis, part) for part in found.parts(depth)],
    }


def figure_json(figures: Figures, target: float) -> dict[str, Any]:
    """A figure under the names of ``shares.csv``."""
    return {
        "scope": figures.scope,
        "id": figures.id,
        "from": rfc3339(figures.start),
        "to": rfc3339(figures.end),
        "duty_s": seconds(figures.duty),
        "on_patch_s": seconds(figures.on_patch),
        "off_patch_s": seconds(figures.off_patch),
        "not_visible_s": seconds(figures.not_visible),
        "unknown_s": seconds(figures.unknown),
        "break_s": seconds(figures.on_break),
        "priority_s": seconds(figures.priority),
        "ambiguous_on_s": seconds(figures.ambiguous_on),
        "ambiguous_off_s": seconds(figures.ambiguous_off),
        "share": figures.share,
        "share_low": figures.share_low,
        "share_high": figures.share_high,
        "target": target,
        "verdict": figures.verdict(target),
        "without_share": figures.without_share,
        "doubtful_s": seconds(figures.doubtful),
        "attested_s": 0.0,
    }


def _part(found: Explanation, basis: Named, part: Stretch) -> dict[str, Any]:
    """A part of the tree, and what it is made of."""
    table, row = found.stretches, part.row
    duty = found.duties[table.duty[row]]
    said: dict[str, Any]
    if part.level == "activity":
        said = {"activity": ACTIVITIES[table.activity[row]]}
    elif part.level == "where":
        where = found.wheres[table.where[row]]
        if table.activity[row] == UNSEEN:
            said = {"cause": CAUSES[table.cause[row]]}
        else:
            said = {
                "neighbourhood": where.neighbourhood,
                "neighbourhood_name": basis.name("neighbourhood", where.neighbourhood),
                "premises": where.premises,
                "premises_name": basis.name(PREMISES, where.premises),
            }
    elif part.level == "state":
        meaning = found.meanings[table.state[row]]
        said = {"state": meaning.state, "state_name": meaning.name}
    elif part.level == "officer":
        said = {"officer_id": duty.officer_id, "officer_name": basis.name(OFFICER, duty.officer_id)}
    elif part.level == "day":
        said = {"day": _day(int(table.day[row]))}
    else:
        device = int(table.device[row])
        said = {
            "start": rfc3339(int(table.start[row])),
            "end": rfc3339(int(table.end[row])),
            "duty_id": duty.duty_id,
            "device_id": "" if device == NO_DEVICE else found.device_ids[device],
            "source": _source(found, int(table.duty[row]), device),
        }
    said |= {
        "seconds": seconds(part.time),
        "ambiguous_s": seconds(part.ambiguous),
        "priority_s": seconds(part.priority),
    }
    if part.parts:
        said["parts"] = [_part(found, basis, item) for item in part.parts]
    return said


def _source(found: Explanation, duty: int, device: int) -> str:
    """What kind of device it is to the duty: ``radio`` or ``vehicle``; empty for no device."""
    name = found.device_ids[device] if 0 <= device < len(found.device_ids) else None
    return next((item.kind for item in found.duties[duty].devices if item.device_id == name), "")


def _code(meaning: Meaning) -> str:
    return "" if meaning.state == NO_STATE else str(meaning.state)


def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def teams_json(found: Teams) -> dict[str, Any]:
    """Team facts as JSON."""
    return {
        "as_of": rfc3339(found.as_of),
        "from": rfc3339(found.start),
        "to": rfc3339(found.end),
        "teams": [_team(item) for item in found.teams],
        "officers": [_told(item, "since", "last_seen") for item in found.members],
    }


def _team(item: Team) -> dict[str, Any]:
    return {
        "team": item.team,
        "officers": list(item.officers),
        "experienced": list(item.experienced),
        "perhaps": list(item.perhaps),
        "share_low": item.share_low,
        "share_high": item.share_high,
        "joiners": [_told(move, "time") for move in item.joiners],
        "leavers": [_told(move, "time") for move in item.leavers],
        "unseen": list(item.unseen),
    }


def _told(item: object, *times: str) -> dict[str, Any]:
    """A frozen value under its own names; the times among them as RFC 3339."""
    found: dict[str, Any] = msgspec.to_builtins(item)
    return found | {name: when(found[name]) for name in times}
