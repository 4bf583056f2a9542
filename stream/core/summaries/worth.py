"""What the facts behind a summary's figure are worth (rule 22), and whether they could turn its verdict.

Values in, values out. It changes no figure: it says what was found, and what the verdict would be if the time
that serious findings touch were not known.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from geo.matching.history import FOREVER
from stream.core.calendar import day_start
from stream.core.explaining.wording import apportion, doubts_told, duration
from stream.core.quality.devices import KINDS
from stream.core.quality.doubts import Doubts, by_position, named
from stream.core.quality.findings import DEVICE
from stream.core.quality.intervals import merged, union
from stream.core.quality.wording import EXAMPLES, times, warnings
from stream.core.shares import doubt_totals
from stream.core.slices import ON_BREAK, UNSEEN
from stream.core.summaries.examining import MISPLACED, REJECTED, doubted, listed
from stream.core.summaries.model import FactFinding, FactsWorth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geo.matching.places import Place
    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.quality.doubts import NamedDoubt
    from stream.core.quality.findings import QualityFindings
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.summaries.examining import Examiner

MOST_DOUBTS: Final = 2
"""So many doubts are told one by one."""

# ── What it could change ──────────────────────────────────────────────────────────────────────────────────


def touched(
    found: Iterable[FactFinding],
    slices: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    device_ids: Sequence[str],
    policies: Policies,
    *,
    overlaps: Mapping[str, Sequence[tuple[int, int]]],
) -> Doubts:
    """The duty time that serious findings touch, in the form of doubts: their kind and device mean nothing.

    Time that is unknown already is not in it, nor are breaks. Of a wrong clock, of misplaced positions and of
    many rejected reports it is the time that the device decided on that day; of a radio that was never heard,
    what another device decided in the duties that name it; of a patch that is unknown or was not in force,
    what a position decided in its duties; of a duty that was left open, and of the time that
    several duties of an officer claim, all of it.

    Args:
        found: findings; those that are not serious touch nothing.
        slices: of the duties; no open ends.
        duties: those of the figure.
        places: the places behind ``slices.place``.
        device_ids: the names behind ``slices.device``.
        policies: they say which states decide.
        overlaps: by officer the time that several of their duties claim, microseconds.
    """
    seen = by_position(slices, duties, places, policies)
    counted = (slices.activity != ON_BREAK) & (slices.activity != UNSEEN)

    def within(chosen: Iterable[bool]) -> NDArray[np.bool_]:
        rows: NDArray[np.bool_] = np.array([*chosen, False], np.bool_)[slices.duty]
        return rows

    parts: list[tuple[NDArray[np.bool_], int, int]] = []
    for item in found:
        if item.finding in (*MISPLACED, "clock_offset", REJECTED):
            if item.id in device_ids and item.day:
                day = date.fromisoformat(item.day)
                source = seen & (slices.device == device_ids.index(item.id))
                parts.append((source, day_start(day), day_start(day + timedelta(days=1))))
        elif item.finding in ("never_heard", "none_usable") and item.scope == DEVICE:
            named = (
                (item.id, "radio") in {(held.device_id, held.kind) for held in duty.devices}
                for duty in duties
            )
            parts.append((seen & within(named), -FOREVER, FOREVER))
        elif item.finding == "unknown_patch":
            parts.append((seen & within(item.id in duty.patch for duty in duties), -FOREVER, FOREVER))
        elif item.finding == "patch_not_in_force":
            parts.append((seen & within(duty.duty_id == item.id for duty in duties), -FOREVER, FOREVER))
        elif item.finding == "open_duty":
            parts.append((counted & within(duty.duty_id == item.id for duty in duties), -FOREVER, FOREVER))
        elif item.finding == "overlapping_duties":
            mine = counted & within(duty.officer_id == item.id for duty in duties)
            parts += [(mine, low, high) for low, high in overlaps.get(item.id, ())]
    rows = [np.flatnonzero(which & (slices.start < high) & (slices.end > low)) for which, low, high in parts]
    if not sum(map(len, rows)):
        return Doubts.none()
    row = np.concatenate(rows)
    low_, high_ = (
        np.repeat(np.array([part[at] for part in parts], np.int64), [len(found_) for found_ in rows])
        for at in (1, 2)
    )
    nothing = np.zeros(len(row), np.int32)
    return Doubts(
        slices.duty[row],
        np.maximum(slices.start[row], low_),
        np.minimum(slices.end[row], high_),
        nothing.astype(np.int8),
        nothing,
        np.full(len(row), ""),
    )


def overlapping(duties: Iterable[Duty], until: int) -> list[tuple[int, int]]:
    """The time that at least two duties of one officer claim, disjoint and in order.

    Args:
        duties: of one officer; of an open one what counts up to ``until``.
        until: microseconds.
    """
    found, reach = [], -FOREVER
    for start, end in sorted((duty.start, duty.until_by(until)) for duty in duties):
        if start < min(end, reach):
            found.append((start, min(end, reach)))
        reach = max(reach, end)
    return merged(found)


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What a figure is made of.

    Attributes:
        figures: the figure.
        target: the share promised.
        slices, duties, places, device_ids: as for ``touched``.
        doubts: the duties' doubtful time (rule 21).
        uncounted: duties that are booked for too long to be in the figure (rule 8a).
    """

    figures: Figures
    target: float
    slices: Slices
    duties: Sequence[Duty]
    places: Sequence[Place]
    device_ids: Sequence[str]
    doubts: Doubts
    uncounted: Sequence[Duty] = ()

    def without(self, time: Doubts) -> Figures:
        """The figure whose bounds leave some time open as well, as if it were not known."""
        found = self.figures
        both = Doubts.joined([self.doubts, time])
        sums = doubt_totals(self.slices, both, self.duties, self.places, found.start, found.end).sum(axis=0)
        return replace(found, only_doubtful_on=int(sums[1]), only_doubtful_off=int(sums[2]))


def questioned(before: Figures, after: Figures) -> int:
    """How much more time the bounds leave open, microseconds."""
    return (before.proven - after.proven) + (after.possible - before.possible)


def worth(behind: Behind, examiner: Examiner, policies: Policies, until: int, names: Named) -> FactsWorth:
    """What the facts behind a figure are worth.

    Args:
        behind: the figure and its parts.
        examiner: looks into the facts of its period.
        policies: the rules' settings.
        until: up to when anything is counted, microseconds.
        names: of officers.
    """
    figures, duties = behind.figures, behind.duties
    found = examiner.found([*duties, *behind.uncounted])
    facts = listed(found, examiner.heard(duties))
    doubts = _cut(behind.doubts, figures.start, min(figures.end, until))
    told = named(doubts, duties, behind.device_ids)

    def open_(some: Iterable[FactFinding]) -> Doubts:
        officers = {item.id for item in some if item.finding == "overlapping_duties"}
        overlaps = {name: overlapping(examiner.booked(name), until) for name in officers}
        return touched(
            some, behind.slices, duties, behind.places, behind.device_ids, policies, overlaps=overlaps
        )

    after = behind.without(open_(facts)) if facts else figures
    turning = ""
    if figures.verdict(behind.target) != after.verdict(behind.target):
        causes = {
            words: time
            for words, some in _causes(facts, duties).items()
            if (time := questioned(figures, behind.without(open_(some))))
        }
        turning = _turning(figures, after, behind.target, sorted(causes, key=lambda words: -causes[words]))
    return FactsWorth(
        findings=(*facts, *doubted(told)),
        doubtful=_doubtful(doubts),
        reports=examiner.reports(duties),
        questioned=questioned(figures, after),
        proven=after.proven,
        possible=after.possible,
        verdict=after.verdict(behind.target),
        turning=turning,
        said=tuple(_said(found, facts, told, names)),
    )


def _cut(found: Doubts, start: int, end: int) -> Doubts:
    found = found.take((found.start < end) & (found.end > start))
    return replace(found, start=np.maximum(found.start, start), end=np.minimum(found.end, end))


def _doubtful(found: Doubts) -> tuple[tuple[str, int], ...]:
    """By kind the time in doubt, of one duty nothing twice."""
    key, start, end = union(found.duty.astype(np.int64) * len(KINDS) + found.kind, found.start, found.end)
    time = np.zeros(len(KINDS), np.int64)
    np.add.at(time, key % len(KINDS), end - start)
    return tuple((name, int(length)) for name, length in zip(KINDS, time, strict=True) if length)


# ── In words ──────────────────────────────────────────────────────────────────────────────────────────────

CAUSES: Final = (
    (
        ("unknown_patch",),
        ("duty with a patch that no boundary has", "duties with a patch that no boundary has"),
    ),
    (
        ("patch_not_in_force",),
        ("duty with a patch that was not in force", "duties with a patch that was not in force"),
    ),
    (MISPLACED, ("{} with misplaced positions", "{}s with misplaced positions")),
    (("never_heard", "none_usable"), ("{} never heard", "{}s never heard")),
    (("clock_offset",), ("{} with a wrong clock", "{}s with wrong clocks")),
    ((REJECTED,), ("{} with many rejected reports", "{}s with many rejected reports")),
    (("open_duty",), ("duty left open", "duties left open")),
    (("overlapping_duties",), ("officer with overlapping duties", "officers with overlapping duties")),
)
"""Serious findings, those that are told together, and what they are of, one and several."""


def _causes(found: Sequence[FactFinding], duties: Sequence[Duty]) -> dict[str, list[FactFinding]]:
    """Serious findings by what they are of, in words: ``2 radios with wrong clocks``."""
    kinds = {item.device_id: item.kind for duty in duties for item in duty.devices}
    groups: dict[str, list[FactFinding]] = {}
    for names, (one, several) in CAUSES:
        some = [item for item in found if item.finding in names and (item.scope == DEVICE or "{}" not in one)]
        if not some:
            continue
        ids = {item.id for item in some}
        count = (
            sum(bool(ids & set(duty.patch)) for duty in duties) if names[0] == "unknown_patch" else len(ids)
        )
        what = {kinds.get(name, DEVICE) for name in ids}
        words = (one if count == 1 else several).format(what.pop() if len(what) == 1 else DEVICE)
        groups[f"{count:,} {words}"] = some
    return groups


def _turning(before: Figures, after: Figures, target: float, causes: Sequence[str]) -> str:
    """The sentence that says that a verdict rests on facts that are probably wrong."""
    [minutes] = apportion([questioned(before, after)])
    return (
        f"The verdict “{before.verdict(target)}” stands by the rules; without {duration(minutes)} of duty "
        f"time whose facts are probably wrong ({', '.join(causes)}) it would be “{after.verdict(target)}”."
    )


def _said(
    found: QualityFindings, facts: Sequence[FactFinding], told: Sequence[NamedDoubt], names: Named
) -> Iterator[str]:
    """The findings in sentences, a kind each, the worst first."""
    yield from (f"{line[:1].upper()}{line[1:]}" for line in warnings(found, where=""))
    rejected: dict[str, list[FactFinding]] = defaultdict(list)
    for item in facts:
        if item.finding == REJECTED:
            rejected[item.id].append(item)
    if rejected:
        worst = sorted(rejected, key=lambda name: (-sum(item.count for item in rejected[name]), name))
        said = [
            f"{times(sum(item.count for item in rejected[name]), 'report')} of {name!r} on "
            f"{times(len(rejected[name]), 'day')}"
            for name in worst[:EXAMPLES]
        ]
        more = f", and of {times(len(worst) - EXAMPLES, 'other device')}" if len(worst) > EXAMPLES else ""
        yield (
            f"More than one report in ten could not be used: {', '.join(said)}{more}. Have the "
            "receivers checked; each report and the reason are in the dead letters."
        )
    if told:
        lines = doubts_told(told, names)
        more = f"; and {len(lines) - MOST_DOUBTS:,} more" if len(lines) > MOST_DOUBTS else ""
        first = "; ".join(line.line() for line in lines[:MOST_DOUBTS])
        yield f"Facts contradict each other, and the bounds leave that time open: {first}{more}."
