"""The parts of a number in the weekly summary: a question about time, and the stretches that answer it.

Pure: texts and values in, values out. A question is what a link asks; its parts sum to the linked number to
the microsecond, because both are sums over the same stretches (``stream.core.explaining.explanation``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from stream.core.abstraction import OUTSIDE
from stream.core.calendar import LOCAL, day_bounds, local_day, moment
from stream.core.explaining.explanation import CAUSES, explain
from stream.core.explaining.parts import area_names
from stream.core.explaining.wording import (
    DAYS,
    PREMISES,
    SILENCES,
    apportion,
    clock,
    day_words,
    duration,
    officer_names,
)
from stream.core.explaining.wording import Named as Names
from stream.core.facts import SECOND
from stream.core.quality.wording import hours_words
from stream.core.shares import NEIGHBOURHOOD, OFFICER, Figures
from stream.core.slices import ACTIVITIES, HIDDEN, NO_DEVICE, NO_STATE, ON_BREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.calendar import Period
    from stream.core.explaining.explanation import Explanation
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.summaries.counting import SummaryFacts
    from stream.core.summaries.model import Hour, Summary
    from stream.core.summaries.reduced import Hidden

HOUR = 3600 * SECOND

TIME, PRIORITY, BESIDE, DOUBT = "time", "priority", "beside", "doubt"
MEASURES = {
    TIME: "",
    PRIORITY: "in priority areas",
    BESIDE: "outside priority areas",
    DOUBT: "in doubt: too near an edge, or on the way over it",
}
"""What may be summed: all the time, time on patch in priority areas, the rest of it, ambiguous time."""

PREMISES_DECIDE, STATUS_DECIDES = "premises", "status"

ACTIVITY_WORDS = {
    "on_patch": "on patch",
    "off_patch": "off patch",
    "not_visible": "not visible",
    "unknown": "unknown",
    "break": "on a break",
}
STRETCH = "stretch"
DIVISIONS = {
    "activity": "what",
    "where": "where",
    "state": "radio status",
    "officer": "officer",
    "day": "day",
    "duty": "duty",
    STRETCH: "each stretch",
}
"""How parts may be divided, and what that is called."""

FEW = 40
"""The most stretches listed one by one by default; more are grouped first."""

NOWHERE, NONE = "nowhere", "none"
"""In a question: an unknown position; no premises, and no cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which part of a neighbourhood's time in a week is asked about; empty fields do not restrict it.

    Attributes:
        of: one of ``MEASURES``.
        activity: names of activities with commas between; empty: all duty time, breaks are none.
        where: id of a neighbourhood, ``outside``, or ``nowhere`` where the position is unknown.
        premises: an id; ``none``: in no premises.
        state: number of a radio status; ``called`` what the policy calls it.
        because: why it is not visible: ``premises``, or the radio ``status``.
        cause: why it is unknown, one of ``CAUSES``; ``none``: it is not.
        officer, duty: ids.
        day: local date; ``hour``: on the wall; ``again``: 1 for the second of two hours with the same name.
        by: one of ``DIVISIONS``.
        page: from 1.
    """

    of: str = ""
    activity: str = ""
    where: str = ""
    premises: str = ""
    state: str = ""
    called: str = ""
    because: str = ""
    cause: str = ""
    officer: str = ""
    duty: str = ""
    day: str = ""
    hour: str = ""
    again: str = ""
    by: str = ""
    page: str = ""

    @property
    def activities(self) -> tuple[str, ...]:
        """The activities asked about."""
        if self.activity:
            return tuple(self.activity.split(","))
        return tuple(name for at, name in enumerate(ACTIVITIES) if at != ON_BREAK)

    def span(self, period: Period) -> tuple[int, int]:
        """The time asked about, microseconds.

        Raises:
            ValueError: the day is not in the period, or has no such hour.
        """
        if not self.day:
            return period.start, period.end
        try:
            low, high = day_bounds(date.fromisoformat(self.day))
        except (ValueError, OverflowError):
            raise ValueError(f"day={self.day} is not a date: write it like 2026-11-16") from None
        if low < period.start or high > period.end:
            raise ValueError(f"day={self.day} is not in {period.name}")
        if not self.hour:
            return low, high
        hours = [at for at in range(low, high, HOUR) if moment(at).astimezone(LOCAL).hour == int(self.hour)]
        at = 1 if self.again else 0
        if at >= len(hours):
            raise ValueError(
                f"{self.day} has no {'second ' * at}hour {int(self.hour):02d}: the clocks change"
            )
        return hours[at], hours[at] + HOUR


@dataclass(frozen=True, slots=True, eq=False)
class AnswerPart:
    """A part of the answer.

    Attributes:
        words: what it is.
        note: what is said beside it.
        time: microseconds.
        question: the question about its own parts; None for a stretch.
        duty: id of the duty that a stretch is of, else empty.
        start, end: of a stretch, microseconds; else 0.
    """

    words: str
    note: str
    time: int
    question: Question | None
    duty: str = ""
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PartsAnswer:
    """A number and the parts that sum to it.

    Attributes:
        time: microseconds.
        duty: the duty time in the same span, microseconds: what it is a part of.
        by: by what it is divided.
        parts: the most first; stretches in time order.
        words: the question in words, one for each thing asked.
    """

    question: Question
    time: int
    duty: int
    by: str
    parts: tuple[AnswerPart, ...]
    words: tuple[str, ...]


def without_notes(answer: PartsAnswer, hidden: Hidden) -> PartsAnswer:
    """An answer without the notes that name somebody who is hidden."""
    if not hidden.texts:
        return answer
    parts = tuple(replace(part, note="") if hidden.names(part.note) else part for part in answer.parts)
    return replace(answer, parts=parts)


def names_of(record: SummaryFacts, period: Period) -> Names:
    """The names of areas and officers, as a summary of the period has them."""
    return Names(
        area_names(*(areas for since, areas in record.versions if since < period.end))
        | officer_names(duty for duty in record.duties if duty.start < period.end)
    )


def explained(
    record: SummaryFacts, policies: Policies, area_id: str, period: Period, question: Question
) -> Explanation:
    """All stretches of a neighbourhood's own duties in the time asked about."""
    low, high = question.span(period)
    return explain(
        Figures(NEIGHBOURHOOD, area_id, low, high),
        record.slices,
        record.duties,
        record.places,
        record.device_ids,
        policies,
        until=record.until,
        boundaries_from=record.boundaries_from,
    )


def answer(found: Explanation, question: Question, names: Names) -> PartsAnswer:
    """The number that a question is about, and its parts.

    Args:
        found: of the time asked about (``explained``).
        question: which of it.
        names: of areas and officers.
    """
    table = found.stretches
    length = table.end - table.start
    value = {
        TIME: length,
        PRIORITY: table.priority,
        BESIDE: length - table.priority,
        DOUBT: table.ambiguous,
    }[question.of or TIME]
    rows = np.flatnonzero(_chosen(found, question) & (value > 0))
    by = question.by or _usual(question, len(rows))
    parts = (
        tuple(_stretch(found, int(row), int(value[row]), names) for row in _in_order(found, rows))
        if by == STRETCH
        else tuple(_groups(found, rows, value, by, question, names))
    )
    return PartsAnswer(
        question,
        int(value[rows].sum()),
        int(length[table.activity != ON_BREAK].sum()),
        by,
        parts,
        tuple(_words(question, names)),
    )


def _chosen(found: Explanation, question: Question) -> NDArray[np.bool_]:
    table = found.stretches
    wanted = np.ones(len(table), np.bool_)

    def only(column: NDArray[np.integer], values: Iterable[bool]) -> None:
        nonlocal wanted
        wanted &= np.array([*values, False], np.bool_)[column]

    only(table.activity, (name in question.activities for name in ACTIVITIES))
    if question.where:
        where = "" if question.where == NOWHERE else question.where
        only(table.where, (item.neighbourhood == where for item in found.wheres))
    if question.premises:
        premises = "" if question.premises == NONE else question.premises
        only(table.where, (item.premises == premises for item in found.wheres))
    if question.state:
        only(table.state, (item.state == int(question.state) for item in found.meanings))
    if question.called:
        only(table.state, (item.name == question.called for item in found.meanings))
    if question.because:
        hidden = table.activity == HIDDEN
        wanted &= hidden & (table.by_state == (question.because == STATUS_DECIDES))
    if question.cause:
        only(table.cause, (name == ("" if question.cause == NONE else question.cause) for name in CAUSES))
    if question.officer:
        only(table.duty, (duty.officer_id == question.officer for duty in found.duties))
    if question.duty:
        only(table.duty, (duty.duty_id == question.duty for duty in found.duties))
    return wanted


def _usual(question: Question, count: int) -> str:
    """How an answer is divided by default."""
    if count <= FEW:
        return STRETCH
    if not question.officer and not question.duty:
        return "officer"
    return STRETCH if question.day else "day"


def _in_order(found: Explanation, rows: NDArray[np.intp]) -> list[int]:
    table = found.stretches
    ordered: list[int] = rows[np.lexsort((table.duty[rows], table.start[rows]))].tolist()
    return ordered


def _stretch(found: Explanation, row: int, time: int, names: Names) -> AnswerPart:
    table = found.stretches
    duty = found.duties[int(table.duty[row])]
    start, end = int(table.start[row]), int(table.end[row])
    day = local_day(start)
    return AnswerPart(
        f"{day_words(day, year=False)} {clock_s(start)}–{clock_s(end)}",
        f"{names.name(OFFICER, duty.officer_id)}: {what(found, row, names)}",
        time,
        None,
        duty.duty_id,
        start,
        end,
    )


def what(found: Explanation, row: int, names: Names) -> str:
    """A stretch in words: ``off patch, in Westcotes, at scene``."""
    table = found.stretches
    said = [ACTIVITY_WORDS[ACTIVITIES[int(table.activity[row])]]]
    if cause := int(table.cause[row]):
        said.append(SILENCES[cause])
    elif any(where := found.wheres[int(table.where[row])]):
        said.append(_where_words(*where, names))
    meaning = found.meanings[int(table.state[row])]
    if meaning.state != NO_STATE:
        said.append(meaning.name.replace("_", " "))
    return ", ".join(said)


def _groups(
    found: Explanation,
    rows: NDArray[np.intp],
    value: NDArray[np.int64],
    by: str,
    question: Question,
    names: Names,
) -> list[AnswerPart]:
    """Rows grouped, the largest first; days in their order."""
    table = found.stretches
    key: Callable[[int], tuple[str, ...]] = {
        "activity": lambda row: (ACTIVITIES[int(table.activity[row])],),
        "where": lambda row: (*found.wheres[int(table.where[row])], CAUSES[int(table.cause[row])]),
        "state": lambda row: tuple(map(str, found.meanings[int(table.state[row])])),
        "officer": lambda row: (found.duties[int(table.duty[row])].officer_id,),
        "duty": lambda row: (found.duties[int(table.duty[row])].duty_id,),
        "day": lambda row: (date.fromordinal(int(table.day[row])).isoformat(),),
    }[by]
    spent: dict[tuple[str, ...], int] = {}
    counted: dict[tuple[str, ...], int] = {}
    for row in rows.tolist():
        name = key(row)
        spent[name] = spent.get(name, 0) + int(value[row])
        counted[name] = counted.get(name, 0) + 1
    duties = {duty.duty_id: duty for duty in found.duties}
    parts = [
        (
            name,
            AnswerPart(
                _group_words(by, name, names, duties),
                f"{counted[name]} stretch{'es' * (counted[name] != 1)}",
                time,
                _narrower(by, name, question),
            ),
        )
        for name, time in spent.items()
    ]
    order: Callable[[tuple[tuple[str, ...], AnswerPart]], tuple[object, ...]] = (
        (lambda entry: (*entry[0],)) if by == "day" else (lambda entry: (-entry[1].time, entry[0]))
    )
    if by == "duty":
        order = lambda entry: (duties[entry[0][0]].start, entry[0])  # noqa: E731
    return [part for _, part in sorted(parts, key=order)]


def _narrower(by: str, name: tuple[str, ...], question: Question) -> Question:
    """The question about one group."""
    if by == "activity":
        return replace(question, activity=name[0], by="", page="")
    if by == "where":
        neighbourhood, premises, cause = name
        return replace(
            question,
            where=neighbourhood or NOWHERE,
            premises=premises or NONE,
            cause=cause or NONE,
            by="",
            page="",
        )
    if by == "state":
        if int(name[0]) == NO_STATE:
            return replace(question, by=STRETCH, page="")
        return replace(question, state=name[0], called=name[1], by="", page="")
    return replace(question, **{by: name[0], "by": "", "page": ""})


def _group_words(by: str, name: tuple[str, ...], names: Names, duties: Mapping[str, Duty]) -> str:
    if by == "activity":
        return ACTIVITY_WORDS[name[0]]
    if by == "where":
        neighbourhood, premises, cause = name
        if cause:
            return SILENCES[CAUSES.index(cause)]
        return _where_words(neighbourhood, premises, names)
    if by == "state":
        return "no radio status" if int(name[0]) == NO_STATE else name[1].replace("_", " ")
    if by == "officer":
        return names.name(OFFICER, name[0])
    if by == "day":
        return day_words(date.fromisoformat(name[0]), year=False)
    duty = duties[name[0]]
    return f"{names.name(OFFICER, duty.officer_id)}, {duty_words(duty)}"


def _where_words(neighbourhood: str, premises: str, names: Names) -> str:
    if premises:
        return f"at {names.name(PREMISES, premises)}"
    if neighbourhood == OUTSIDE:
        return "outside every neighbourhood"
    return f"in {names.name(NEIGHBOURHOOD, neighbourhood)}" if neighbourhood else "at an unknown location"


def _words(question: Question, names: Names) -> Iterable[str]:
    """The question in words."""
    if question.activity:
        yield " or ".join(ACTIVITY_WORDS[name] for name in question.activities)
    else:
        yield "duty time"
    if question.of in (PRIORITY, BESIDE, DOUBT):
        yield MEASURES[question.of]
    if question.because:
        words = {PREMISES_DECIDE: "because of the premises", STATUS_DECIDES: "because of the radio status"}
        yield words[question.because]
    if question.cause not in ("", NONE):
        yield SILENCES[CAUSES.index(question.cause)]
    elif question.where or question.premises not in ("", NONE):
        where = "" if question.where == NOWHERE else question.where
        premises = "" if question.premises == NONE else question.premises
        yield _where_words(where, premises, names)
    if question.called or question.state:
        yield f"radio status {question.called.replace('_', ' ') or question.state}"
    if question.officer:
        yield names.name(OFFICER, question.officer)
    if question.duty:
        yield f"duty {question.duty}"
    if question.day:
        try:
            day = day_words(date.fromisoformat(question.day))
        except ValueError:
            day = question.day
        if question.hour:
            day += f" from {int(question.hour):02d}:00 to {int(question.hour) + 1:02d}:00"
            day += ", the second of the two hours with that name" if question.again else ""
        yield day


def told(summary: Summary, question: Question) -> int | None:
    """The number that a summary gives for a question, microseconds; None where it has none.

    What is not in force in a question counts as not asked, so that every number of the page is known here.
    """
    if question.cause or question.because:
        return None
    item: Figures | None
    if question.day:
        if not question.hour or any(
            (question.where, question.premises, question.state, question.officer, question.duty)
        ):
            return None
        low = [
            hour
            for hour in summary.hours
            if (hour.day, hour.hour, hour.again) == (question.day, int(question.hour), bool(question.again))
        ]
        if not low or question.of == DOUBT:
            return None
        return _time_of(low[0], question)
    if question.where or question.premises or question.state:
        whole = question.where and question.premises and question.state and question.called
        if not whole or question.officer or question.duty or question.of not in ("", TIME):
            return None
        where = "" if question.where == NOWHERE else question.where
        premises = "" if question.premises == NONE else question.premises
        if not {*question.activities} <= {"off_patch", "not_visible"}:
            return None
        return sum(
            away.time
            for away in summary.away
            if away.activity in question.activities
            and (away.neighbourhood, away.premises) == (where, premises)
            and (away.state, away.state_name) == (int(question.state), question.called)
        )
    if question.duty:
        mine = [
            line.figures
            for officer in summary.officers
            for line in officer.duties
            if line.duty_id == question.duty and question.officer in ("", officer.officer_id)
        ]
        item = mine[0] if mine else None
    elif question.officer:
        found = [one.figures for one in summary.officers if one.officer_id == question.officer]
        item = found[0] if found else None
    else:
        item = summary.figures
    if item is None:
        return None
    if question.of == DOUBT:
        names = {*question.activities}
        if names == {"on_patch"}:
            return item.ambiguous_on
        if names == {"off_patch", "not_visible"}:
            return item.ambiguous_off
        known = {"on_patch", "off_patch", "not_visible"}
        return item.ambiguous_on + item.ambiguous_off if known <= names else None
    return _time_of(item, question)


def _time_of(item: Figures | Hour, question: Question) -> int:
    """The time that a question asks for of what it has narrowed down to; in doubt is not among it."""
    names = {*question.activities}
    if question.of == PRIORITY:
        return item.priority if "on_patch" in names else 0
    times = {
        "on_patch": item.on_patch,
        "off_patch": item.off_patch,
        "not_visible": item.not_visible,
        "unknown": item.unknown,
        "break": item.on_break,
    }
    less = item.priority if question.of == BESIDE and "on_patch" in names else 0
    return sum(times[name] for name in names) - less


# ── Times ─────────────────────────────────────────────────────────────────────────────────────────────────


def clock_s(time_us: int) -> str:
    """Local time of day with seconds; with the zone on a day on which the clocks change."""
    whole = clock(time_us)
    return f"{whole[:5]}:{(time_us // SECOND) % 60:02d}{whole[5:]}"


def duty_words(duty: Duty) -> str:
    """``Mon 16 Nov 07:00 to 17:00``; of one that is too long to count (rule 8a), that it does not."""
    begin = f"{day_words(local_day(duty.start), year=False)} {clock(duty.start)}"
    if duty.end is None:
        return f"{begin}, still open"
    last = local_day(duty.end)
    day = "" if last == local_day(duty.start) else f"{DAYS[last.weekday()]} "
    told = f"{begin} to {day}{clock(duty.end)}"
    if duty.too_long:
        booked = hours_words(duty.end - duty.start)
        return f"{told}, booked for {booked}: it counts for nothing until it is revised"
    return told


def exact_words(times: Sequence[int]) -> list[str]:
    """Times to the second that add up as they are shown: ``6 h 10 min 5 s``."""
    return [seconds_words(whole) for whole in apportion([time * 60 for time in times])]


def seconds_words(whole: int) -> str:
    """Whole seconds in words."""
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    return f"{duration(minutes)} {rest} s" if rest else duration(minutes)


def device_of(found: Explanation, row: int) -> str:
    """The device that said where, or should have; empty where there was none."""
    at = int(found.stretches.device[row])
    return "" if at == NO_DEVICE else found.device_ids[at]
