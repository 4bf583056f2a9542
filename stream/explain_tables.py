"""Explanations, abstraction and team facts as CSV files and JSON.

A shell: values in, Arrow tables and plain values out; nothing is counted here.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stream.calendar import rfc3339
from stream.explanation import CAUSES
from stream.policy import BEGINNING
from stream.shares import FORCE, OFFICER, seconds
from stream.slices import ACTIVITIES, NO_DEVICE, NO_STATE, UNSEEN
from stream.tables import _named, _ratio, _seconds, _times
from stream.wording import PREMISES, costs, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.abstraction import Item, Meaning
    from stream.explanation import Explanation, Part
    from stream.shares import Figures
    from stream.teams import Move, Team, Teams
    from stream.wording import Basis


def abstraction_table(items: Sequence[Item]) -> pa.Table:
    """``abstraction.csv``: by figure, the longest first (rule 16)."""
    return pa.table(
        {
            "scope": _column([item.scope for item in items]),
            "id": _column([item.id for item in items]),
            "from": _times(np.array([item.start for item in items], np.int64)),
            "to": _times(np.array([item.end for item in items], np.int64)),
            "activity": _column([item.activity for item in items]),
            "neighbourhood": _column([item.where.neighbourhood for item in items]),
            "premises": _column([item.where.premises for item in items]),
            "state": _column([_code(item.meaning) for item in items]),
            "state_name": _column([item.meaning.name for item in items]),
            "seconds": _column(_seconds([item.time for item in items])),
        }
    )


def parts_table(found: Explanation) -> pa.Table:
    """``parts.csv``: the finest parts of a figure by officer and time; their ``seconds`` sum to it.

    ``device_id`` says where the officer was; where ``cause`` says why nobody knows, it is the one that should
    have.
    """
    table, duties = found.stretches, found.duties
    officers = [duty.officer_id for duty in duties]
    rank = {name: number for number, name in enumerate(sorted(set(officers)))}
    officer = np.array([rank[name] for name in officers] or [0], np.int64)
    order = np.lexsort((table.start, officer[table.duty]))
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
            "scope": _named([figures.scope], every),
            "id": _named([figures.id], every),
            "from": _named([rfc3339(figures.start)], every),
            "to": _named([rfc3339(figures.end)], every),
            "activity": _named(ACTIVITIES, table.activity[order]),
            "neighbourhood": _named([item.neighbourhood for item in found.wheres], where),
            "premises": _named([item.premises for item in found.wheres], where),
            "state": _named([_code(item) for item in found.meanings], table.state[order]),
            "state_name": _named([item.name for item in found.meanings], table.state[order]),
            "cause": _named(CAUSES, table.cause[order]),
            "officer_id": _named(officers, duty),
            "duty_id": _named([item.duty_id for item in duties], duty),
            "day": _named([_day(number) for number in days.tolist()], of_day),
            "start": _times(table.start[order]),
            "end": _times(table.end[order]),
            "device_id": _named(devices, device % len(devices)),
            "source": _named(sources, of_pair),
            "seconds": _column(_seconds((table.end - table.start)[order].tolist())),
            "ambiguous_s": _column(_seconds(table.ambiguous[order].tolist())),
            "priority_s": _column(_seconds(table.priority[order].tolist())),
        }
    )


def explanation_json(found: Explanation, basis: Basis, *, depth: str) -> dict[str, Any]:
    """An explanation as JSON: the figure, its costs in words, and the tree of its parts.

    Seconds have at most six decimals, so that sums rounded to six decimals are exact.

    Args:
        found: the explanation.
        basis: names, and what the figure rests on.
        depth: down to which of ``stream.explanation.LEVELS``.
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
        },
        "words": {
            "title": said.title,
            "verdict": list(said.verdict),
            "costs": list(said.costs),
            "notes": list(said.notes),
        },
        "costs": [
            {"what": cost.what, "seconds": seconds(cost.time), "minutes": cost.minutes}
            for cost in costs(found, basis)[1]
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
    }


def _part(found: Explanation, basis: Basis, part: Part) -> dict[str, Any]:
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


def teams_table(found: Teams) -> pa.Table:
    """``teams.csv``: a row a team; shares are empty in a team without officers."""
    teams = found.teams
    count = len(teams)
    return pa.table(
        {
            "team": _column([item.team for item in teams]),
            "as_of": _times(np.full(count, found.as_of)),
            "from": _times(np.full(count, found.start)),
            "to": _times(np.full(count, found.end)),
            "officers": _column([str(len(item.officers)) for item in teams]),
            "experienced": _column([str(len(item.experienced)) for item in teams]),
            "share_low": _column([_ratio(item.share_low) for item in teams]),
            "share_high": _column([_ratio(item.share_high) for item in teams]),
            "joiners": _column([str(len(item.joiners)) for item in teams]),
            "leavers": _column([str(len(item.leavers)) for item in teams]),
            "unseen": _column([str(len(item.unseen)) for item in teams]),
        }
    )


def officers_table(found: Teams) -> pa.Table:
    """``officers.csv``: a row an officer with the present team, since when, and how many months at least."""
    members = found.members
    return pa.table(
        {
            "officer_id": _column([item.officer_id for item in members]),
            "team": _column([item.team or "" for item in members]),
            "since": _column(["" if item.since is None else rfc3339(item.since) for item in members]),
            "months": _column(["" if item.months is None else str(item.months) for item in members]),
            "at_least": _column([str(item.at_least).lower() for item in members]),
            "last_seen": _times(np.array([item.last_seen for item in members], np.int64)),
            "unseen": _column([str(item.unseen).lower() for item in members]),
        }
    )


def teams_json(found: Teams) -> dict[str, Any]:
    """Team facts as JSON."""
    return {
        "as_of": rfc3339(found.as_of),
        "from": rfc3339(found.start),
        "to": rfc3339(found.end),
        "teams": [_team(item) for item in found.teams],
        "officers": [
            {
                "officer_id": item.officer_id,
                "name": item.name,
                "team": item.team,
                "since": None if item.since is None else rfc3339(item.since),
                "months": item.months,
                "at_least": item.at_least,
                "last_seen": rfc3339(item.last_seen),
                "unseen": item.unseen,
            }
            for item in found.members
        ],
    }


def _team(item: Team) -> dict[str, Any]:
    return {
        "team": item.team,
        "officers": list(item.officers),
        "experienced": list(item.experienced),
        "perhaps": list(item.perhaps),
        "share_low": item.share_low,
        "share_high": item.share_high,
        "joiners": [_move(move) for move in item.joiners],
        "leavers": [_move(move) for move in item.leavers],
        "unseen": list(item.unseen),
    }


def _move(move: Move) -> dict[str, Any]:
    return {
        "officer_id": move.officer_id,
        "team": move.team,
        "before": move.before,
        "time": rfc3339(move.time),
    }


def _code(meaning: Meaning) -> str:
    return "" if meaning.state == NO_STATE else str(meaning.state)


def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def _column(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string())
