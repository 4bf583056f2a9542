"""The findings about the facts, as ``quality.csv`` has them (rule 22).

Facts in, columns out; nothing here changes a figure. What each finding means, and what to do about it, is
listed in ``stream/README.md``; ``stream.core.quality.warnings`` says the important ones in plain words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream.core.calendar import day_numbers, day_of_number, day_start, rfc3339
from stream.core.columns import changes
from stream.core.events import REASONS
from stream.core.facts import SECOND
from stream.core.policy import VISIBLE, Policies
from stream.core.quality.allocated import Book, holdings
from stream.core.quality.clocks import clock_offsets, offset_words
from stream.core.quality.devices import FROZEN, KINDS, DeviceDoubts, of_kind
from stream.core.quality.heard import NO_DAY, NO_DELAY, TAKEN
from stream.core.quality.ids import Lookup, spelt, written_twice
from stream.core.quality.intervals import merged
from stream.core.quality.tracks import ANY_DUTY, MISTAKES, renumbered, silences
from stream.core.slices import NO_DEVICE, up_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from stream.core.facts import Duty, StateReport
    from stream.core.quality.doubts import NamedDoubt
    from stream.core.quality.heard import Heard
    from stream.core.quality.tracks import DeviceDays, Held, Tracked
    from stream.core.slices import Slices

DEVICE, DUTY, OFFICER, PATCH, INPUT = "device", "duty", "officer", "patch", "input"
SCOPES: Final = (INPUT, PATCH, OFFICER, DUTY, DEVICE)
"""In the order in which they are listed."""

MEASURES: Final = (
    "positions",
    "repeated",
    "rejected",
    "interval_median",
    "interval_p95",
    "delay_median",
    "delay_p95",
    "silent",
    "jump",
    "decided",
    "far_from_force",
)
"""The findings that say what a device was seen to do, be it right or wrong."""

FINDINGS: Final = (
    *MEASURES,
    *(str(mistake) for mistake in MISTAKES),
    "clock_offset",
    "frozen",
    "frozen_beside",
    "two_devices",
    "none_usable",
    "never_heard",
    "carried_by_vehicle",
    "near_id",
    "two_ids",
    "not_booked",
    "no_device",
    "open_duty",
    "too_long_duty",
    "overlapping_duties",
    "unknown_state",
    "two_states",
    "state_without_duty",
    "state_outside_duty",
    "unknown_patch",
    "patch_not_in_force",
)
"""Every finding; the first ones are plain counts."""

OPEN_S: Final = 16 * 3600
"""An open duty older than this has probably been forgotten."""
NO_SECONDS: Final = -(2**62)
"""The seconds of a finding that has none."""
LEAST_DOUBLED: Final = 5
"""Fewer instants of a day with two states are no finding: whoever takes a break may key both in a second."""
LISTED: Final = 3
"""How many names a detail gives before it says how many more there are."""


@dataclass(frozen=True, slots=True, eq=False)
class QualityFindings:
    """Findings as columns, sorted by scope, id, day, finding and detail.

    Attributes:
        scope: ``int8[n]``, index into ``SCOPES``.
        id: ``int32[n]``, index into ``texts``.
        day: ``int32[n]``, days since 1970-01-01, local (rule 19); ``NO_DAY`` where there is none.
        finding: ``int8[n]``, index into ``FINDINGS``.
        count: ``int64[n]``.
        us: ``int64[n]``, microseconds; ``NO_SECONDS`` where a finding has no time.
        detail: ``int32[n]``, index into ``texts``.
        texts: ids and details.
    """

    scope: NDArray[np.int8]
    id: NDArray[np.int32]
    day: NDArray[np.int32]
    finding: NDArray[np.int8]
    count: NDArray[np.int64]
    us: NDArray[np.int64]
    detail: NDArray[np.int32]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.count)

    @classmethod
    def joined(cls, parts: Sequence[QualityFindings]) -> QualityFindings:
        """Those of several, in order."""
        texts = sorted({text for part in parts for text in part.texts})
        code = {text: at for at, text in enumerate(texts)}
        rank = [np.array([code[text] for text in part.texts], np.int32) for part in parts]
        numbered = [
            replace(part, id=codes[part.id], detail=codes[part.detail], texts=tuple(texts))
            for part, codes in zip(parts, rank, strict=True)
        ]
        scope, name, day, finding, count, us, detail = (
            np.concatenate([getattr(part, item.name) for part in numbered]) for item in fields(cls)[:-1]
        )
        order = np.lexsort((us, count, detail, finding, day, name, scope))
        return cls(scope, name, day, finding, count, us, detail, tuple(texts))._in(order)

    def only(self, *findings: str) -> QualityFindings:
        """Those of some kinds alone."""
        return self.take(np.isin(self.finding, [FINDINGS.index(name) for name in findings]))

    def take(self, some: NDArray[np.bool_]) -> QualityFindings:
        """Some of them, in their order: ``bool[n]``."""
        return self._in(np.flatnonzero(some))

    def _in(self, some: NDArray[np.int64]) -> QualityFindings:
        return QualityFindings(
            self.scope[some],
            self.id[some],
            self.day[some],
            self.finding[some],
            self.count[some],
            self.us[some],
            self.detail[some],
            self.texts,
        )

    def rows(self, *findings: str) -> list[QualityFinding]:
        """Those of some kinds, all where none is named, in their order."""
        wanted = np.zeros(len(FINDINGS), np.bool_)
        wanted[[FINDINGS.index(name) for name in findings or FINDINGS]] = True
        return [
            QualityFinding(
                SCOPES[int(self.scope[at])],
                self.texts[int(self.id[at])],
                day_text(int(self.day[at])),
                FINDINGS[int(self.finding[at])],
                int(self.count[at]),
                None if self.us[at] == NO_SECONDS else int(self.us[at]),
                self.texts[int(self.detail[at])],
            )
            for at in np.flatnonzero(wanted[self.finding]).tolist()
        ]


UNDATED: Final = ("none_usable", "never_heard", "near_id", "two_ids")
"""What is said of a device once and for all; everything else about one is of its day."""


def concerning(found: QualityFindings, duties: Sequence[Duty], start: int, end: int) -> QualityFindings:
    """Those about some duties, their devices and officers; what is of a day, only of the period's days.

    Args:
        found: the findings about all facts.
        duties: those of the figure in question.
        start: the period's start, microseconds since 1970.
        end: its end, exclusive.
    """
    first, last = day_numbers(np.array([start, end - 1], np.int64)).tolist()
    own = {
        DEVICE: {item.device_id for duty in duties for item in duty.devices},
        DUTY: {duty.duty_id for duty in duties},
        OFFICER: {duty.officer_id for duty in duties},
    }
    keep = np.zeros(len(found), np.bool_)
    for scope, names in own.items():
        known = np.array([text in names for text in found.texts], np.bool_)
        keep |= (found.scope == SCOPES.index(scope)) & known[found.id]
    undated = np.isin(found.finding, [FINDINGS.index(name) for name in UNDATED])
    undated |= found.scope == SCOPES.index(DUTY)
    return found.take(keep & (undated | ((found.day >= first) & (found.day <= last))))


@dataclass(frozen=True, slots=True, order=True)
class QualityFinding:
    """One finding: a row of ``quality.csv``; ``us`` is in microseconds, ``day`` may be empty."""

    scope: str
    id: str
    day: str
    finding: str
    count: int
    us: int | None
    detail: str


def day_text(day: int) -> str:
    """A day's number as ``2026-11-23``, empty for ``NO_DAY``."""
    return "" if day == NO_DAY else day_of_number(day).isoformat()


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """The facts that are examined, and what has been found out about them.

    Attributes:
        duties: newest revisions, sorted by ``duty_id``; cancelled ones are passed over.
        states: radio states.
        device_ids: the names behind ``tracked.days.device`` and ``slices.device``.
        heard: all reports, rejects among them.
        tracked: what the tracks are worth.
        booked: when devices are booked, in the numbering of ``booked_ids``.
        booked_ids: the devices that duties name, sorted.
        slices: those of ``duties``.
        neighbourhoods: by ``area_id`` the names of all neighbourhoods of all boundary versions.
        rejects: by input, and then by reason, how many rows were left out.
        until: everything is counted up to here, microseconds.
        doubted: devices that contradict themselves (``device_doubts``), in the numbering of ``device_ids``.
        doubts: the doubtful time of the duties (rule 21).
        policies: those by which states count.
        grounds: by ``area_id`` when each neighbourhood is in force (``grounds``); empty: not looked at.
    """

    duties: Sequence[Duty]
    states: Sequence[StateReport]
    device_ids: Sequence[str]
    heard: Heard
    tracked: Tracked
    booked: Held
    booked_ids: Sequence[str]
    slices: Slices
    neighbourhoods: Mapping[str, str]
    rejects: Mapping[str, Mapping[str, int]]
    until: int
    doubted: DeviceDoubts = field(default_factory=lambda: of_kind(0, *(np.empty(0, np.int64),) * 3))
    doubts: Sequence[NamedDoubt] = ()
    policies: Policies = field(default_factory=Policies)
    grounds: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)


def grounds(versions: Sequence[tuple[int, AreaSet]]) -> dict[str, list[tuple[int, int]]]:
    """When each neighbourhood is in force, by ``area_id``: disjoint, in order, half open.

    Args:
        versions: the boundaries by the time from which they are in force, microseconds, in order.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    ends = [*(start for start, _ in versions[1:]), FOREVER]
    for (start, areas), end in zip(versions, ends, strict=False):
        for area in areas.only(Kind.NEIGHBOURHOOD).area_id:
            found.setdefault(area, []).append((start, end))
    return {area: merged(spans) for area, spans in found.items()}


def findings(facts: Examined) -> QualityFindings:
    """Everything that is to be said about the facts, plain counts among it (rule 22)."""
    made = _Collected()
    _inputs(made, facts)
    _days(made, facts.tracked.days, facts.device_ids)
    _misplaced(made, facts)
    _heard(made, facts)
    _clocks(made, facts)
    _doubted(made, facts)
    _frozen_beside(made, facts)
    _decided(made, facts)
    _covered(made, facts)
    _silent(made, facts)
    _carried(made, facts)
    _unmatched_devices(made, facts)
    _duties(made, facts)
    _officers(made, facts)
    _patches(made, facts)
    _not_in_force(made, facts)
    return made.done()


@dataclass(slots=True)
class _Collected:
    """Findings while they are collected."""

    texts: dict[str, int] = field(default_factory=lambda: {"": 0})
    parts: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)
    single: list[tuple[int, ...]] = field(default_factory=list)

    def code(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def codes(self, texts: Iterable[str]) -> NDArray[np.int64]:
        return np.array([self.code(text) for text in texts], np.int64)

    def add(
        self,
        scope: str,
        name: str,
        day: int,
        finding: str,
        count: int,
        us: int | None = None,
        detail: str = "",
    ) -> None:
        """One finding."""
        at, number = SCOPES.index(scope), FINDINGS.index(finding)
        time = NO_SECONDS if us is None else us
        self.single.append((at, self.code(name), day, number, count, time, self.code(detail)))

    def extend(
        self,
        scope: str,
        ids: NDArray[np.int64],
        day: NDArray[np.integer],
        finding: str,
        count: NDArray[np.int64],
        us: NDArray[np.int64] | None = None,
        detail: NDArray[np.int64] | None = None,
    ) -> None:
        """Many findings of one kind; ``ids`` and ``detail`` as ``codes`` numbers texts."""
        size = len(count)
        self.parts.append(
            (
                np.full(size, SCOPES.index(scope)),
                ids,
                day.astype(np.int64),
                np.full(size, FINDINGS.index(finding)),
                count,
                np.full(size, NO_SECONDS) if us is None else us,
                np.zeros(size, np.int64) if detail is None else detail,
            )
        )

    def done(self) -> QualityFindings:
        table = np.array(self.single, np.int64).reshape(-1, 7)
        columns = [np.concatenate([table[:, at], *(part[at] for part in self.parts)]) for at in range(7)]
        texts = sorted(self.texts)
        rank = np.empty(len(texts), np.int64)
        rank[[self.texts[text] for text in texts]] = np.arange(len(texts))
        scope, name, day, finding, count, us, detail = columns
        name, detail = rank[name], rank[detail]
        order = np.lexsort((us, count, detail, finding, day, name, scope))
        return QualityFindings(
            scope[order].astype(np.int8),
            name[order].astype(np.int32),
            day[order].astype(np.int32),
            finding[order].astype(np.int8),
            count[order],
            us[order],
            detail[order].astype(np.int32),
            tuple(texts),
        )


def _inputs(made: _Collected, facts: Examined) -> None:
    for name, reasons in facts.rejects.items():
        for reason, count in reasons.items():
            made.add(INPUT, name, NO_DAY, "rejected", count, detail=reason)


def day_findings(days: DeviceDays, device_ids: Sequence[str]) -> QualityFindings:
    """The plain counts of devices' days alone; ``device_ids`` are the names behind their numbers."""
    made = _Collected()
    _days(made, days, device_ids)
    return made.done()


def long_duties(duties: Iterable[Duty], until: int) -> QualityFindings:
    """Those of the duties that are booked for too long to count, or open for too long; as of ``until``."""
    made = _Collected()
    for duty in duties:
        if not duty.cancelled and duty.start < until:
            _long(made, duty, until)
    return made.done()


def _long(made: _Collected, duty: Duty, until: int) -> None:
    day = int(day_numbers(np.array([duty.start], np.int64))[0])
    booked = (until if duty.end is None else duty.end) - duty.start
    if duty.too_long:
        made.add(DUTY, duty.duty_id, day, "too_long_duty", 1, booked, duty.officer_id)
    elif duty.end is None and booked > min(OPEN_S * SECOND, duty.longest):
        made.add(DUTY, duty.duty_id, day, "open_duty", 1, booked, duty.officer_id)


def _days(made: _Collected, days: DeviceDays, device_ids: Sequence[str]) -> None:
    """By device and day: positions, repeats, jumps, intervals, positions far off."""
    names = made.codes(device_ids)
    ids = names[days.device]
    made.extend(DEVICE, ids, days.day, "positions", days.fixes)
    for finding, column in (("repeated", days.repeats), ("jump", days.jumps)):
        some = column > 0
        made.extend(DEVICE, ids[some], days.day[some], finding, column[some])
    some = days.intervals > 0
    for finding, column in (("interval_median", days.median_ms), ("interval_p95", days.p95_ms)):
        made.extend(DEVICE, ids[some], days.day[some], finding, days.intervals[some], column[some] * 1000)
    some = days.far > 0
    distances = made.codes(f"{metres / 1000:,.0f} km" for metres in days.far_m[some].tolist())
    made.extend(DEVICE, ids[some], days.day[some], "far_from_force", days.far[some], detail=distances)


def _misplaced(made: _Collected, facts: Examined) -> None:
    """By device and day: positions that lie elsewhere by a mistake."""
    names = made.codes(facts.device_ids)
    wrong = facts.tracked.misplaced
    for number, mistake in enumerate(MISTAKES):
        some = wrong.mistake == number
        made.extend(DEVICE, names[wrong.device[some]], wrong.day[some], str(mistake), wrong.count[some])


def _heard(made: _Collected, facts: Examined) -> None:
    """By device and day: rejects by reason, and the delay of what was taken."""
    heard = facts.heard
    names = made.codes(heard.device_ids)
    rejected = np.flatnonzero(heard.verdict != TAKEN)
    first = (
        rejected[changes(heard.device[rejected], heard.day[rejected], heard.verdict[rejected])]
        if len(rejected)
        else rejected
    )
    if len(first):
        count = np.add.reduceat(heard.count[rejected], np.searchsorted(rejected, first))
        reasons = made.codes(str(reason) for reason in REASONS)[heard.verdict[first]]
        made.extend(DEVICE, names[heard.device[first]], heard.day[first], "rejected", count, detail=reasons)

    taken = np.flatnonzero((heard.verdict == TAKEN) & (heard.delay != NO_DELAY))
    if not len(taken):
        return
    device, day, delay, count = (c[taken] for c in (heard.device, heard.day, heard.delay, heard.count))
    begin = np.flatnonzero(changes(device, day))
    reach = np.cumsum(count)
    before = np.concatenate([[0], reach])[begin]
    total = np.add.reduceat(count, begin)
    for finding, percent in (("delay_median", 50), ("delay_p95", 95)):
        # Sorted by delay within each device and day: the rank is found in the running count.
        at = np.searchsorted(reach, before + np.maximum(-(-total * percent // 100), 1))
        made.extend(
            DEVICE, names[device[begin]], day[begin], finding, total, delay[at].astype(np.int64) * SECOND
        )


def _clocks(made: _Collected, facts: Examined) -> None:
    for item in clock_offsets(facts.heard):
        name = facts.heard.device_ids[item.device]
        made.add(
            DEVICE,
            name,
            item.day,
            "clock_offset",
            item.reports,
            item.seconds * SECOND,
            offset_words(item.seconds),
        )


def _doubted(made: _Collected, facts: Examined) -> None:
    """By device and day: how long it was frozen, or two devices reported under its id, booked or not."""
    found = facts.doubted
    if not len(found):
        return
    row, day, start, end = _by_day(found.start, found.end)
    kind, device = found.kind[row], found.device[row]
    order = np.lexsort((start, day, kind, device))
    kind, device, day, start, end = kind[order], device[order], day[order], start[order], end[order]
    first = np.flatnonzero(changes(device, kind, day))
    for low, high in zip(first.tolist(), [*first[1:].tolist(), len(order)], strict=True):
        made.add(
            DEVICE,
            facts.device_ids[int(device[low])],
            int(day[low]),
            KINDS[int(kind[low])],
            high - low,
            int((end - start)[low:high].sum()),
            f"{rfc3339(int(start[low]))}/{rfc3339(int(end[high - 1]))}",
        )


def _frozen_beside(made: _Collected, facts: Examined) -> None:
    """By device and day: how long another device of its officer was elsewhere while it repeated one position.

    One that also says that it moves is told by that alone (``frozen``), whoever has it.
    """
    parts: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for item in facts.doubts:
        if item.kind == KINDS[FROZEN] and item.other_id:
            parts.setdefault((item.device_id, item.other_id), []).append((item.start, item.end))
    for (device, other), found in sorted(parts.items()):
        times = np.array(merged(found), np.int64)
        _, day, start, end = _by_day(times[:, 0], times[:, 1])
        for one in np.unique(day).tolist():
            mine = day == one
            lasting = int((end - start)[mine].sum())
            made.add(DEVICE, device, one, "frozen_beside", int(mine.sum()), lasting, other)


def _by_day(
    start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """One interval or more as their parts within local days: ``(row, day, start, end)``."""
    row, parts = np.arange(len(start)), []
    while len(start):
        day = day_numbers(start)
        midnight = _next_midnight(day)
        parts.append((row, day, start, np.minimum(end, midnight)))
        over = end > midnight
        row, start, end = row[over], midnight[over], end[over]
    row, day, start, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, day, start, end


def _decided(made: _Collected, facts: Examined) -> None:
    """By device and day, and by duty: the time for which a device said where its officer was."""
    found = up_to(facts.slices, facts.until)
    found = found.take(found.device != NO_DEVICE)
    if not len(found):
        return
    names = made.codes(facts.device_ids)
    duty_ids = made.codes(duty.duty_id for duty in facts.duties)
    began = day_numbers(np.array([duty.start for duty in facts.duties], np.int64))

    order = np.lexsort((found.device, found.duty))
    duty, device, lasting = found.duty[order], found.device[order], (found.end - found.start)[order]
    first = np.flatnonzero(changes(duty, device))
    made.extend(
        DUTY,
        duty_ids[duty[first]],
        began[duty[first]],
        "decided",
        np.diff(np.append(first, len(order))),
        np.add.reduceat(lasting, first),
        names[device[first]],
    )

    # A slice over midnight is one of each of its days.
    row, day, start, end = _by_day(found.start, found.end)
    source, lasting = found.device.astype(np.int64)[row], end - start
    order = np.lexsort((day, source))
    source, day, lasting = source[order], day[order], lasting[order]
    first = np.flatnonzero(changes(source, day))
    made.extend(
        DEVICE,
        names[source[first]],
        day[first],
        "decided",
        np.diff(np.append(first, len(order))),
        np.add.reduceat(lasting, first),
    )


def _next_midnight(day: NDArray[np.int32]) -> NDArray[np.int64]:
    found, at = np.unique(day, return_inverse=True)
    return np.array([day_start(day_of_number(number + 1)) for number in found.tolist()], np.int64)[at]


def _covered(made: _Collected, facts: Examined) -> None:
    """By duty and device: reports while booked, and silences."""
    covered, booked = facts.tracked.covered, facts.booked
    # Where there is no report at all, the whole stretch is one silence.
    fixes, gaps = np.zeros(len(booked), np.int64), np.ones(len(booked), np.int64)
    silent = np.minimum(booked.end, facts.until) - booked.start
    fixes[covered.row], gaps[covered.row], silent[covered.row] = covered.fixes, covered.gaps, covered.silent
    row = np.flatnonzero((booked.duty != ANY_DUTY) & (booked.start < facts.until))
    if not len(row):
        return
    row = row[np.lexsort((booked.duty[row], booked.device[row]))]
    device, duty, day = booked.device[row], booked.duty[row], day_numbers(booked.start[row])
    first = np.flatnonzero(changes(device, duty))
    seen, times, lasting = (np.add.reduceat(column[row], first) for column in (fixes, gaps, silent))
    detail = made.codes(facts.booked_ids)[device[first]]
    ids = made.codes(duty.duty_id for duty in facts.duties)[duty[first]]
    some, quiet = seen > 0, times > 0
    made.extend(DUTY, ids[some], day[first][some], "positions", seen[some], detail=detail[some])
    made.extend(DUTY, ids[quiet], day[first][quiet], "silent", times[quiet], lasting[quiet], detail[quiet])


def _silent(made: _Collected, facts: Examined) -> None:
    """By device and day: how often and how long it was silent while any duty held it.

    A silence over midnight is one of each of its days.
    """
    mine = facts.booked.take((facts.booked.duty == ANY_DUTY) & (facts.booked.start < facts.until))
    located = renumbered(mine, facts.booked_ids, facts.device_ids)
    row, start, end = silences(
        located, facts.tracked.gaps, len(facts.device_ids), facts.policies, facts.until
    )
    if not len(row):
        return
    at, day, start, end = _by_day(start, end)
    device, lasting = mine.device[row[at]], end - start
    order = np.lexsort((day, device))
    device, day, lasting = device[order], day[order], lasting[order]
    first = np.flatnonzero(changes(device, day))
    made.extend(
        DEVICE,
        made.codes(facts.booked_ids)[device[first]],
        day[first],
        "silent",
        np.diff(np.append(first, len(order))),
        np.add.reduceat(lasting, first),
    )


def _carried(made: _Collected, facts: Examined) -> None:
    """Duties whose radios were not heard, and of which all that is known is that of a shared vehicle."""
    covered = np.isin(np.arange(len(facts.booked)), facts.tracked.covered.row).tolist()
    quiet: set[int] = set()
    spoke: set[int] = set()
    for number, device, heard in zip(
        facts.booked.duty.tolist(), facts.booked.device.tolist(), covered, strict=True
    ):
        name = facts.booked_ids[device]
        if number != ANY_DUTY and (name, "radio") in {
            (item.device_id, item.kind) for item in facts.duties[number].devices
        }:
            (spoke if heard else quiet).add(number)
    quiet -= spoke
    if not quiet:
        return
    found = up_to(facts.slices, facts.until)
    found = found.take((found.device != NO_DEVICE) & np.isin(found.duty, sorted(quiet)))
    taken = Book(
        holdings(facts.duties, {name: code for code, name in enumerate(facts.device_ids)}),
        lambda item: item.device,
    )
    begun = np.flatnonzero(changes(found.duty)) if len(found) else np.empty(0, np.int64)
    for low, high in zip(begun.tolist(), np.append(begun[1:], len(found)).tolist(), strict=False):
        duty = facts.duties[int(found.duty[low])]
        others: dict[int, set[str]] = {}
        for device, start, end in zip(
            *(column[low:high].tolist() for column in (found.device, found.start, found.end)), strict=True
        ):
            officers = {item.officer for item in taken.during(device, start, end)}
            others.setdefault(device, set()).update(officers - {duty.officer_id})
        if all(others.values()):
            made.add(
                DUTY,
                duty.duty_id,
                int(day_numbers(np.array([duty.start], np.int64))[0]),
                "carried_by_vehicle",
                len(set.union(*others.values())),
                int((found.end - found.start)[low:high].sum()),
                ";".join([duty.officer_id, *sorted(facts.device_ids[device] for device in others)]),
            )


def _unmatched_devices(made: _Collected, facts: Examined) -> None:
    """Devices that were booked and not heard, or heard and not booked, and the ones that were meant."""
    heard, days = facts.heard, facts.tracked.days
    fixes = np.bincount(days.device, weights=days.fixes, minlength=len(facts.device_ids))
    located = {facts.device_ids[code]: int(fixes[code]) for code in np.flatnonzero(fixes).tolist()}
    booked: dict[str, list[Duty]] = {}
    for duty in facts.duties:
        if duty.counts and duty.start < facts.until:
            for name in dict.fromkeys(item.device_id for item in duty.devices):
                booked.setdefault(name, []).append(duty)
    # A device of a duty that has not begun, or is booked for too long, is no stranger.
    named = {item.device_id for duty in facts.duties if not duty.cancelled for item in duty.devices}
    strangers, everyone = Lookup(located.keys() - named), Lookup(located)
    reported = set(heard.device_ids)
    both = Lookup(located.keys() & booked.keys())
    for name, duties in sorted(booked.items()):
        first = int(day_numbers(np.array([min(duty.start for duty in duties)], np.int64))[0])
        near = strangers.near(name)
        if name not in located:  # another booking may have the id right
            near = sorted({*near, *(other for other in everyone.near(name) if spelt(name, other))})
        for other in near:
            made.add(DEVICE, name, first, "near_id", located[other], detail=other)
        if name in located:
            for other in both.near(name):
                # Of two the one in fewer duties is probably the mistake.
                if written_twice(name, other) and (-len(duties), name) > (-len(booked[other]), other):
                    made.add(DEVICE, name, first, "two_ids", len(duties), detail=other)
            continue
        if name in reported:
            _none_usable(made, heard, name)
        else:
            made.add(
                DEVICE,
                name,
                first,
                "never_heard",
                len(duties),
                detail=listed([duty.duty_id for duty in duties]),
            )
    began = dict(zip(days.device[::-1].tolist(), days.day[::-1].tolist(), strict=True))
    code_of = {name: code for code, name in enumerate(facts.device_ids)}
    for name in sorted(located.keys() - named):
        made.add(DEVICE, name, began[code_of[name]], "not_booked", located[name])


def _none_usable(made: _Collected, heard: Heard, name: str) -> None:
    rows = np.flatnonzero(heard.device == heard.device_ids.index(name))
    by_reason: Counter[str] = Counter()
    for verdict, count in zip(heard.verdict[rows].tolist(), heard.count[rows].tolist(), strict=True):
        by_reason[str(REASONS[verdict]) if verdict != TAKEN else "taken"] += count
    day = int(heard.day[rows].min())
    made.add(
        DEVICE,
        name,
        day,
        "none_usable",
        by_reason.total(),
        detail=";".join(f"{count} {reason}" for reason, count in sorted(by_reason.items())),
    )


def listed(names: Sequence[str]) -> str:
    """Names joined by semicolons, the first few and how many more there are."""
    found = sorted(names)
    more = len(found) - LISTED
    return ";".join(found[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _duties(made: _Collected, facts: Examined) -> None:
    """Duties that nobody could have been seen on, and those that last too long."""
    covered = facts.booked.duty[facts.tracked.covered.row]
    seen = set(covered[covered != ANY_DUTY].tolist())
    began = day_numbers(np.array([duty.start for duty in facts.duties], np.int64)).tolist()
    for number, (duty, day) in enumerate(zip(facts.duties, began, strict=True)):
        if duty.cancelled or duty.start >= facts.until:
            continue
        _long(made, duty, facts.until)
        if duty.too_long:  # it counts for nothing, so nothing else is asked about it
            continue
        lasting = duty.until_by(facts.until) - duty.start
        if not duty.devices:
            made.add(DUTY, duty.duty_id, day, "no_device", 1, lasting)
        elif number not in seen:
            names = sorted({item.device_id for item in duty.devices})
            made.add(DUTY, duty.duty_id, day, "never_heard", len(names), lasting, ";".join(names))


def _officers(made: _Collected, facts: Examined) -> None:
    """Duties of one officer that overlap; states that were keyed in no duty."""
    by_officer: dict[str, list[tuple[int, int, str]]] = {}
    uncounted = {duty.officer_id for duty in facts.duties if duty.too_long and not duty.cancelled}
    for duty in facts.duties:
        if duty.counts:
            end = max(duty.until_by(facts.until), duty.start + (duty.end is None))
            by_officer.setdefault(duty.officer_id, []).append((duty.start, end, duty.duty_id))
    uncounted -= by_officer.keys()
    for officer, rows in sorted(by_officer.items()):
        rows.sort()
        overlaps, names, reach, last = [], set(), rows[0][1], rows[0][2]
        for start, end, name in rows[1:]:
            if start < reach:
                overlaps.append((start, min(end, reach)))
                names |= {last, name}
            if end > reach:
                reach, last = end, name
        if overlaps:
            both = merged(overlaps)
            day = int(day_numbers(np.array([both[0][0]], np.int64))[0])
            lasting = sum(end - start for start, end in both)
            made.add(OFFICER, officer, day, "overlapping_duties", len(names), lasting, listed(sorted(names)))

    everyone = Lookup(by_officer)
    for officer, duties in sorted(by_officer.items()):
        for other in everyone.near(officer):
            # Of two the one with fewer duties is probably the mistake.
            if spelt(officer, other) and (-len(duties), officer) > (-len(by_officer[other]), other):
                day = int(day_numbers(np.array([min(duties)[0]], np.int64))[0])
                made.add(OFFICER, officer, day, "near_id", len(duties), detail=other)

    keyed: dict[str, set[tuple[int, int]]] = {}
    for report in facts.states:
        keyed.setdefault(report.officer_id, set()).add((report.time, report.state))
    for officer, reports in sorted(keyed.items()):
        if officer in uncounted:  # of duties that are booked for too long only that is told
            continue
        times = np.array(sorted(time for time, _ in reports), np.int64)
        if officer not in by_officer:
            day = int(day_numbers(times[:1])[0])
            made.add(
                OFFICER, officer, day, "state_without_duty", len(times), detail=listed(everyone.near(officer))
            )
            continue
        spans = np.array(merged((start, end) for start, end, _ in by_officer[officer]), np.int64)
        # A state keyed at the very end of a duty, as "off duty" is, belongs to it.
        at = np.searchsorted(spans[:, 0], times, side="right") - 1
        outside = times[(at < 0) | (times > spans[np.maximum(at, 0), 1])]
        for day, count in sorted(Counter(day_numbers(outside).tolist()).items()):
            made.add(OFFICER, officer, day, "state_outside_duty", count)
        _codes(made, facts, officer, by_officer[officer], sorted(reports))


def _codes(
    made: _Collected,
    facts: Examined,
    officer: str,
    duties: Sequence[tuple[int, int, str]],
    reports: Sequence[tuple[int, int]],
) -> None:
    """States that no policy names, and ones of one instant that count differently, in an officer's duties.

    That somebody is available and on the way at one instant is no contradiction: both count as on duty. Nor
    is it one that a second of the clock now and then holds two.
    """
    usual = set.intersection(*(set(policy.states) for policy in facts.policies.policies))
    unnamed: Counter[tuple[int, int]] = Counter()
    doubled: Counter[tuple[int, str]] = Counter()
    for time, found in groupby(reports, key=lambda report: report[0]):
        codes = [code for _, code in found]
        if len(codes) == 1 and codes[0] in usual:
            continue
        began = [start for start, end, _ in duties if start <= time < end]
        if not began:
            continue
        day = int(day_numbers(np.array([time], np.int64))[0])
        states = facts.policies.at(
            max(began)
        ).states  # of several duties the one that started latest (rule 8)
        unnamed.update((day, code) for code in codes if code not in states)
        if len({states[code].counts if code in states else VISIBLE for code in codes}) > 1:
            doubled[day, ";".join(map(str, codes))] += 1
    for (day, code), count in sorted(unnamed.items()):
        made.add(OFFICER, officer, day, "unknown_state", count, detail=str(code))
    often: Counter[int] = Counter()
    for (day, _), count in doubled.items():
        often[day] += count
    for (day, both), count in sorted(doubled.items()):
        if often[day] < LEAST_DOUBLED:
            continue
        made.add(OFFICER, officer, day, "two_states", count, detail=both)


def _patches(made: _Collected, facts: Examined) -> None:
    """Home neighbourhoods that no boundary has: nobody can ever be on them. By patch, and by officer."""
    unknown: dict[str, list[Duty]] = {}
    for duty in facts.duties:
        for area in duty.patch if duty.counts else ():
            if area not in facts.neighbourhoods:
                unknown.setdefault(area, []).append(duty)
    if not unknown:
        return
    by_id = Lookup(facts.neighbourhoods)
    by_name = Lookup(facts.neighbourhoods.values())
    for area, duties in sorted(unknown.items()):
        names = {area, *by_name.near(area)}
        near = by_id.near(area) or sorted(
            code for code, name in facts.neighbourhoods.items() if name in names
        )
        day = int(day_numbers(np.array([min(duty.start for duty in duties)], np.int64))[0])
        lasting = sum(max(duty.until_by(facts.until) - duty.start, 0) for duty in duties)
        made.add(PATCH, area, day, "unknown_patch", len(duties), lasting, listed(near))
        for officer, count in sorted(Counter(duty.officer_id for duty in duties).items()):
            made.add(OFFICER, officer, day, "unknown_patch", count, detail=area)


def _not_in_force(made: _Collected, facts: Examined) -> None:
    """By duty and patch: the time in which another version of the boundaries was in force, without it.

    Time before the first boundaries is unknown and no patch's fault; a patch of no version is told apart.
    """
    begun = min((spans[0][0] for spans in facts.grounds.values()), default=0)
    for duty in facts.duties:
        low = max(duty.start, begun)
        high = min(duty.until, facts.until)
        for area in duty.patch if low < high else ():
            if area not in facts.neighbourhoods:
                continue
            there = sum(
                max(min(high, end) - max(low, start), 0) for start, end in facts.grounds.get(area, ())
            )
            if facts.grounds and there < high - low:
                day = int(day_numbers(np.array([duty.start], np.int64))[0])
                lasting = high - low - there
                made.add(DUTY, duty.duty_id, day, "patch_not_in_force", 1, lasting, area)
