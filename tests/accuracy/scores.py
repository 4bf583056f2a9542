"""The errors of every method on a shift, and what they come to over many.

Errors are signed, counted minus true. What is printed, written and drawn comes in the rooms after this one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from geo.matching.history import AreaHistory
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING, Policies
from stream.core.shares import OFFICER, shares
from stream.core.slices import newest, slices
from stream.core.stays import stays
from tests.accuracy.methods import METHODS, OURS
from tests.accuracy.overlay import at_work, counted, truly_at_work, visits
from tests.accuracy.spans import length
from tests.accuracy.world import world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.accuracy.methods import Method
    from tests.accuracy.overlay import Visits
    from tests.accuracy.spans import Spans
    from tests.accuracy.world import Key, World

MINUTE: Final = 60 * SECOND
ON_PATCH, IN_AREA, VISITS, VISIT_TIME = FIGURES = ("on_patch_min", "area_min", "visits", "visits_min")
"""What is measured: minutes on patch of an officer's shift; for an officer's shift and a priority area the
minutes inside, the number of visits, and the minutes inside during visits."""
WITHIN, OUTSIDE, WIDTH, UNKNOWN = BOUNDS = ("within_bounds", "outside_pp", "bounds_width_pp", "unknown_min")
"""Of an officer's shift: whether the true share lies within the bounds (rule 14), how far outside it lies and
how wide they are, both in percentage points, and the minutes that this project does not know."""
JOINED: Final = "+joined"
"""Behind a method's name: with absences of at most 60 s joined, as rule 17 does."""


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """By figure and method: signed errors for ``FIGURES``, values for ``BOUNDS``."""

    of: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def extend(self, other: Errors) -> None:
        """Takes in the errors of other shifts."""
        for key, values in other.of.items():
            self.of[key] += values


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results.

    Attributes:
        interval_s: seconds between a device's reports.
        figure: one of ``FIGURES`` or ``BOUNDS``.
        method: the method's name, perhaps with ``JOINED`` behind it.
        count: officer-shifts, or pairs of an officer's shift and an area.
        median: of the absolute error.
        mean: likewise.
        p95: likewise, the 95th percentile.
        bias: mean of the signed error.
        exact: which part was right (to 0.05 minutes; a number exactly).
    """

    interval_s: float
    figure: str
    method: str
    count: int
    median: float
    mean: float
    p95: float
    bias: float
    exact: float


def shift(seed: int, interval_s: float, officers: int, hours: float) -> Errors:
    """All methods on the shift of a seed; in a process of its own, if need be."""
    return measure(world(seed, interval_s, officers=officers, hours=hours))


def measure(ground: World, methods: Sequence[Method] = METHODS) -> Errors:
    """All methods on one shift."""
    errors = Errors()
    true = {duty.duty_id: truly_at_work(ground, duty) for duty in ground.duties}
    found: dict[str, dict[str, dict[Key, Spans]]] = {}
    for method in methods:
        presence = method.run(ground)
        found[method.name] = {duty.duty_id: at_work(ground, duty, presence) for duty in ground.duties}
    for duty in ground.duties:
        if duty.patch:
            patch = ("patch", *duty.patch)
            truth = _minutes(true[duty.duty_id], patch)
            for name, times in found.items():
                errors.of[ON_PATCH, name].append(_minutes(times[duty.duty_id], patch) - truth)
        for key in ground.polygons:
            if key[0] == "area":
                _area(errors, key, true[duty.duty_id], {name: of[duty.duty_id] for name, of in found.items()})
    _bounds(errors, ground, true)
    return errors


def _minutes(times: dict[Key, Spans], key: Key) -> float:
    return length(times[key]) / MINUTE if key in times else 0.0


def _area(errors: Errors, key: Key, true: dict[Key, Spans], found: dict[str, dict[Key, Spans]]) -> None:
    """One officer and one area; passed over where neither the truth nor any method has anything to say."""
    if key in true or any(key in times for times in found.values()):
        for name, times in found.items():
            errors.of[IN_AREA, name].append(_minutes(times, key) - _minutes(true, key))
    nothing = np.empty((0, 2), np.int64)
    truth = visits(true.get(key, nothing))
    seen: dict[str, Visits] = {}
    for name, times in found.items():
        inside = times.get(key, nothing)
        seen[name if name == OURS else name + JOINED] = visits(inside)
        if name != OURS:
            seen[name] = visits(inside, join=0)
    if len(truth.when) or any(len(each.when) for each in seen.values()):
        for name, each in seen.items():
            errors.of[VISITS, name].append(len(each.when) - len(truth.when))
            errors.of[VISIT_TIME, name].append((each.inside - truth.inside) / MINUTE)


def _bounds(errors: Errors, ground: World, true: dict[str, dict[Key, Spans]]) -> None:
    """Whether the true share of each officer lies within the accounting's bounds (rule 14); their width."""
    history, policies = AreaHistory([(BEGINNING, ground.simulation.force)]), Policies()
    duties = newest(ground.duties)
    found = stays(ground.fixes, history, policies)
    cut = slices(duties, found, ground.fixes.device_ids, ground.simulation.states, history.places, policies)
    start, end = ground.simulation.start, ground.simulation.end
    figures = shares(cut, duties, history.places, start, end)
    of = {each.id: each for each in figures if each.scope == OFFICER}
    for duty in duties:
        figure = of[duty.officer_id]
        low, high = figure.share_low, figure.share_high
        whole = counted(duty, ground.states.get(duty.officer_id, ()))
        if not duty.patch or not whole or low is None or high is None:
            continue
        inside = true[duty.duty_id].get(("patch", *duty.patch))
        share = (0 if inside is None else length(inside)) / whole
        errors.of[WITHIN, OURS].append(float(low <= share <= high))
        errors.of[OUTSIDE, OURS].append(100 * max(low - share, share - high, 0.0))
        errors.of[WIDTH, OURS].append(100 * (high - low))
        errors.of[UNKNOWN, OURS].append(figure.unknown / MINUTE)


def summary(interval_s: float, errors: Errors) -> list[Row]:
    """The errors of one interval in a few numbers, a line for each figure and method."""
    rows = []
    for (figure, method), values in errors.of.items():
        signed = np.array(values)
        error = np.abs(signed)
        near = 0.0 if figure == VISITS else 0.05
        rows.append(
            Row(
                interval_s,
                figure,
                method,
                len(signed),
                round(float(np.median(error)), 3),
                round(float(error.mean()), 3),
                round(float(np.percentile(error, 95)), 3),
                round(float(signed.mean()), 3),
                round(float((error <= near).mean()), 3),
            )
        )
    return rows
