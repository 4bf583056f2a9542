"""What the facts behind a summary's figure are worth, again: findings one by one, time row by row (rule 22).

Written from what the documents say of each finding; no function that finds one is called. Doubt (rule 21) and
wrong clocks are not looked at: the worlds that summaries are counted of here have none on record.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from stream.core.quality.totals import ReportCounts
from stream.core.summaries.model import FactFinding, FactsWorth
from tests.oracle.slices import allocated, counted_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from tests.oracle.summaries import Row, Span, Tables, Version

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
HOUR = 3600 * SECOND
EARTH_M = 6_371_008.8
ORDER = (
    *("unknown_patch", "patch_not_in_force"),
    *("swapped_coordinates", "latitude_sign", "both_signs", "swapped_and_sign", "near_id"),
    *("two_ids", "none_usable", "never_heard", "clock_offset", "rejected", "too_long_duty", "open_duty"),
    *("overlapping_duties", "no_device"),
)
MISPLACED = ("swapped_coordinates", "latitude_sign", "both_signs", "swapped_and_sign")
HONEST = ("not_a_fix", "error_too_large", "zero_position")
REASONS = (
    *("not_json", "missing_field", "bad_value", "not_a_fix", "out_of_range", "zero_position"),
    *("error_too_large", "in_future", "too_old"),
)


class Position(NamedTuple):
    """Where a device was."""

    time: int
    lon: float
    lat: float


def _day(time: int) -> str:
    return (EPOCH + timedelta(microseconds=time)).astimezone(LONDON).date().isoformat()


def _day_span(day: str) -> Span:
    first = date.fromisoformat(day)
    low, high = (
        datetime(it.year, it.month, it.day, tzinfo=LONDON) for it in (first, first + timedelta(days=1))
    )
    return (low - EPOCH) // timedelta(microseconds=1), (high - EPOCH) // timedelta(microseconds=1)


def _end(duty: Duty, until: int) -> int:
    return min(until, counted_to(duty)) if duty.end is None else duty.end


def _joined(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        elif low < high:
            found.append((low, high))
    return found


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ";".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _plain(name: str) -> str:
    """An id without what the tests' ids are written differently by: case, blanks, zeros at the front."""
    return "".join(name.split()).upper().lstrip("0")


class Looked:
    """What can be seen of some duties, their devices and officers in a period."""

    def __init__(self, tables: Tables, mine: Sequence[Duty], period: Span) -> None:
        self.tables, self.until = tables, tables.until
        self.positions = tables.positions()
        self.period = (period[0], tables.until)
        self.asked = [
            duty
            for duty in mine
            if min(_end(duty, self.until), self.until) - max(duty.start, period[0]) >= 900 * SECOND
        ]
        self.names = sorted({item.device_id for duty in self.asked for item in duty.devices})
        self.seen: dict[tuple[str, str], list[Position]] = {}
        for duty in self.asked:
            for name in {item.device_id for item in duty.devices}:
                spans = [
                    allocated(duty, item, max(duty.start, self.until))
                    for item in duty.devices
                    if item.device_id == name
                ]
                cut = [(max(low, period[0]), min(high, self.until)) for low, high in spans]
                found = [spot for span in _joined(cut) for spot in self._ends(name, span)]
                if found:
                    self.seen[duty.duty_id, name] = found
        self.outside = {
            (duty.duty_id, item.device_id)
            for duty in self.asked
            for item in duty.devices
            for low, high in [allocated(duty, item, self.until + 24 * HOUR)]
            if self._ends(item.device_id, (low, min(high, period[0])))
            or self._ends(item.device_id, (max(low, self.until), min(high, self.until + 24 * HOUR)))
        }
        self.heard = {name for _, name in self.seen} | {name for _, name in self.outside}
        self.heard |= {name for name in self.names if self._ends(name, self.period)}

    def _ends(self, name: str, span: Span) -> list[Position]:
        rows = self.positions.get(name, [])
        low, high = (bisect_left(rows, (moment,)) for moment in span)
        found = [Position(*row) for row in rows[low:high]]
        return [*found[:1], *found[1:][-1:]]

    def strangers(self) -> list[str]:
        """Devices heard in the period that no duty of the period names."""
        low, high = self.period
        booked = {
            item.device_id
            for duty in self.tables.duties.values()
            if duty.start < high and counted_to(duty) > low
            for item in duty.devices
        }
        booked |= {
            name
            for (name,) in self.tables.ask(
                "select device_id from allocation join duty d using (duty) join device using (device) "
                "where not cancelled and d.start_at < from_us(%s) and d.end_at > from_us(%s) "
                "and d.end_at - d.start_at > interval '24 hours'",
                *(high, low),
            )
        }
        known = sorted(name for name in self.positions if self._ends(name, self.period))
        return [name for name in known if name not in booked]

    def reports(self, name: str) -> list[tuple[str, int, int | None, int]]:
        """``(day, verdict, delay in seconds, count)`` of a device on the period's days."""
        found = []
        for day, verdicts, delays, counts in self.tables.ask(
            "select day, verdict, delay, count from heard join device using (device) where device_id = %s",
            name,
        ):
            text = (date(1970, 1, 1) + timedelta(days=day)).isoformat()
            if _day(self.period[0]) <= text <= _day(max(self.period[0], self.until - 1)):
                rows = zip(verdicts, delays, counts, strict=True)
                found += [
                    (text, one, None if delay == 2**31 - 1 else delay, many) for one, delay, many in rows
                ]
        return found


def findings(
    seen: Looked,
    versions: Sequence[Version],
    grounds: set[str],
    history: Sequence[tuple[int, set[str]]],
    officers: list[Duty],
    area_id: str,
) -> list[FactFinding]:
    """All findings, in the order in which they are told."""
    until = seen.until
    rows: list[FactFinding] = []

    def tell(kind: str, scope: str, name: str, day: str, count: int, time: int | None, detail: str) -> None:
        rows.append(
            FactFinding(finding=kind, scope=scope, id=name, day=day, count=count, time=time, detail=detail)
        )

    for name in seen.names:
        booked = [duty for duty in seen.asked if name in {item.device_id for item in duty.devices}]
        day = _day(min(duty.start for duty in booked))
        near = [other for other in seen.strangers() if _plain(other) == _plain(name)]
        for other in near:
            tell("near_id", "device", name, day, 1, None, other)
        if name not in seen.heard:  # another booking may have the id right
            for other in sorted(seen.heard):
                if _plain(other) == _plain(name):
                    looked = {at for (_, device), ends in seen.seen.items() if device == other for at in ends}
                    tell("near_id", "device", name, day, len(looked), None, other)
        for other in seen.names:
            duties = [duty for duty in seen.asked if other in {item.device_id for item in duty.devices}]
            alike = _plain(other) == _plain(name) and other != name and {name, other} <= set(seen.heard)
            if alike and (len(booked), other) < (len(duties), name):
                tell("two_ids", "device", name, day, len(booked), None, other)
        if name not in seen.heard and not seen.reports(name):
            tell("never_heard", "device", name, day, len(booked), None, _some(d.duty_id for d in booked))
        spots = [spot for (_, device), found in seen.seen.items() if device == name for spot in found]
        for (day, mistake), count in _misplaced(sorted(set(spots)), versions).items():
            tell(mistake, "device", name, day, count, None, "")
        for day, of_day in groupby(
            sorted(seen.reports(name), key=lambda row: row[0]), key=lambda row: row[0]
        ):
            listed = list(of_day)
            rejected = [row for row in listed if row[1] >= 0 and REASONS[row[1]] not in HONEST]
            most, every = sum(row[3] for row in rejected), sum(row[3] for row in listed)
            if most >= 10 and 10 * most > every:
                why = sorted({REASONS[row[1]] for row in rejected})
                counts = [f"{sum(r[3] for r in rejected if REASONS[r[1]] == one)} {one}" for one in why]
                tell("rejected", "device", name, day, most, None, ";".join([f"of {every}", *counts]))
    for duty in seen.asked:
        lasting, day = _end(duty, until) - duty.start, _day(duty.start)
        devices = sorted({item.device_id for item in duty.devices})
        if not devices:
            tell("no_device", "duty", duty.duty_id, day, 1, lasting, "")
        elif not any((duty.duty_id, name) in {*seen.seen, *seen.outside} for name in devices):
            silent = [row.id for row in rows if row.finding == "never_heard" and row.scope == "device"]
            if not set(devices) <= set(silent):
                tell("never_heard", "duty", duty.duty_id, day, len(devices), lasting, ";".join(devices))
        for area in sorted(grounds & set(duty.patch)):
            # From the first boundaries on: in which parts of the duty is it in the newest that began?
            edges = sorted({duty.start, min(_end(duty, until), until), *(at for at, _ in history)})
            gone = 0
            for low, high in pairwise(edges):
                begun = [ids for at, ids in history if at <= low]
                if duty.start <= low < min(_end(duty, until), until) and any(begun):
                    gone += (high - low) * (area not in begun[-1])
            if gone:
                tell("patch_not_in_force", "duty", duty.duty_id, day, 1, gone, area)
        if duty.end is None and until - duty.start > 16 * HOUR:
            tell("open_duty", "duty", duty.duty_id, day, 1, until - duty.start, duty.officer_id)
    for duty_id, officer_id, start, end in seen.tables.ask(
        "select duty_id, officer_id, (extract(epoch from start_at) * 1000000)::int8, "
        "(extract(epoch from end_at) * 1000000)::int8 from duty join officer using (officer) "
        "where not cancelled and %s = any(patch) and start_at < from_us(%s) and end_at > from_us(%s) "
        "and end_at - start_at > interval '24 hours'",
        *(area_id, until, seen.period[0]),
    ):
        tell("too_long_duty", "duty", duty_id, _day(start), 1, end - start, officer_id)
    for officer in sorted({duty.officer_id for duty in seen.asked}):
        theirs = [
            duty
            for duty in officers
            if duty.officer_id == officer
            and (duty in seen.asked or duty.duty_id not in {d.duty_id for d in seen.asked})
        ]
        parts, ids = _claimed_twice(theirs, until)
        if parts:
            time = sum(high - low for low, high in parts)
            tell("overlapping_duties", "officer", officer, _day(parts[0][0]), len(ids), time, _some(ids))
    for area in sorted({area for duty in seen.asked for area in duty.patch} - grounds) if grounds else ():
        booked = [duty for duty in seen.asked if area in duty.patch]
        time = sum(max(_end(duty, until) - duty.start, 0) for duty in booked)
        near = [other for other in grounds if _plain(other) == _plain(area)]
        tell(
            "unknown_patch", "patch", area, _day(min(d.start for d in booked)), len(booked), time, _some(near)
        )
    return sorted(
        rows,
        key=lambda row: (ORDER.index(row.finding), -(row.time or 0), -row.count, row.id, row.day, row.detail),
    )


def _claimed_twice(duties: Sequence[Duty], until: int) -> tuple[list[Span], set[str]]:
    spans = [
        (duty.start, max(_end(duty, until), duty.start + 1) if duty.end is None else duty.end)
        for duty in duties
    ]
    edges = sorted({edge for span in spans for edge in span})
    parts, ids = [], set()
    for low, high in pairwise(edges):
        here = [
            d.duty_id for d, span in zip(duties, spans, strict=True) if span[0] <= low and high <= span[1]
        ]
        if len(here) > 1:
            parts.append((low, high))
            ids.update(here)
    return _joined(parts), ids


def _misplaced(spots: Sequence[Position], versions: Sequence[Version]) -> dict[tuple[str, str], int]:
    boxes = [shape.bounds for item in versions for _, shape, _ in item.areas.values()]
    if not boxes:
        return {}
    west, south, east, north = (
        pick(box[at] for box in boxes) for at, pick in enumerate((min, min, max, max))
    )

    def near(lon: float, lat: float) -> bool:
        return (
            abs(lat) <= 90
            and _metres((lon, lat), (min(max(lon, west), east), min(max(lat, south), north))) <= 5000
        )

    found: dict[tuple[str, str], int] = {}
    for outside, run in groupby(spots, key=lambda spot: not near(spot.lon, spot.lat)):
        listed = list(run)
        for name, mended in (
            ("swapped_coordinates", [(s.lat, s.lon) for s in listed]),
            ("latitude_sign", [(s.lon, -s.lat) for s in listed]),
            ("both_signs", [(-s.lon, -s.lat) for s in listed]),
            ("swapped_and_sign", [(-s.lat, s.lon) for s in listed]),
        ):
            if outside and all(near(*spot) for spot in mended):
                for spot in listed:
                    key = (_day(spot.time), name)
                    found[key] = found.get(key, 0) + 1
                break
    return found


def _metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lon0, lat0), (lon1, lat1) = ((math.radians(x), math.radians(y)) for x, y in (a, b))
    half = math.sin((lat1 - lat0) / 2) ** 2
    half += math.cos(lat0) * math.cos(lat1) * math.sin((lon1 - lon0) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, half)))


def questionable(
    row: Row, duty: Duty, found: Sequence[FactFinding], claimed: dict[str, list[Span]], policies: Policies
) -> list[Span]:
    """The parts of a slice that serious findings touch."""
    if row.activity in ("break", "unknown"):
        return []
    at = max(number for number, since in enumerate(policies.starts) if since <= duty.start)
    state = policies.policies[at].states.get(row.state)
    by_state = state is not None and state.counts == "not_visible"
    decided = row.device is not None and not (row.activity == "not_visible" and by_state)
    parts: list[Span] = []
    for item in found:
        whole = (row.start, row.end)
        if item.finding in (*MISPLACED, "rejected"):
            if decided and row.device == item.id:
                parts.append(_day_span(item.day))
        elif item.finding in ("never_heard", "none_usable"):
            radios = {held.device_id for held in duty.devices if held.kind == "radio"}
            if decided and item.scope == "device" and item.id in radios:
                parts.append(whole)
        elif item.finding == "unknown_patch":
            if decided and item.id in duty.patch:
                parts.append(whole)
        elif item.finding == "patch_not_in_force":
            if decided and item.id == duty.duty_id:
                parts.append(whole)
        elif item.finding == "open_duty":
            if item.id == duty.duty_id:
                parts.append(whole)
        elif item.finding == "overlapping_duties" and item.id == duty.officer_id:
            parts += claimed[item.id]
    return _joined((max(low, row.start), min(high, row.end)) for low, high in parts)


def facts_worth(
    tables: Tables,
    mine: Sequence[Duty],
    rows: Sequence[Row],
    period: Span,
    versions: Sequence[Version],
    policies: Policies,
    bounds: tuple[int, int, int],
    verdict: str | None,
    target: float,
    area_id: str,
) -> FactsWorth:
    """All numbers of it; sentences are left empty.

    Args:
        tables: the tables.
        mine: the neighbourhood's own duties in the period.
        rows: their slices.
        period: from when to when.
        versions: the boundaries in force at some time of it.
        policies: by which it was counted.
        bounds: what is proven, what is possible, and the duty time, microseconds.
        verdict: as it is.
        target: the share promised.
        area_id: the neighbourhood.
    """
    until = tables.until
    seen = Looked(tables, mine, period)
    grounds = {name for item in versions if item.kind == "neighbourhood" for name in item.areas}
    touching = [
        duty for duty in tables.duties.values() if min(_end(duty, 2**62), until) > max(duty.start, period[0])
    ]
    published = sorted(
        (item for item in tables.versions() if item.kind == "neighbourhood"),
        key=lambda item: (item.opens, item.version),
    )
    history = [(item.opens, set(item.areas)) for item in published]
    found = findings(seen, versions, grounds, history, touching, area_id)
    claimed = {
        name: _claimed_twice([duty for duty in touching if duty.officer_id == name], until)[0]
        for name in {duty.officer_id for duty in mine}
    }
    on = off = 0
    for row in rows:
        if row.ambiguous:
            continue
        parts = questionable(row, tables.duties[row.duty_id], found, claimed, policies)
        time = sum(max(0, min(high, period[1], until) - max(low, period[0])) for low, high in parts)
        if row.activity == "on_patch":
            on += time
        else:
            off += time
    proven, possible, duty = bounds[0] - on, bounds[1] + off, bounds[2]
    then = None
    if verdict is not None:
        then = "met" if proven / duty >= target else "missed" if possible / duty < target else "not proven"
    listed = [
        row for name in sorted({i.device_id for d in mine for i in d.devices}) for row in seen.reports(name)
    ]
    taken = [row for row in listed if row[1] < 0]
    delays = sorted(row[2] for row in taken if row[2] is not None for _ in range(row[3]))
    return FactsWorth(
        findings=tuple(found),
        reports=ReportCounts(
            taken=sum(row[3] for row in taken),
            rejected=tuple(
                (name, sum(row[3] for row in listed if row[1] == REASONS.index(name)))
                for name in sorted({REASONS[row[1]] for row in listed if row[1] >= 0})
            ),
            delayed=len(delays),
            delay_median=delays[-(-len(delays) * 50 // 100) - 1] if delays else None,
            delay_p95=delays[-(-len(delays) * 95 // 100) - 1] if delays else None,
        )
        if listed
        else None,
        questioned=on + off,
        proven=proven,
        possible=possible,
        verdict=then,
    )
