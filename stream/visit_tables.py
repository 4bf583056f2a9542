"""Visits, priority areas and crewing as CSV files, ``visits.csv`` among them as the public contract has it.

A shell: columns and values in, Arrow tables out, to be written by ``stream.tables.write``; nothing is counted
here. Rows come in a fixed order, times and seconds with six decimals, so that equal facts give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stream.tables import _named, _seconds, _times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.crewing import Crewing
    from stream.visits import PriorityFigures, Visits


def visits_table(visits: Visits) -> pa.Table:
    """``visits.csv``: by area, start and officer."""
    return pa.table(
        {
            "area_id": _named(visits.area_ids, visits.area),
            "officer_id": _named(visits.officer_ids, visits.officer),
            "start": _times(visits.start),
            "end": _times(visits.end),
            "dwell_s": _seconds(visits.dwell.tolist()),
            "in_window_s": _seconds(visits.in_window.tolist()),
            "home_team": np.where(visits.home_team, "true", "false"),
        }
    )


def priorities_table(figures: Sequence[PriorityFigures]) -> pa.Table:
    """``priorities.csv``: a row for each of the figures, in their order."""
    bins = [[item.visits_by_length[at] for item in figures] for at in range(4)]
    return pa.table(
        {
            "area_id": pa.array([item.area_id for item in figures], pa.string()),
            "from": _times(np.array([item.start for item in figures], np.int64)),
            "to": _times(np.array([item.end for item in figures], np.int64)),
            "visits": _counts([item.visits for item in figures]),
            "officer_s": _seconds([item.officer_time for item in figures]),
            "patrol_s": _seconds([item.patrol_time for item in figures]),
            "officer_in_window_s": _seconds([item.officer_time_in_window for item in figures]),
            "patrol_in_window_s": _seconds([item.patrol_time_in_window for item in figures]),
            "other_teams_s": _seconds([item.others_time for item in figures]),
            "visits_2_5": _counts(bins[0]),
            "visits_5_10": _counts(bins[1]),
            "visits_10_20": _counts(bins[2]),
            "visits_over_20": _counts(bins[3]),
        }
    )


def crewing_table(crewing: Crewing) -> pa.Table:
    """``crewing.csv``: by neighbourhood and hour; ``outside`` and ``unknown`` come after the neighbourhoods.

    ``hour`` is when the local hour begins, in UTC like all times.
    """
    return pa.table(
        {
            "neighbourhood": _named(crewing.neighbourhood_ids, crewing.neighbourhood),
            "hour": _times(crewing.hour),
            "single_s": _seconds(crewing.single.tolist()),
            "double_s": _seconds(crewing.double.tolist()),
        }
    )


def _counts(values: Iterable[int]) -> pa.Array:
    return pa.array(list(values), pa.int64())
