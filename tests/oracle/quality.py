"""What was heard, recounted from the raw lines (rule 22): positions, repeats, rejects, intervals, delays.

One line after another, in dictionaries; it reads only the forms that the tests write, and a local day by the
standard library.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
LATEST = 4_102_444_800 * SECOND

Row = tuple[str, str, str, int, "int | None", str]
"""``(device, day, finding, count, microseconds, detail)``."""


class Report(NamedTuple):
    """A report of a device; its own time, if it can be read, and its receipt, if it is known."""

    device: str
    time: int | None
    receipt: int | None
    reason: str


def recount(lines: list[bytes]) -> list[Row]:
    """The plain counts by device and day, sorted."""
    reports, identities = _read(lines)
    rows: list[Row] = []
    rejected: Counter[tuple[str, str, str]] = Counter()
    delays: dict[tuple[str, str], list[int]] = defaultdict(list)
    taken: Counter[tuple[str, str]] = Counter()
    for report in reports:
        by_time = (
            report.time is not None
            and report.reason != "bad_value"
            and not _untimely(report.time, report.receipt)
        )
        day = _day(report.time if by_time else report.receipt)
        if report.reason:
            rejected[report.device, day, report.reason] += 1
            continue
        taken[report.device, day] += 1
        if report.receipt is not None and report.time is not None:
            delays[report.device, day].append(_rounded(report.receipt - report.time))
    rows += [(*key[:2], "rejected", count, None, key[2]) for key, count in rejected.items()]
    rows += _quantiles("delay", {key: [value * SECOND for value in found] for key, found in delays.items()})

    own: dict[str, list[int]] = defaultdict(list)
    for device, time in sorted(identities):
        own[device].append(time)
    legs: dict[tuple[str, str], list[int]] = defaultdict(list)
    once: Counter[tuple[str, str]] = Counter()
    for device, times in own.items():
        for time, after in zip(times, [*times[1:], None], strict=True):
            once[device, _day(time)] += 1
            if after is not None:
                legs[device, _day(time)].append((after - time) // 1000 * 1000)
    rows += [(*key, "positions", count, None, "") for key, count in once.items()]
    rows += [
        (*key, "repeated", count - once[key], None, "") for key, count in taken.items() if count > once[key]
    ]
    rows += _quantiles("interval", legs)
    return sorted(rows, key=repr)


def silences(times: list[int], start: int, end: int, gap: int = 300 * SECOND) -> tuple[int, int]:
    """Stretches over ``gap`` between the reports of a booked stretch and its ends: count and length."""
    inside = sorted({time for time in times if start <= time < end})
    marks = [start, *inside, end]
    quiet = [b - a for a, b in pairwise(marks) if b - a > gap or not inside]
    return len(quiet), sum(quiet)


def silences_by_day(
    times: list[int], booked: list[tuple[int, int | None]], until: int, gap: int = 300 * SECOND
) -> dict[str, tuple[int, int]]:
    """Stretches over ``gap`` of a device's booked time without a report, by local day: count and length."""
    found: dict[str, list[int]] = defaultdict(list)
    while booked:
        start, end = booked[0]
        end = until if end is None else min(end, until)
        again = True
        while again:  # whatever overlaps or touches it is booked without a break
            again = False
            for other in booked[1:]:
                low, high = other[0], until if other[1] is None else min(other[1], until)
                if low <= end and high >= start and (low < start or high > end):
                    start, end, again = min(low, start), max(high, end), True
        booked = [item for item in booked[1:] if not start <= item[0] <= end]
        inside = sorted({time for time in times if start <= time < end})
        for a, b in pairwise([start, *inside, end]):
            low = a
            while b - a > gap and low < b:
                local = (EPOCH + timedelta(microseconds=low)).astimezone(LONDON)
                midnight = datetime(local.year, local.month, local.day, tzinfo=LONDON) + timedelta(days=1)
                high = min(b, (midnight.astimezone(UTC) - EPOCH) // timedelta(microseconds=1))
                found[_day(low)].append(high - low)
                low = high
    return {day: (len(parts), sum(parts)) for day, parts in found.items()}


def _read(lines: list[bytes]) -> tuple[list[Report], set[tuple[str, int]]]:
    reports, identities = [], set()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict) or "device_id" not in event:
            continue
        time, receipt = _time(event.get("time")), _time(event.get("received"))
        receipt = None if receipt is not None and receipt < 0 else receipt
        reason = _reason(event, time, receipt)
        reports.append(Report(event["device_id"], time, receipt, reason))
        if not reason and time is not None:
            identities.add((event["device_id"], time))
    return reports, identities


def _reason(event: dict[str, Any], time: int | None, receipt: int | None) -> str:
    if any(event.get(name) is None for name in ("time", "lon", "lat")):
        return "missing_field"
    if time is None or isinstance(event["lat"], str):
        return "bad_value"
    if abs(event["lon"]) > 180 or abs(event["lat"]) > 90:
        return "out_of_range"
    if event["lon"] == event["lat"] == 0:
        return "zero_position"
    if (event.get("error_m") or 0) > 200:
        return "error_too_large"
    return _untimely(time, receipt)


def _untimely(time: int, receipt: int | None) -> str:
    if time >= LATEST or (receipt is not None and time - receipt > 300 * SECOND):
        return "in_future"
    if time < 0 or (receipt is not None and receipt - time > 400 * 86_400 * SECOND):
        return "too_old"
    return ""


def _time(value: object) -> int | None:
    if isinstance(value, int):
        return value * 1000
    try:
        return (datetime.fromisoformat(str(value)) - EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError):
        return None


def _day(time: int | None) -> str:
    if time is None:
        return ""
    return (EPOCH + timedelta(microseconds=time)).astimezone(LONDON).date().isoformat()


def _rounded(delay: int) -> int:
    seconds = delay / SECOND
    size = abs(seconds)
    step = 1 if size < 60 else 10 if size < 600 else 60 if size < 2 * 86_400 else 3600
    return round(seconds / step) * step


def _quantiles(name: str, found: dict[tuple[str, str], list[int]]) -> list[Row]:
    rows: list[Row] = []
    for key, values in found.items():
        ordered = sorted(values)
        for finding, percent in (("median", 50), ("p95", 95)):
            rank = next(n for n in range(1, len(ordered) + 1) if 100 * n >= percent * len(ordered))
            rows.append((*key, f"{name}_{finding}", len(ordered), ordered[rank - 1], ""))
    return rows
