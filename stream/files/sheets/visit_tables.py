"""Visits, priority areas and crewing as CSV files, ``visits.csv`` among them as the public contract has it.

Columns and values in, Arrow tables out, to be written by ``stream.files.sheets.arrow.write``; nothing is
counted here. Rows come in a fixed order, so that equal facts give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stream.files.sheets import arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.core.crewing import Crewing
    from stream.core.visits import PriorityFigures, Visits


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
