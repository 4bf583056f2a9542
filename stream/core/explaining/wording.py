"""An explanation in sentences: what a sergeant would say about a figure, in plain English and local time.

Values in, texts out; no Kafka, no database, no clock. Minutes are rounded so that the parts shown add up to
the total shown (largest remainder), and percentages so that none contradicts its verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from stream.core.abstraction import OUTSIDE
from stream.core.calendar import LOCAL, day_bounds, day_start, local_day, moment, week_bounds, week_name
from stream.core.columns import changes, coalesce
from stream.core.explaining.explanation import (
    AFTER_LAST,
    BEFORE_FIRST,
    GAP,
    IMPOSSIBLE,
    NO_ALLOCATION,
    NO_BOUNDARIES,
    NOT_HEARD,
    exact,
)
from stream.core.facts import SECOND
from stream.core.policy import BEGINNING
from stream.core.quality.devices import APART, FROZEN, KINDS, SHARED_RADIO, TWO_DEVICES
from stream.core.quality.ids import Lookup
from stream.core.quality.wording import hours_words
from stream.core.shares import (
    FAR,
    FORCE,
    NEIGHBOURHOOD,
    NO_DUTY_TIME,
    NO_HOME_PATCH,
    NO_POSITION,
    NOT_PROVEN,
    OFFICER,
)
from stream.core.slices import HIDDEN, OFF_PATCH, ON_BREAK, ON_PATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from stream.core.abstraction import Where
    from stream.core.explaining.explanation import Explanation
    from stream.core.facts import Duty
    from stream.core.quality.doubts import NamedDoubt
    from stream.core.shares import Figures

REMEDIES = {
    KINDS[TWO_DEVICES]: "give each device an id of its own",
    KINDS[FROZEN]: "have the receiver checked",
    KINDS[SHARED_RADIO]: "at most one of them carried it: correct the bookings",
    KINDS[APART]: "correct the booking of whichever was not with the officer",
}
"""What to do about each kind."""

MINUTE = 60 * SECOND
"""Microseconds in a minute."""

MOST_DOUBTS = 10
"""So many doubts are listed one by one."""

MOST_PATCHES = 3
"""So many patches that no boundary knows are named."""

PREMISES = "premises"
"""The kind of names that premises have in ``Names``."""

CALLS = frozenset({"emergency", "en_route", "at_scene", "committed"})
"""Names of the states in which an officer is on a call; a policy that renames one takes it out."""

SILENCES = {
    NO_BOUNDARIES: "before any boundaries",
    NO_ALLOCATION: "with no device allocated",
    NOT_HEARD: "with no position in the whole duty",
    BEFORE_FIRST: "no signal before the duty's first position",
    AFTER_LAST: "no signal after the duty's last position",
    GAP: "no signal",
    IMPOSSIBLE: "positions too far apart for anybody to have driven",
}

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Named:
    """What a figure is based on, as the caller knows it.

    Attributes:
        names: by kind (``neighbourhood``, ``premises``, ``officer``) and id; an id without one is its own.
        boundaries: the versions in force in the period, each in a few words.
        as_of: time of the newest fact counted, microseconds; None where the caller cannot tell.
        neighbourhoods: the ids of all of these boundaries; None where the caller cannot tell.
        warnings: what the facts behind the figure are worth, a line each, where anything is to be said.
    """

    names: Mapping[tuple[str, str], str]
    boundaries: tuple[str, ...] = ()
    as_of: int | None = None
    neighbourhoods: frozenset[str] | None = None
    warnings: tuple[str, ...] = ()

    def name(self, kind: str, item: str) -> str:
        """The name of an area or officer."""
        return self.names.get((kind, item)) or item


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """Duty time that was not on patch, grouped as people speak of it.

    Attributes:
        what: in words, without the time: "at Euston Street station".
        time: microseconds.
        minutes: as shown; those of all costs and the time on patch add up to the duty time shown.
        rows: its stretches.
    """

    what: str
    time: int
    minutes: int
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Words:
    """An explanation in sentences.

    Attributes:
        title: whose figure, and of which period.
        verdict: the figure, its bounds and verdict; how far it is from the target.
        costs: what the rest of the duty time went to, the most first.
        notes: what is in doubt, what is not counted, and what the figure is based on.
        warnings: what speaks against the facts themselves, to be said right beside the verdict.
    """

    title: str
    verdict: tuple[str, ...]
    costs: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DoubtWords:
    """Doubt of one duty, kind, device and other, all its stretches together.

    Attributes:
        time: how long, microseconds.
        whose: the officer and the duty.
        when: in local time, from the first moment to the last.
        why: what contradicts what.
        remedy: what to do.
    """

    time: int
    whose: str
    when: str
    why: str
    remedy: str

    def line(self) -> str:
        """All of it in one line."""
        [minutes] = apportion([self.time])
        return f"{self.whose}, {duration(minutes)} ({self.when}): {self.why}; {self.remedy}"


# ── Numbers in words ──────────────────────────────────────────────────────────────────────────────────────


def apportion(times: Sequence[int], minutes: int | None = None) -> list[int]:
    """Times as whole minutes that add up (largest remainder; of equals the first).

    Args:
        times: microseconds, 0 or more.
        minutes: what they must add up to: the sum of the times rounded down or up; None: rounded to nearest.
    """
    whole = [time // MINUTE for time in times]
    total = (sum(times) + MINUTE // 2) // MINUTE if minutes is None else minutes
    rest = sorted(range(len(times)), key=lambda at: -(times[at] % MINUTE))
    for at in rest[: total - sum(whole)]:
        whole[at] += 1
    return whole


def duration(minutes: int) -> str:
    """Minutes as ``6 h 10 min``, ``3 h``, ``55 min``; none are ``under a minute``."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts) or "under a minute"


def percent(value: Fraction, target: Fraction | None = None) -> str:
    """A share in per cent, never rounded across its target.

    What is below the target is shown below it, and what reaches it is shown as reaching it; 0% and 100% stand
    for exactly 0 and 1. There is one decimal, or as many as the target has.
    """
    scale = 1000
    while target is not None and (target * scale).denominator > 1 and scale < 10**9:
        scale *= 10
    shown = round(value * scale)
    if target is not None:
        shown = min(shown, ceil(target * scale) - 1) if value < target else max(shown, ceil(target * scale))
    shown = max(shown, 1) if value > 0 else shown
    shown = min(shown, scale - 1) if value < 1 else shown
    return f"{shown * 100 / scale:.{len(str(scale)) - 3}f}%"


def plain_percent(value: Fraction) -> str:
    """A target in per cent with as many decimals as it has."""
    return f"{float(value * 100):.10g}%"


# ── Times in words ────────────────────────────────────────────────────────────────────────────────────────


def day_words(day: date, *, year: bool = True) -> str:
    """``Mon 16 Nov 2026``."""
    text = f"{DAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}"
    return f"{text} {day.year}" if year else text


def clock(time_us: int) -> str:
    """Local time of day, whole minutes; with the zone on a day on which the clocks change."""
    local = moment(time_us).astimezone(LOCAL)
    low, high = day_bounds(local.date())
    zone = f" {local.tzname()}" if high - low != timedelta(days=1) // timedelta(microseconds=1) else ""
    return f"{local.hour:02d}:{local.minute:02d}{zone}"


def moment_words(time_us: int) -> str:
    """``Mon 16 Nov 2026 09:12``, local."""
    return f"{day_words(local_day(time_us))} {clock(time_us)}"


def period_words(start: int, end: int) -> str:
    """A period in words: a week, a day, or from when to when."""
    first, last = local_day(start), local_day(end - 1)
    if (start, end) == week_bounds(week_name(first)):
        return (
            f"week {week_name(first)}, {day_words(first, year=first.year != last.year)} to {day_words(last)}"
        )
    if (start, end) == day_bounds(first):
        return day_words(first)
    if start == day_start(first) and end == day_bounds(last)[1]:
        return f"{day_words(first)} to {day_words(last)}"
    return f"{moment_words(start)} to {moment_words(end)}"


def stretch_words(start: int, end: int, span: int, *, named: bool = True) -> str:
    """A stretch by the clock: ``Mon 09:12–10:40``.

    Args:
        start: microseconds.
        end: exclusive.
        span: length of the period in question: within a day no day is named, within a week only its name.
        named: whether the first day is to be named at all.
    """
    first, last = local_day(start), local_day(end - 1)

    def name(day: date) -> str:
        if span > 8 * 24 * 60 * MINUTE:
            return f"{day_words(day, year=False)} "
        return f"{DAYS[day.weekday()]} " if span > 25 * 60 * MINUTE or first != last else ""

    before = name(first) if named else ""
    if clock(start) == clock(end) and end - start < MINUTE:
        return f"{before}{clock(start)}"
    return f"{before}{clock(start)}–{name(last) if last != first else ''}{clock(end)}"


# ── What the time went to ─────────────────────────────────────────────────────────────────────────────────


def costs(found: Explanation, basis: Named) -> tuple[int, list[Cost]]:
    """Time on patch in minutes, and all other duty time in groups, largest first.

    Not visible by premises is grouped by premises, by state by state and location; off patch by neighbourhood
    and whether on a call; unknown by cause. Breaks are not duty time.
    """
    table = found.stretches
    call = np.array([item.name in CALLS for item in found.meanings] or [False], np.bool_)[table.state]
    areas = sorted({item.neighbourhood for item in found.wheres})
    stations = sorted({item.premises for item in found.wheres})
    area = np.array([areas.index(item.neighbourhood) for item in found.wheres], np.int64)[table.where]
    station = np.array([stations.index(item.premises) for item in found.wheres], np.int64)[table.where]
    hidden, off = table.activity == HIDDEN, table.activity == OFF_PATCH
    by_state = hidden & table.by_state
    one = np.select([by_state, hidden, off], [table.state, station, area], table.cause).astype(np.int64)
    two = np.select([by_state, off], [table.where, call], 0).astype(np.int64)
    kind = np.select([by_state, hidden, off], [0, 1, 2], 3)

    rows = np.flatnonzero((table.activity != ON_PATCH) & (table.activity != ON_BREAK))
    rows = rows[np.lexsort((two[rows], one[rows], kind[rows]))]
    first = np.flatnonzero(changes(kind[rows], one[rows], two[rows]))
    length = table.end - table.start
    groups = [(int(length[group].sum()), group) for group in np.split(rows, first[1:]) if len(group)]
    groups.sort(key=lambda entry: (-entry[0], entry[1][0]))
    # The time on patch and the duty time are rounded to the nearest minute; the rest is apportioned.
    [on_patch], [duty] = apportion([found.figures.on_patch]), apportion([found.figures.duty])
    minutes = apportion([time for time, _ in groups], duty - on_patch)
    return on_patch, [
        Cost(_what(found, basis, int(group[0])), time, said, np.sort(group))
        for (time, group), said in zip(groups, minutes, strict=True)
    ]


def _what(found: Explanation, basis: Named, row: int) -> str:
    table = found.stretches
    where, meaning = found.wheres[table.where[row]], found.meanings[table.state[row]]
    if table.activity[row] == HIDDEN and table.by_state[row]:
        return f"{meaning.name.replace('_', ' ')} {where_words(where, basis)}"
    if table.activity[row] == HIDDEN:
        return f"at {basis.name(PREMISES, where.premises)}"
    if table.activity[row] == OFF_PATCH:
        calls = "on calls " if meaning.name in CALLS else ""
        return f"{calls}{where_words(where, basis)}"
    return SILENCES[int(table.cause[row])]


def where_words(where: Where, basis: Named) -> str:
    """``at Euston Street station``, ``in Westcotes``, ``outside every neighbourhood``."""
    if where.premises:
        return f"at {basis.name(PREMISES, where.premises)}"
    if where.neighbourhood == OUTSIDE:
        return "outside every neighbourhood"
    if where.neighbourhood:
        return f"in {basis.name(NEIGHBOURHOOD, where.neighbourhood)}"
    return "at an unknown location"


def cost_words(found: Explanation, basis: Named, cost: Cost) -> str:
    """A cost in words: how long, what, in which states, when or by whom."""
    table = found.stretches
    details = []
    if table.activity[cost.rows[0]] == OFF_PATCH:
        details.append(
            _by(found, cost, [item.name.replace("_", " ") for item in found.meanings], table.state)
        )
    if found.figures.scope == OFFICER:
        details.append(_when(found, cost))
    else:
        details.append(_who(found, basis, cost))
    return f"{duration(cost.minutes)} {cost.what} ({'; '.join(details)})"


def _by(
    found: Explanation,
    cost: Cost,
    names: Sequence[str],
    number: NDArray[np.integer],
    most: int | None = None,
) -> str:
    """A cost divided by some column, largest first, in minutes that add up to its own."""
    table = found.stretches
    total: dict[int, int] = {}
    for key, time in zip(
        number[cost.rows].tolist(), (table.end - table.start)[cost.rows].tolist(), strict=True
    ):
        total[key] = total.get(key, 0) + time
    ranked = sorted(total, key=lambda key: (-total[key], names[key]))
    if len(ranked) == 1:
        return names[ranked[0]]
    said = apportion([total[key] for key in ranked], cost.minutes)
    shown = list(zip(ranked, said, strict=True))[:most]
    texts = [f"{names[key]} {duration(minutes)}" for key, minutes in shown]
    if len(shown) < len(ranked):
        texts.append(f"{len(ranked) - len(shown)} more {duration(sum(said[len(shown) :]))}")
    return ", ".join(texts)


def _joined(found: Explanation, cost: Cost) -> list[tuple[int, int, int]]:
    """The stretches of a cost as ``(duty, start, end)``, consecutive ones joined."""
    table = found.stretches
    duty = table.duty[cost.rows]
    row, start, end = coalesce(table.start[cost.rows], table.end[cost.rows], [duty])
    return list(zip(duty[row].tolist(), start.tolist(), end.tolist(), strict=True))


def _when(found: Explanation, cost: Cost, most: int = 3) -> str:
    """The longest stretches in time order, and how many more there are."""
    spans = [(start, end) for _, start, end in _joined(found, cost)]
    longest = sorted(sorted(spans, key=lambda span: (span[0] - span[1], span[0]))[:most])
    length = found.figures.end - found.figures.start
    texts: list[str] = []
    before = None
    for start, end in longest:
        # A day is named once: "Mon 09:12–10:40, 14:02–14:31, Tue 08:00–08:20".
        texts.append(stretch_words(start, end, length, named=local_day(start) != before))
        before = local_day(end - 1)
    if len(spans) > most:
        texts[-1] += f" and {len(spans) - most} shorter"
    return ", ".join(texts)


def _who(found: Explanation, basis: Named, cost: Cost) -> str:
    """The officers that a cost is made of, and its longest stretch."""
    ids = list(dict.fromkeys(duty.officer_id for duty in found.duties))
    names = [basis.name(OFFICER, officer_id) for officer_id in ids]
    number = {officer_id: at for at, officer_id in enumerate(ids)}
    officer = np.array([number[duty.officer_id] for duty in found.duties], np.int64)
    by = _by(found, cost, names, officer[found.stretches.duty], most=3)
    duty, start, end = min(_joined(found, cost), key=lambda span: (span[1] - span[2], span[1]))
    longest = stretch_words(start, end, found.figures.end - found.figures.start)
    return f"{by}; the longest {names[officer[duty]]} {longest}"


# ── What contradicts what ─────────────────────────────────────────────────────────────────────────────────


def doubts_told(found: Iterable[NamedDoubt], basis: Named) -> list[DoubtWords]:
    """Doubts as people are told of them, the longest first.

    Args:
        found: the doubts.
        basis: the officers' names.
    """
    groups: dict[tuple[str, ...], list[NamedDoubt]] = {}
    for item in found:
        key = (item.officer_id, item.duty_id, item.kind, item.device_id, item.other_id)
        groups.setdefault(key, []).append(item)
    lines = []
    for items in groups.values():
        one = items[0]
        pieces = f", {len(items)} stretches" if len(items) > 1 else ""
        when = _between(min(item.start for item in items), max(item.end for item in items))
        lines.append(
            DoubtWords(
                sum(item.end - item.start for item in items),
                f"{_officer(one.officer_id, basis)}, duty {one.duty_id}",
                f"{when}{pieces}",
                _contradiction(one, basis),
                REMEDIES[one.kind],
            )
        )
    return sorted(lines, key=lambda line: (-line.time, line.whose, line.why))


def _contradiction(item: NamedDoubt, basis: Named) -> str:
    device, other = item.device_id, item.other_id
    if item.kind == KINDS[TWO_DEVICES]:
        return f"{device} jumps to and fro between two places: two devices report under one id"
    if item.kind == KINDS[SHARED_RADIO]:
        return f"radio {device} is booked to {_officer(other, basis)} at the same time"
    if item.kind == KINDS[APART]:
        return f"radio {device} is in one place and the moving vehicle {other} in another"
    if other:
        return f"{device} repeats one position to the last digit, and {other} is somewhere else"
    return f"{device} repeats one position to the last digit and says that it is moving"


def _officer(officer_id: str, basis: Named) -> str:
    """``PC 1001 (1001)``."""
    name = basis.name(OFFICER, officer_id)
    return name if name == officer_id else f"{name} ({officer_id})"


def _between(start: int, end: int) -> str:
    """``Mon 23 Nov 2026 10:00–16:00``, local."""
    first, last = local_day(start), local_day(end - 1)
    until = clock(end) if first == last else f"{day_words(last)} {clock(end)}"
    return f"{day_words(first)} {clock(start)}–{until}"


# ── The whole ─────────────────────────────────────────────────────────────────────────────────────────────


def words(found: Explanation, basis: Named, *, most: int = 10) -> Words:
    """An explanation in sentences.

    Args:
        found: the explanation.
        basis: names, and what the figure is based on.
        most: costs that are listed one by one; smaller ones are grouped.
    """
    on_patch, parts = costs(found, basis)
    told = parts[:most] if len(parts) > most + 1 else parts
    texts = [cost_words(found, basis, cost) for cost in told]
    if rest := parts[len(told) :]:
        texts.append(f"{duration(sum(cost.minutes for cost in rest))} in {len(rest)} smaller items")
    duty = on_patch + sum(cost.minutes for cost in parts)
    return Words(
        _title(found, basis),
        tuple(_verdict(found, basis, on_patch, duty, parts)),
        tuple(texts),
        tuple(_notes(found, basis, on_patch)),
        tuple(f"Facts in question: {line}" for line in basis.warnings),
    )


def _title(found: Explanation, basis: Named) -> str:
    figures = found.figures
    name = "the force" if figures.scope == FORCE else basis.name(figures.scope, figures.id)
    known = f" ({figures.id})" if figures.scope != FORCE and name != figures.id else ""
    return f"{name}{known}, {period_words(figures.start, figures.end)}"


def _verdict(
    found: Explanation, basis: Named, on_patch: int, duty: int, parts: Sequence[Cost]
) -> Iterable[str]:
    figures = found.figures
    if found.missing is None:
        rest = f"share: {duration(duty)} of duty time" if figures.duty else "figure"
        yield f"{_capital(no_share_words(figures))}, so no {rest}."
        return
    target = exact(found.target)
    share = Fraction(figures.on_patch, figures.duty)
    low, high = Fraction(figures.proven, figures.duty), Fraction(figures.possible, figures.duty)
    verdict = figures.verdict(found.target)
    spent = duration(on_patch) if figures.on_patch else "0 min"
    yield (
        f"On patch {spent} of {duration(duty)} ({percent(share, target)}; between {percent(low, target)} "
        f"and {percent(high, target)}): {verdict}."
    )
    yield from _unknown_patches(found, basis)
    if found.missing > 0:
        short = ceil(found.missing / MINUTE) if found.missing >= MINUTE else 0
        yield f"{_capital(duration(short))} short of the target of {plain_percent(target)}."
    elif found.missing < 0:
        spare = floor(-found.missing / MINUTE)
        yield f"{_capital(duration(spare))} above the target of {plain_percent(target)}."
    else:
        yield f"Exactly on the target of {plain_percent(target)}."
    if verdict == NOT_PROVEN:
        yield "Not proven: unknown or doubtful time could decide it either way."
    if figures.only_doubtful_on or figures.only_doubtful_off:
        low = Fraction(figures.proven + figures.only_doubtful_on, figures.duty)
        high = Fraction(figures.possible - figures.only_doubtful_off, figures.duty)
        yield (
            "Were it not for facts that contradict each other (below), it would be between "
            f"{percent(low, target)} and {percent(high, target)}."
        )
    if found.missing > 0 and parts:
        largest = parts[0]
        without = Fraction(figures.on_patch + largest.time, figures.duty)
        end = "the target reached" if without >= target else "still short of the target"
        yield (
            f"Had the largest item ({duration(largest.minutes)} {largest.what}) been on patch, it would be "
            f"{percent(without, target)}: {end}."
        )


def _unknown_patches(found: Explanation, basis: Named) -> Iterable[str]:
    """The duties of a figure whose patch is in no boundary, as a whole or in part: it is not about them."""
    if basis.neighbourhoods is None:
        return
    lookup = Lookup(basis.neighbourhoods)
    whole: list[set[str]] = []
    part: list[set[str]] = []
    for number in found.duty_numbers:
        patch = set(found.duties[number].patch)
        if unknown := patch - basis.neighbourhoods:
            (whole if unknown == patch else part).append(unknown)
    for duties, which, there in (
        (whole, "that no boundary knows", ""),
        (part, "of which no boundary knows a part", " there"),
    ):
        if not duties:
            continue
        areas = sorted(set.union(*duties))
        names = [
            f"{area}: is {' or '.join(near)} meant?" if (near := lookup.near(area)) else area
            for area in areas[:MOST_PATCHES]
        ]
        more = f" and {len(areas) - MOST_PATCHES} more" if len(areas) > MOST_PATCHES else ""
        have, whose = (f"{len(duties)} duties have", "their") if len(duties) > 1 else ("1 duty has", "its")
        yield (
            f"{have} a patch {which} ({', '.join(names)}{more}), so that {whose} time{there} cannot be on "
            "patch."
        )


def _notes(found: Explanation, basis: Named, on_patch: int) -> Iterable[str]:
    figures = found.figures
    if figures.ambiguous_on + figures.ambiguous_off:
        on, off = apportion([figures.ambiguous_on, figures.ambiguous_off])
        halves = [f"{duration(on)} counted on patch"] * bool(on) + [f"{duration(off)} counted off it"] * bool(
            off
        )
        if bool(on) != bool(figures.ambiguous_on) or bool(off) != bool(figures.ambiguous_off):
            halves = []  # one half rounds to nothing: do not credit all of it to the other
        yield (
            f"{_capital(duration(on + off))} in doubt (too near the patch's edge, or crossing it)"
            f"{': ' * bool(halves)}{', '.join(halves)}."
        )
    if figures.doubtful:
        [minutes] = apportion([figures.doubtful])
        yield f"{_capital(duration(minutes))} doubtful, because the facts contradict each other:"
        listed = doubts_told(found.doubts, basis)
        yield from (f"  {item.line()}." for item in listed[:MOST_DOUBTS])
        if len(listed) > MOST_DOUBTS:
            yield f"  and {len(listed) - MOST_DOUBTS} more."
    if figures.priority:
        inside = min((figures.priority + MINUTE // 2) // MINUTE, on_patch)
        yield f"{_capital(duration(inside))} of the time on patch in priority areas."
    if figures.on_break:
        yield f"{_capital(duration((figures.on_break + MINUTE // 2) // MINUTE))} of breaks, not duty time."
    if found.left_out:
        count = f"{len(found.left_out)} duties" if len(found.left_out) > 1 else "1 duty"
        yield f"Not in this figure: {count} without a home patch."
    yield from uncounted_words(found.duties[number] for number in found.uncounted)
    for number in found.duty_numbers:
        duty = found.duties[number]
        if duty.end is None and found.until > duty.until:
            yield (
                f"Duty {duty.duty_id} has no end, so that its first {hours_words(duty.longest)} count and "
                "nothing after them."
            )
    since = "" if found.policy_from == BEGINNING else f" since {moment_words(found.policy_from)}"
    yield f"Target {plain_percent(exact(found.target))}, under the policy in force{since}."
    if basis.boundaries:
        yield f"Boundaries: {'; '.join(basis.boundaries)}."
    running = any(
        duty.end is None and duty.until > found.until
        for duty in (found.duties[number] for number in found.duty_numbers)
    )
    if running and found.until < figures.end:
        yield f"Duties still open are counted up to {moment_words(found.until)}."
    if basis.as_of is not None:
        yield f"Data as of {moment_words(basis.as_of)}."


def uncounted_words(duties: Iterable[Duty]) -> Iterator[str]:
    """Of each duty that is booked for too long to count (rule 8a), a sentence that says so."""
    for duty in duties:
        if duty.end is not None:
            yield (
                f"Duty {duty.duty_id} was booked for {hours_words(duty.end - duty.start)} "
                f"({moment_words(duty.start)} to {moment_words(duty.end)}) and counts for nothing until it "
                "is revised."
            )


_NO_SHARE = {
    NO_DUTY_TIME: "no duty time",
    NO_HOME_PATCH: "no home patch",
    NO_POSITION: "no position known in any of the duty time",
    FAR: "no position near any area",
}


def no_share_words(figures: Figures) -> str:
    """Why a figure has no share (``Figures.without_share``), in words; empty where it has one."""
    return _NO_SHARE.get(figures.without_share or "", "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def officer_names(duties: Iterable[Duty]) -> dict[tuple[str, str], str]:
    """Each officer's name from the newest duty that gives one, by ``(officer, id)``."""
    found: dict[tuple[str, str], str] = {}
    for duty in sorted(duties, key=lambda item: (item.start, item.duty_id)):
        if duty.name:
            found[OFFICER, duty.officer_id] = duty.name
    return found
