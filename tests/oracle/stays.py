"""From reports to stays, one device at a time (rules 1 to 7).

Fixes and boundaries come in, stays go out; no officers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

from tests.oracle.exact import Area, Areas, Place, Point, along, point

Fix: TypeAlias = tuple[str, int, float, float, "float | None"]
"""``(device_id, time in µs, lon, lat, error_m)``."""

Version: TypeAlias = tuple["int | None", Sequence[Area]]
"""``(valid_from in µs, areas)``; ``None`` means from the beginning of time."""

Stay: TypeAlias = tuple[int, int, "Place | None"]
"""``(start, end, place)`` in µs, half open; ``None`` means unknown."""

EARTH_RADIUS_M = 6_371_008.8
SECOND = 1_000_000


def usable(
    fix: Fix, *, received: int, retention: int, max_error_m: float = 200.0, max_ahead_s: int = 300
) -> bool:
    """Rule 2, as far as it judges values: whether a report that could be decoded counts at all.

    Args:
        fix: the report.
        received: when it came in, µs.
        retention: how long facts are kept, µs; a fix of just this age is not older than it.
        max_error_m: the greatest ``error_m`` that is still good.
        max_ahead_s: how far ahead of receipt a time may be, seconds.
    """
    _, time, lon, lat, error_m = fix
    return (
        -180 <= lon <= 180
        and -90 <= lat <= 90
        and not (lon == 0 and lat == 0)
        and not (error_m is not None and error_m > max_error_m)
        and time - received <= max_ahead_s * SECOND
        and received - time <= retention
    )


def distance_m(a: Fix, b: Fix) -> float:
    """Great-circle metres between two fixes, by the haversine formula."""
    lon_a, lat_a, lon_b, lat_b = (math.radians(degrees) for degrees in (a[2], a[3], b[2], b[3]))
    h = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h)))


def _speed_mps(a: Fix, b: Fix) -> float:
    return distance_m(a, b) / ((b[1] - a[1]) / SECOND)


def impossible(a: Fix, b: Fix, jump_mps: float) -> bool:
    """Rule 4a: whether nobody drove from fix to fix, for the speed that it takes."""
    return _speed_mps(a, b) > jump_mps


def nobody_drove(track: Sequence[Fix], jump_mps: float, max_gap_s: int, apart_m: float = 500.0) -> list[bool]:
    """Rule 4a for each leg of a track without jumps: impossible, or between two that are.

    Between: of fixes at most ``max_gap_s`` from the first to the last, where from the fix before the one
    impossible leg to the fix behind the other there is a way that can be driven, and both legs are longer
    than ``apart_m``.
    """
    found = [impossible(a, b, jump_mps) for a, b in pairwise(track)]
    bad = [leg for leg, gone in enumerate(found) if gone]
    for one, two in pairwise(bad):
        short = track[two][1] - track[one + 1][1] <= max_gap_s * SECOND
        far = all(distance_m(track[leg], track[leg + 1]) > apart_m for leg in (one, two))
        if short and far and not impossible(track[one], track[two + 1], jump_mps):
            found[one:two] = [True] * (two - one)
    return found


def kept(fixes: Sequence[Fix]) -> list[Fix]:
    """Rule 1 for the fixes of one device: one of each time, in order of time."""

    def rank(fix: Fix) -> tuple[float, float, float]:
        _, _, lon, lat, error_m = fix
        return (error_m if error_m is not None and error_m > 0 else math.inf, lon, lat)  # rule 2b

    return [
        min((fix for fix in fixes if fix[1] == time), key=rank) for time in sorted({fix[1] for fix in fixes})
    ]


def without_jumps(fixes: Sequence[Fix], jump_mps: float) -> list[Fix]:
    """Rule 3 on kept fixes, all at once: neighbours are those before any is ignored; the ends always stay."""
    return [
        fix
        for i, fix in enumerate(fixes)
        if not (
            0 < i < len(fixes) - 1
            and _speed_mps(fixes[i - 1], fix) > jump_mps
            and _speed_mps(fix, fixes[i + 1]) > jump_mps
            and not _speed_mps(fixes[i - 1], fixes[i + 1]) > jump_mps
        )
    ]


def in_force(
    start: int, end: int, versions: Sequence[tuple[int | None, Areas]]
) -> list[tuple[int, int, Areas | None]]:
    """Rule 6: ``[start, end)`` divided among the versions; ``None`` before the first: nothing is known."""
    ordered = sorted(versions, key=lambda version: -math.inf if version[0] is None else version[0])
    changes = [at for at, _ in ordered if at is not None and start < at < end]
    parts: list[tuple[int, int, Areas | None]] = []
    for begin, stop in pairwise([start, *changes, end]):
        areas = None
        for at, candidate in ordered:
            if at is None or at <= begin:
                areas = candidate
        parts.append((begin, stop, areas))
    return parts


def _moving(a: tuple[int, Point], b: tuple[int, Point], start: int, end: int, areas: Areas) -> list[Stay]:
    """The part ``[start, end)`` of a moving leg, divided exactly where it meets an edge (rule 4).

    The place of a piece is that of its exact middle; only then are the crossings rounded, to the nearest
    microsecond since 1970, ties to even.
    """
    (time_a, at_a), (time_b, at_b) = a, b
    dt = time_b - time_a
    first, last = Fraction(start - time_a, dt), Fraction(end - time_a, dt)
    cuts = [first, *(f for f in areas.crossings(at_a, at_b) if first < f < last), last]
    return [
        (round(time_a + f * dt), round(time_a + g * dt), areas.place(along(at_a, at_b, (f + g) / 2)))
        for f, g in pairwise(cuts)
    ]


def _leg(
    a: Fix,
    b: Fix,
    versions: Sequence[tuple[int | None, Areas]],
    *,
    max_gap_s: int,
    parked_gap_s: int,
    parked_m: float,
) -> list[Stay]:
    """Rule 4 for one leg, judged for each version in force by itself."""
    dt = b[1] - a[1]
    at_a, at_b = point(a[2], a[3]), point(b[2], b[3])
    pieces: list[Stay] = []
    for start, end, areas in in_force(a[1], b[1], versions):
        if areas is None:
            pieces.append((start, end, None))
        elif dt <= max_gap_s * SECOND:
            pieces.extend(_moving((a[1], at_a), (b[1], at_b), start, end, areas))
        elif (
            dt <= parked_gap_s * SECOND
            and distance_m(a, b) <= parked_m
            and areas.place(at_a)[:2] == areas.place(at_b)[:2]
        ):
            # Of the priority areas those in which it was seen both times.
            place = areas.place(at_a)
            both = tuple(name for name in place.priorities if name in areas.place(at_b).priorities)
            pieces.append((start, end, place._replace(priorities=both)))
        else:
            pieces.append((start, end, None))
    return pieces


def merge_stays(pieces: Sequence[Stay]) -> list[Stay]:
    """Rule 7: empty pieces disappear, neighbours in one place become one."""
    merged: list[Stay] = []
    for start, end, place in pieces:
        if start == end:
            continue
        if merged and merged[-1][2] == place:
            merged[-1] = (merged[-1][0], end, place)
        else:
            merged.append((start, end, place))
    return merged


def stays(
    fixes: Sequence[Fix],
    versions: Sequence[Version],
    *,
    max_gap_s: int = 300,
    parked_gap_s: int = 1800,
    parked_m: float = 50.0,
    jump_mps: float = 80.0,
) -> dict[str, list[Stay]]:
    """Rules 1 and 3 to 7: the stays of each device, tiling the time from its first to its last kept fix.

    Args:
        fixes: usable reports (rule 2), in any order.
        versions: the published boundaries, in any order.
        max_gap_s: the longest leg that counts as moving, seconds.
        parked_gap_s: the longest leg that counts as parked, seconds.
        parked_m: how far apart the fixes of a parked leg may lie, metres.
        jump_mps: the speed above which a fix may be a jump, and a leg is unknown, metres a second.

    Returns:
        For each device that reported its stays in order of time; none for a device with a single fix.
    """
    exact = [(valid_from, Areas(areas)) for valid_from, areas in versions]
    result: dict[str, list[Stay]] = {}
    for device_id in sorted({fix[0] for fix in fixes}):
        track = without_jumps(kept([fix for fix in fixes if fix[0] == device_id]), jump_mps)
        result[device_id] = merge_stays(
            [
                piece
                for (a, b), gone in zip(
                    pairwise(track), nobody_drove(track, jump_mps, max_gap_s), strict=True
                )
                for piece in (
                    [(a[1], b[1], None)]
                    if gone
                    else _leg(a, b, exact, max_gap_s=max_gap_s, parked_gap_s=parked_gap_s, parked_m=parked_m)
                )
            ]
        )
    return result
