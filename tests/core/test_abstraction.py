"""Abstraction (rule 16): every microsecond off patch or not visible in one item, and none else."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.abstraction import Item, Meaning, Where, abstraction
from stream.core.calendar import days
from stream.core.policy import Policies
from stream.core.slices import ACTIVITIES
from stream.files.sheets.explanations import abstraction_table
from tests.counted import RENAMED, Case
from tests.strategies import BINARY, World, many, worlds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.core.shares import Figures


def counted(case: Case, figure: Figures) -> Counter[tuple[str, Where, Meaning]]:
    """The items of a figure, slice by slice, with the membership of rule 15 read once more."""
    table = case.slices
    total: Counter[tuple[str, Where, Meaning]] = Counter()
    for at in range(len(table)):
        duty = case.duties[table.duty[at]]
        mine = {
            "force": bool(duty.patch),
            "neighbourhood": figure.id in duty.patch,
            "officer": duty.officer_id == figure.id and bool(duty.patch) is figure.has_share,
        }[figure.scope]
        activity = ACTIVITIES[table.activity[at]]
        start, end = max(int(table.start[at]), figure.start), min(int(table.end[at]), figure.end)
        if mine and start < end and activity in {"off_patch", "not_visible"}:
            key = (activity, case.where(int(table.place[at])), case.state(duty, int(table.start[at])))
            total[key] += end - start
    return total


@many(60)
@given(worlds(BINARY), st.sampled_from([Policies(), RENAMED]))
def test_items_sum_to_the_figures_exactly(world: World, policies: Policies) -> None:
    """In any world the items of each figure sum to its off-patch and its not-visible time, to the µs."""
    case = Case(world, policies)
    figures = case.figures(*world.period)
    items = abstraction(case.slices, case.duties, case.places, policies, figures)
    for figure in figures:
        mine = [item for item in items if (item.scope, item.id) == (figure.scope, figure.id)]
        assert sum(item.time for item in mine if item.activity == "off_patch") == figure.off_patch
        assert sum(item.time for item in mine if item.activity == "not_visible") == figure.not_visible
        assert {(item.start, item.end) for item in mine} <= {world.period}
    assert {(item.scope, item.id) for item in items} <= {(item.scope, item.id) for item in figures}


@many(40)
@given(worlds(BINARY), st.sampled_from([Policies(), RENAMED]))
def test_items_are_those_counted_slice_by_slice(world: World, policies: Policies) -> None:
    """In any world the items are what a plain loop over slices and states finds, each once."""
    case = Case(world, policies)
    figures = case.figures(*world.period)
    items = abstraction(case.slices, case.duties, case.places, policies, figures)
    for figure in figures:
        mine = [item for item in items if (item.scope, item.id) == (figure.scope, figure.id)]
        found = {(item.activity, item.where, item.meaning): item.time for item in mine}
        assert len(found) == len(mine)
        assert found == dict(counted(case, figure))
        assert all(one.time >= two.time for one, two in pairwise(mine))


@many(20)
@given(worlds(BINARY))
def test_days_add_up_to_the_period(world: World) -> None:
    """The items of the days of a period sum to those of the period, wherever midnight falls."""
    case = Case(world, Policies())
    start, end = world.period
    bounds = [(max(low, start), min(high, end)) for low, high in days(start, end)]
    figures = [figure for low, high in bounds for figure in case.figures(low, high)]
    by_day = abstraction(case.slices, case.duties, case.places, case.policies, figures)
    whole = abstraction(case.slices, case.duties, case.places, case.policies, case.figures(start, end))

    def force(items: Sequence[Item]) -> Counter[tuple[str, Where, Meaning]]:
        total: Counter[tuple[str, Where, Meaning]] = Counter()
        for item in items:
            if item.scope == "force":
                total[item.activity, item.where, item.meaning] += item.time
        return total

    assert force(by_day) == force(whole)


def test_the_table_has_the_columns_of_the_contract() -> None:
    """``abstraction.csv`` names its columns as documented and says seconds with six decimals."""
    item = Item(
        *("officer", "O1", 0, 10_000_000),
        *("not_visible", Where("N1", "B1"), Meaning(2, "available"), 1_500_001),
    )
    table = abstraction_table([item])
    assert ",".join(table.column_names) == (
        "scope,id,from,to,activity,neighbourhood,premises,state,state_name,seconds"
    )
    assert table.to_pylist() == [
        {
            "scope": "officer",
            "id": "O1",
            "from": "1970-01-01T00:00:00.000000Z",
            "to": "1970-01-01T00:00:10.000000Z",
            "activity": "not_visible",
            "neighbourhood": "N1",
            "premises": "B1",
            "state": "2",
            "state_name": "available",
            "seconds": "1.500001",
        }
    ]
    assert abstraction_table([]).num_rows == 0


def test_no_slices_have_no_items() -> None:
    """Where nobody was on duty there is nothing to itemise, and no error."""
    empty = np.empty(0, np.int64)
    case = Case(World((), ((None, ()),), (), (), 0, (0, 1)), Policies())
    assert len(case.slices) == len(empty)
    assert abstraction(case.slices, [], case.places, case.policies, case.figures(0, 1)) == []
