"""The facts from which everything is counted: fixes, duties and radio states.

Columns and frozen values only, no Kafka, no database, no clock. Fixes are columns because there are
millions of them; duties are values because there are thousands. Times are microseconds since 1970 UTC
(``int64``), intervals are half open ``[start, end)``, coordinates are WGS84 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.core.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


SECOND = 1_000_000
"""Microseconds in a second."""


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

    Attributes:
        start: microseconds since 1970 UTC.
        end: microseconds, ``None`` while the officer is still on duty.
        patch: the neighbourhoods' ``area_id``, sorted; empty for response officers.
        devices: the devices allocated.
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


@dataclass(frozen=True, slots=True)
class StateReport:
    """A radio status that an officer keyed at a time (rule 10)."""

    officer_id: str
    time: int
    state: int


MAX_TEXT: Final = 200
"""The most characters of an identifier or name; anything longer is a mistake and would not fit an index."""
