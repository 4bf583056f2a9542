"""The facts from which everything is counted: fixes, duties and radio states.

Columns and frozen values only, no Kafka, no database, no clock. Fixes are columns because there are
millions of them; duties are values because there are thousands. Times are microseconds since 1970 UTC
(``int64``), intervals are half open ``[start, end)``, coordinates are WGS84 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


SECOND = 1_000_000
"""Microseconds in a second."""

LONGEST_DUTY_S: Final = 86_400
"""How long a booked duty may be to count at all, and an open one counts (rule 8a), unless the policy says
otherwise; seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixes(Columns):
    """Reported positions of devices, one row a fix, in any order (rule 1).

    Attributes:
        device: ``int32[n]``, index into ``device_ids``.
        time: ``int64[n]``, microseconds since 1970 UTC.
        lon: ``float64[n]``, degrees.
        lat: ``float64[n]``, degrees.
        error_m: ``float64[n]``, metres, NaN where the report did not say.
        speed_mps: ``float32[n]``, metres a second, NaN where missing.
        heading_deg: ``float32[n]``, degrees clockwise from north, NaN where missing.
        device_ids: the names that ``device`` points at.
    """

    device: NDArray[np.int32]
    time: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    error_m: NDArray[np.float64]
    speed_mps: NDArray[np.float32]
    heading_deg: NDArray[np.float32]
    device_ids: tuple[str, ...]

    @classmethod
    def none(cls, device_ids: Sequence[str] = ()) -> Fixes:
        """No fix of these devices."""
        degrees, other = np.empty(0), np.empty(0, np.float32)
        nothing = np.empty(0, np.int32), np.empty(0, np.int64)
        return cls(*nothing, degrees, degrees, degrees, other, other, tuple(device_ids))


@dataclass(frozen=True, slots=True)
class Allocation:
    """A device in an officer's hands for an interval (rule 8); ``None`` means the duty's own start or end."""

    device_id: str
    kind: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Duty:
    """One revision of a booking: an officer's booked-on time (rule 8).

    What was booked is ``start`` and ``end``. What is counted of it, wherever anything is counted, is
    ``[start, until)`` where ``counts``, and nothing elsewhere (rule 8a).

    Attributes:
        start: microseconds since 1970 UTC.
        end: microseconds, ``None`` while the officer is still on duty.
        patch: the neighbourhoods' ``area_id``, sorted; empty for response officers.
        devices: the devices allocated.
        longest: how long it may be, microseconds: of the policy in force at its start, put there by
            ``stream.core.slices.newest`` or read back from the database. It is no part of the booking.
    """

    duty_id: str
    revision: int
    officer_id: str
    start: int
    end: int | None
    patch: tuple[str, ...] = ()
    devices: tuple[Allocation, ...] = ()
    cancelled: bool = False
    name: str | None = None
    role: str | None = None
    team: str | None = None
    longest: int = field(default=LONGEST_DUTY_S * SECOND, compare=False, repr=False)

    @property
    def too_long(self) -> bool:
        """Whether it is booked for longer than any duty lasts, and so counts for nothing (rule 8a)."""
        return self.end is not None and self.end - self.start > self.longest

    @property
    def counts(self) -> bool:
        """Whether any of it counts: it is neither cancelled nor too long (rules 8 and 8a)."""
        return not self.cancelled and not self.too_long

    @property
    def until(self) -> int:
        """Where the time that counts ends, microseconds; its start where nothing counts (rule 8a)."""
        if not self.counts:
            return self.start
        return self.start + self.longest if self.end is None else self.end

    def until_by(self, now: int) -> int:
        """The same as it stands at an instant: an open duty has not got further than that (microseconds)."""
        return self.until if self.end is not None else max(self.start, min(self.until, now))

    def is_in(self, start: int, end: int) -> bool:
        """Whether any time of it counts in ``[start, end)``, microseconds."""
        return max(self.start, start) < min(self.until, end)

    def is_booked_in(self, start: int, end: int) -> bool:
        """Whether it was booked for any time in ``[start, end)`` (microseconds), be it counted or not."""
        return not self.cancelled and self.start < end and (self.end is None or self.end > start)

    def is_on(self, time_us: int) -> bool:
        """Whether an instant (microseconds) is in the time that counts."""
        return self.start <= time_us < self.until


@dataclass(frozen=True, slots=True)
class StateReport:
    """A radio status that an officer keyed at a time (rule 10)."""

    officer_id: str
    time: int
    state: int


MAX_TEXT: Final = 200
"""The most characters of an identifier or name; anything longer is a mistake and would not fit an index."""
