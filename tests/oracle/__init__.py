"""The oracle: the accounting rules again, slow and plain, to check the fast ones against.

Written from the rules' text alone, with whole numbers and fractions instead of arrays and floats; one module
a chapter of the text. Nothing of ``geo`` and, of ``stream``, only the facts may come in here: what is checked
must not check itself.

Read it in this order: ``exact`` (points, edges, areas), ``stays`` (rules 1 to 7), ``slices`` (8 to 12),
``shares`` (13 and 15), ``ambiguity`` (14), ``visits`` (17), ``crewing`` (18), ``calendar`` (19), ``doubts``
(21). Where the text leaves freedom, the docstrings say which reading is taken. Beside them stand ``substeps``
(walking a leg in place of crossing edges), ``multiranges`` (rules 8 to 16 as sets in PostgreSQL), ``tenure``
(teams), and ``summaries`` with ``reading`` (a summary recounted from the tables, and where two differ), which
take values of ``stream`` for their form.
"""

from __future__ import annotations

from tests.oracle.calendar import day_bounds, split_by_day, split_by_week, week_bounds
from tests.oracle.exact import Area, Areas, Place
from tests.oracle.shares import Figures, running, shares
from tests.oracle.slices import Slice, merge_slices, slices, standing
from tests.oracle.stays import Fix, Stay, Version, distance_m, stays, usable

__all__ = [
    "Area",
    "Areas",
    "Figures",
    "Fix",
    "Place",
    "Slice",
    "Stay",
    "Version",
    "day_bounds",
    "distance_m",
    "merge_slices",
    "running",
    "shares",
    "slices",
    "split_by_day",
    "split_by_week",
    "standing",
    "stays",
    "usable",
    "week_bounds",
]
