"""What each tracker was seen to do on a day, as the API says it (rule 22)."""

from __future__ import annotations

import contextlib
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from stream.core.calendar import day_of_number, local_day, rfc3339
from stream.core.facts import SECOND
from stream.core.json_types import Count, Seconds, Time
from stream.web import description as api
from stream.web.problems import ProblemError, bad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.core.quality.findings import QualityFinding
    from stream.store.reading.device_days import DaySeen

MOST = 1000
"""So many devices are told at once at most."""
USUAL = 100
"""So many where nothing is asked."""

DAY = api.in_query(
    "day",
    "A local day; today where it is not given.",
    Annotated[str, Meta(extra_json_schema={"format": "date"})],
)
AFTER = api.in_query("after", "Only devices whose id comes after this one, code point by code point.")
LIMIT = api.in_query("limit", "The most devices of one answer.", Annotated[int, Meta(ge=1, le=MOST)])


class DeviceDayJson(msgspec.Struct, frozen=True):
    """What a tracker was seen to do on a day; each figure as in ``quality.csv``."""

    device_id: str
    waiting: Annotated[
        bool,
        Meta(
            description="Positions came since the last look: until the next one, `positions`, `jumps`, "
            "intervals, `far` and silences know nothing of them."
        ),
    ]
    positions: Count
    repeated: Annotated[Count, Meta(description="Reports of a time that had been reported already.")]
    rejected: Annotated[
        dict[str, int], Meta(description="Reports that could not be used, by the reason in `dead.letters`.")
    ]
    jumps: Annotated[Count, Meta(description="Positions ignored by rule 3.")]
    intervals: Annotated[Count, Meta(description="From a position of the day to the next one.")]
    interval_median_s: Seconds | None
    interval_p95_s: Seconds | None
    delayed: Annotated[Count, Meta(description="Usable reports whose receipt is known.")]
    delay_median_s: float | None
    delay_p95_s: float | None
    clock_offset_s: Annotated[
        float | None,
        Meta(description="How far its clock is behind, where that is constant; negative: ahead."),
    ]
    silences: Annotated[Count, Meta(description="Booked stretches over `max_gap_s` without a position.")]
    silent_s: Annotated[Seconds, Meta(description="Their time of the day.")]
    far: Annotated[Count, Meta(description="Positions over 50 km outside the box around all areas.")]
    far_m: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="How far the farthest of them is, metres.")
    ]
    decided_s: Annotated[Seconds, Meta(description="Duty time for which it said where its officer was.")]


class DeviceDaysJson(msgspec.Struct, frozen=True):
    """What the trackers were seen to do on a local day, sorted by id."""

    as_of: Annotated[
        Time,
        Meta(
            description="Bookings and duty time are counted up to here; positions, intervals, jumps and gaps "
            "are up to `PATROL_EXAMINE_S` behind, reports, rejects and delays up to `PATROL_HEAR_S`."
        ),
    ]
    day: Annotated[str, Meta(extra_json_schema={"format": "date"})]
    devices: list[DeviceDayJson]
    next: Annotated[
        str | None,
        Meta(description="The `after` of the next answer; null: there are no more devices."),
    ]


def asked(given: Mapping[str, str], now: int) -> tuple[int, str, int]:
    """The day (since 1970-01-01), after which device, and how many, that a request asks for.

    Args:
        given: the query's parameters.
        now: microseconds since 1970.

    Raises:
        ProblemError: one of them cannot be used.
    """
    day = given.get("day", local_day(now).isoformat())
    wanted = _day(day)
    if wanted is None:
        raise bad(f"day={day} is not a day: write it like 2026-11-23")
    if not 1970 < wanted.year < 2100:
        raise ProblemError(404, "NotFound", f"nothing can be on record of {day}")
    limit = given.get("limit", str(USUAL))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", limit) or int(limit) > MOST:
        raise bad(f"limit={limit} is not a whole number from 1 to {MOST}")
    return (wanted - date(1970, 1, 1)).days, given.get("after", ""), int(limit)


def _day(text: str) -> date | None:
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    return None


def device_days_json(seen: DaySeen, day: int, now: int) -> DeviceDaysJson:
    """The answer.

    Args:
        seen: what was read.
        day: days since 1970-01-01.
        now: microseconds since 1970.
    """
    rows: dict[str, list[QualityFinding]] = {}
    for row in seen.findings.rows():
        rows.setdefault(row.id, []).append(row)
    return DeviceDaysJson(
        rfc3339(now),
        day_of_number(day).isoformat(),
        [_device(name, found, seen) for name, found in sorted(rows.items())],
        seen.last if seen.more else None,
    )


def _device(name: str, rows: list[QualityFinding], seen: DaySeen) -> DeviceDayJson:
    count = {row.finding: row.count for row in rows}
    seconds = {row.finding: row.us / SECOND for row in rows if row.us is not None}
    return DeviceDayJson(
        device_id=name,
        waiting=name in seen.waiting,
        positions=count.get("positions", 0),
        repeated=count.get("repeated", 0),
        rejected={row.detail: row.count for row in rows if row.finding == "rejected"},
        jumps=count.get("jump", 0),
        intervals=count.get("interval_median", 0),
        interval_median_s=seconds.get("interval_median"),
        interval_p95_s=seconds.get("interval_p95"),
        delayed=count.get("delay_median", 0),
        delay_median_s=seconds.get("delay_median"),
        delay_p95_s=seconds.get("delay_p95"),
        clock_offset_s=seconds.get("clock_offset"),
        silences=count.get("silent", 0),
        silent_s=seconds.get("silent", 0.0),
        far=count.get("far_from_force", 0),
        far_m=seen.far_m.get(name),
        decided_s=seconds.get("decided", 0.0),
    )
