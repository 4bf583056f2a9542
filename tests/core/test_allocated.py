"""Frozen devices beside others of the same officer (rule 21): absences just short and just long enough."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.quality.allocated import beside_others
from stream.core.quality.devices import frozen_runs
from stream.core.quality.movement import Movements
from stream.core.stays import in_order
from tests.doubtful_worlds import MINUTE, OPENING, POLICIES, Counted, Report, Row, columns, duty, standing
from tests.oracle.doubts import doubts as literal
from tests.strategies import many

if TYPE_CHECKING:
    from stream.core.facts import Duty, Fixes

HERE, NEAR, AWAY = (1500.0, 1500.0), (1800.0, 1500.0), (2500.0, 1500.0)
UNTIL = OPENING + 120 * MINUTE


class Backwards(Counted):
    """Devices numbered against the order of their names, as they may be in a database."""

    @cached_property
    def fixes(self) -> Fixes:
        """The reports as columns."""
        found = columns(self.reports)
        last = len(found.device_ids) - 1
        return replace(
            found, device=(last - found.device).astype(np.int32), device_ids=found.device_ids[::-1]
        )


@st.composite
def beside_a_frozen_radio(draw: st.DrawFn) -> tuple[list[Report], list[Duty]]:
    """A radio on one spot, and cars of its officer, at times of another's too, near it and away in turns."""
    reports = standing("R1", HERE, OPENING, OPENING + draw(st.integers(28, 100)) * MINUTE)
    booked = [duty("D1", "O1", OPENING, UNTIL, "R1")]
    for number, car in enumerate(("V1", "V2")):
        time = OPENING - draw(st.integers(0, 3)) * MINUTE
        while time < UNTIL:
            length = draw(st.sampled_from([3, 6, 7, 8, 14, 15, 16, 30])) * MINUTE
            spot = draw(st.sampled_from([NEAR, AWAY, AWAY]))
            reports += standing(car, spot, time, time + length)
            time += length + draw(st.sampled_from([1, 4, 6])) * MINUTE
        first, last = sorted(draw(st.sampled_from([0, 20, 40, 120])) * MINUTE for _ in range(2))
        if first < last:
            booked.append(duty(f"E{number}", "O1", OPENING + first, OPENING + last, car))
        if draw(st.booleans()):
            late = draw(st.sampled_from([10, 30, 50])) * MINUTE
            booked.append(duty(f"F{number}", "O2", OPENING + late, OPENING + late + 20 * MINUTE, car))
    return reports, booked


@many(120)
@given(beside_a_frozen_radio(), st.sampled_from([Counted, Backwards]))
def test_a_frozen_device_is_told_by_how_long_another_was_elsewhere(
    facts: tuple[list[Report], list[Duty]], numbered: type[Counted]
) -> None:
    """Told is the first device by name that its officer alone held and that was away for over a quarter.

    However devices are numbered, and whether they were away at once or in parts.
    """
    case = numbered(*facts)
    want = literal(case.reports, case.oracle_stays(), case.oracle_slices(UNTIL), case.booked, as_of=UNTIL)
    assert sorted(row for row in case.rows() if row.kind == "frozen") == [
        Row(*row) for row in want if row.kind == "frozen"
    ]


def test_without_others_nothing_is_told_of_a_frozen_device() -> None:
    """A frozen device that nobody holds together with another is in no doubt by this rule: no row at all."""
    case = Counted(standing("R1", HERE, OPENING, UNTIL), [duty("D1", "O1", OPENING, UNTIL, "R1")])
    fixes = in_order(case.fixes)
    runs = frozen_runs(fixes, POLICIES)
    assert len(runs) == 1
    assert len(beside_others(runs, [], Movements.of(fixes, case.stays, POLICIES), POLICIES)) == 0
