"""Team facts as CSV files and JSON.

Values in, Arrow tables and plain values out; nothing is counted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stream.core.calendar import rfc3339
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from stream.core.teams import Move, Team, Teams


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
