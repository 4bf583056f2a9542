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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCounts:
    """What was heard of some devices, as summaries store it.

    Attributes:
        taken: usable reports, each as often as it came.
        rejected: reports that could not be used, by reason, sorted; only reasons that occur.
        delayed: of how many of the usable ones the delay is known.
        delay_median, delay_p95: theirs, nearest rank, seconds; None where none is known.
    """

    taken: int
    rejected: tuple[tuple[str, int], ...] = ()
    delayed: int = 0
    delay_median: int | None = None
    delay_p95: int | None = None


def totals(heard: Heard) -> ReportCounts:
    """What was heard in numbers."""
    usable = heard.verdict == TAKEN
    rejected = np.bincount(heard.verdict[~usable], weights=heard.count[~usable], minlength=len(REASONS))
    known = usable & (heard.delay != NO_DELAY)
    delay, count = heard.delay[known], heard.count[known]
    median, p95 = ((weighted(delay, count, percent) if len(delay) else None) for percent in (50, 95))
    return ReportCounts(
        taken=int(heard.count[usable].sum()),
        rejected=tuple(
            sorted((str(name), int(many)) for name, many in zip(REASONS, rejected, strict=True) if many)
        ),
        delayed=int(count.sum()),
        delay_median=median,
        delay_p95=p95,
    )
