"""One duty as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geo.matching.history import FOREVER
from stream.core.calendar import LOCAL, Period, local_day, moment
from stream.core.explaining.wording import (
    apportion,
    clock,
    day_words,
    duration,
    moment_words,
)
from stream.core.facts import SECOND
from stream.core.shares import NEIGHBOURHOOD
from stream.core.slices import ACTIVITIES
from stream.core.summaries.parts import (
    ACTIVITY_WORDS,
    clock_s,
    duty_words,
    exact_words,
)
from stream.web.weeks.paths import live_officer, week_path
from stream.web.weeks.strip import render, span_words

if TYPE_CHECKING:
    from stream.core.explaining.wording import Named
    from stream.core.summaries.details import StretchedDuty


HEIGHTS = {"on_patch": 1.0, "off_patch": 0.7, "not_visible": 0.45, "unknown": 0.85, "break": 0.2}
"""How high an activity's bar is: no colour is needed to tell them apart."""


def duty_page(found: StretchedDuty, period: Period, names: Named, *, marked: tuple[int, int] | None) -> str:
    """One duty, on a line and stretch by stretch.

    Args:
        found: as counted now.
        period: the week that asks.
        names: of areas.
        marked: from when to when stretches are to be marked, microseconds.
    """
    duty, week = found.duty, period.name
    start, end = duty.start, max(found.until, duty.start + 1)
    times = found.times()
    shown = [(name, ACTIVITY_WORDS[name], times[name]) for name in HEIGHTS]
    time_words = exact_words([value for _, _, value in shown])
    rows, first, before = [], True, None
    for item, text in zip(found.stretches, exact_words([item.time for item in found.stretches]), strict=True):
        # What is asked about is said in milliseconds.
        hit = marked is not None and item.start < marked[1] and item.end > marked[0] + 1000
        day = local_day(item.start)
        named = "" if day == before else f"{day_words(day, year=False)} "
        before = day
        rows.append(
            {
                "item": item,
                "when": f"{named}{clock_s(item.start)}–{clock_s(item.end)}",
                "time": text,
                "marked": hit,
                "first": hit and first,
            }
        )
        first = first and not hit
    notes = []
    if not (period.start <= start and end <= period.end):
        notes.append(f"Part of this duty lies outside {week}: it is shown in grey and not added up here.")
    if duty.end is None:
        notes.append(f"Not ended yet: counted up to {moment_words(found.until)}.")
    doubt = times["ambiguous_on"] + times["ambiguous_off"]
    also = []
    if times["priority"]:
        also.append(f"{exact_words([times['priority']])[0]} of the time on patch in priority areas")
    if doubt:
        also.append(f"{exact_words([doubt])[0]} in doubt")
    return render(
        "duty",
        trail=(
            (f"All neighbourhoods, {week}", week_path(week)),
            *((names.name(NEIGHBOURHOOD, area_id), week_path(week, area_id)) for area_id in duty.patch[:3]),
        ),
        found=found,
        week=week,
        when=duty_words(duty),
        patch=[(names.name(NEIGHBOURHOOD, area_id), week_path(week, area_id)) for area_id in duty.patch],
        devices=[
            f"{item.device_id} ({item.kind}"
            + ("" if item.start is None else f" from {clock(item.start)}")
            + ("" if item.end is None or item.end >= FOREVER else f" to {clock(item.end)}")
            + ")"
            for item in duty.devices
        ],
        playback=live_officer(duty.officer_id, duty.duty_id),
        notes=notes,
        heights=HEIGHTS,
        activities=list(ACTIVITY_WORDS.items()),
        **_line(found, period, start, end),
        caption=f"Time in {week} by what it counts as",
        times=[
            (name, words, value, text) for (name, words, value), text in zip(shown, time_words, strict=True)
        ],
        duty=times["duty"],
        also=("; ".join(also) + ".").capitalize() if also else "",
        rows=rows,
        stretches_words=f"{len(rows)} stretches, cut at midnight; together they are the whole duty, "
        "less time signed off",
    )


def _line(found: StretchedDuty, period: Period, start: int, end: int) -> dict[str, Any]:
    def x(time: int) -> float:
        return round(1000 * (time - start) / (end - start), 2)

    hour = 3600 * SECOND
    step = next(item for item in (1, 2, 3, 6, 12, 24, 48, 96, 10**6) if (end - start) / (item * hour) <= 14)
    ticks = []
    for at in range(-(-start // hour) * hour, end + 1, hour):
        local = moment(at).astimezone(LOCAL)
        if local.hour % min(step, 24) == 0 and (step <= 24 or local.toordinal() % (step // 24) == 0):
            spot = x(at)
            anchor = "start" if spot < 20 else "end" if spot > 980 else "middle"
            ticks.append((spot, f"{local.hour:02d}:00", anchor))
    bars = [
        {
            "activity": item.activity,
            "x": x(item.start),
            "width": round(max(x(item.end) - x(item.start), 0.4), 2),
            "y": round(54 - 48 * HEIGHTS[item.activity], 2),
            "height": round(48 * HEIGHTS[item.activity], 2),
            "words": f"{span_words(item.start, item.end)}: {item.words}",
        }
        for item in found.stretches
    ]
    spent = {name: sum(item.time for item in found.stretches if item.activity == name) for name in ACTIVITIES}
    minutes = apportion(list(spent.values()))
    told_ = ", ".join(
        f"{ACTIVITY_WORDS[name]} {duration(said)}"
        for (name, time), said in zip(spent.items(), minutes, strict=True)
        if time
    )
    return {
        "ticks": ticks,
        "bars": bars,
        "edges": [x(at) for at in (period.start, period.end) if start < at < end],
        "line_words": f"The whole duty by what it counts as: {told_ or 'nothing yet'}. "
        "The table below has every stretch.",
    }
