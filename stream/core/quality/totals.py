"""What was heard, in a few numbers: of all devices together, and of those that err much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.events import REASONS, Reason
from stream.core.quality.clocks import weighted
from stream.core.quality.heard import NO_DELAY, TAKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.core.quality.heard import Heard

REJECTED_PART: Final = 0.1
"""More than so much of a device's reports of a day rejected is no small part any more."""
LEAST_REJECTED: Final = 10
"""Fewer rejected reports of a device on a day are told in the counts alone."""
HONEST: Final = (Reason.NOT_A_FIX, Reason.ERROR_TOO_LARGE, Reason.ZERO_POSITION)
"""Rejected because the tracker itself says that it does not know where it is, as indoors: no fault of it.

Coordinates of 0, 0 are how many trackers say so.
"""


@dataclass(frozen=True, slots=True)
class FaultyDay:
    """A device and day whose reports were more than in small part rejected as faulty (``HONEST`` apart).

    Attributes:
        device_id: which device.
        day: days since 1970-01-01, local; ``NO_DAY`` where unknown.
        reports: how many there were, usable or not.
        rejected: those rejected as faulty, by reason, sorted.
    """

    device_id: str
    day: int
    reports: int
    rejected: tuple[tuple[str, int], ...]


def faulty_days(heard: Heard) -> list[FaultyDay]:
    """The devices and days of which much was rejected as faulty, in order."""
    refused = (heard.verdict != TAKEN) & ~np.isin(heard.verdict, [REASONS.index(name) for name in HONEST])
    if not refused.any():
        return []
    key = heard.device.astype(np.int64) << 32 | (heard.day.astype(np.int64) + (1 << 31))
    days, at = np.unique(key, return_inverse=True)
    every = np.bincount(at, weights=heard.count, minlength=len(days))
    rejected = np.bincount(at[refused], weights=heard.count[refused], minlength=len(days))
    found = []
    for number in np.flatnonzero((rejected >= LEAST_REJECTED) & (rejected > REJECTED_PART * every)).tolist():
        rows = np.flatnonzero(refused & (at == number))
        reasons: Counter[str] = Counter()
        for verdict, count in zip(heard.verdict[rows].tolist(), heard.count[rows].tolist(), strict=True):
            reasons[str(REASONS[verdict])] += count
        name, day = heard.device_ids[int(heard.device[rows[0]])], int(heard.day[rows[0]])
        found.append(FaultyDay(name, day, int(every[number]), tuple(sorted(reasons.items()))))
    return found


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
