"""What was heard of all devices together, in a few numbers (rule 22)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.events import REASONS
from stream.core.quality.clocks import weighted
from stream.core.quality.heard import NO_DELAY, TAKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.core.quality.heard import Heard


@dataclass(frozen=True, slots=True)
class HeardTotals:
    """Reports of positions in numbers.

    Attributes:
        reports: how many came, usable or not.
        rejected: of them, those that could not be used, by reason; only reasons that occur.
        delay_median_s: the median delay of usable reports, seconds; None where no delay is known.
        delay_p95_s: the delay that 95 in 100 do not exceed.
    """

    reports: int
    rejected: Mapping[str, int]
    delay_median_s: int | None
    delay_p95_s: int | None


def totals(heard: Heard) -> HeardTotals:
    """What was heard in numbers."""
    rejected: Counter[str] = Counter()
    for verdict in np.unique(heard.verdict).tolist():
        if verdict != TAKEN:
            rejected[str(REASONS[verdict])] = int(heard.count[heard.verdict == verdict].sum())
    known = (heard.verdict == TAKEN) & (heard.delay != NO_DELAY)
    delay, count = heard.delay[known], heard.count[known]
    median, p95 = ((weighted(delay, count, percent) if len(delay) else None) for percent in (50, 95))
    return HeardTotals(int(heard.count.sum()), dict(rejected), median, p95)
