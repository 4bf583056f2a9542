"""Summary of a month → what the public may see of it: by a stated rule, no person can be identified.

Values in, values out; no Kafka, no database, no clock. ``Public`` holds everything that a public page shows,
so every form made from it keeps the rule too. Time *passes* where at least ``Rule.officers`` officers gave
some of it, and all but the two who gave most gave together at least ``Rule.others_percent`` per cent of what
the first gave: no officer who knows their own time can work out a colleague's.

P1. Only a whole month that is over is published, one document a neighbourhood; no week, day or running month.
P2. The share, its bounds, its verdict and the hours are shown only where duty time, time on patch and the
    rest of duty time each pass or are nothing. Else nothing of the neighbourhood's own officers is shown.
P3. The rest is divided by coarse reasons. Those that do not pass are put together as *other reasons*, with
    the smallest that do until their sum passes: nothing is left that could be subtracted from 100%.
P4. A bound that rests on doubt which does not pass is rounded outward to ten per cent.
P5. Shares are whole per cent, never rounded across the target, bounds outward; hours are tens. P6. A priority
area's visits and patrol hours, whoever made them, are shown only where the time inside passes, in its hours
and out of them apart only where both pass. Of visits 1 to ``Rule.visits`` - 1 only that there were some is
shown; else they are rounded to fives, patrol hours to ones. What is shown of all visits is the sum of what is
shown of their lengths. P7. Neighbourhoods that share duties are looked at together. Where some sum or
difference of their figures would leave only duties that do not pass, or the difference of two of them does
not pass, the one with the fewest officers is left out until none does. The reasons must pass for each group
of duties with the same patch. P8. No document holds a total of several neighbourhoods, another month, a name
or id of an officer, a device, duty, team, premises or other neighbourhood, or a day or hour of anything but a
priority area's own. P9. A month stands as it was published, unless the verdict changes or a shown share moves
by two or more.

That three is the least number of givers, and the part that the others must give (the p% rule), are the usual
ones for sums: Hundepool et al., Handbook on Statistical Disclosure Control (ESSnet SDC, 2010), chapter 4;
counts below five and rounding to fives are usual for counts of events (the same, chapter 5).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from math import ceil, floor
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import MONTH
from stream.core.explaining.explanation import exact
from stream.core.explaining.wording import CALLS
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from stream.core.shares import Figures
    from stream.core.summaries.model import Away, PriorityArea, Summary

HOUR = 3600 * SECOND

CALL, AWAY, OTHER_WORK = "calls", "away", "other_work"
STATION, CUSTODY, UNAVAILABLE, HIDDEN = "station", "custody", "unavailable", "hidden"
NO_SIGNAL, OTHER = "no_signal", "other"
REASONS = (CALL, OTHER_WORK, AWAY, STATION, CUSTODY, UNAVAILABLE, HIDDEN, NO_SIGNAL, OTHER)
"""Why duty time was not spent visibly on the patch.

``calls`` and ``other_work`` are time off patch, on a call or not; together they are ``away``. ``station``
(inside police premises), ``custody`` (court and prisoner escort) and ``unavailable`` are time not visible;
together they are ``hidden``. ``other`` is what several of them make together (P3).
"""

IN_CUSTODY = frozenset({"court", "prisoner_escort"})
"""Names of the states that are told as court and custody; a policy that renames one takes it out."""

SHOWN, NOBODY, FEW, SHARED, UNSEEN = "shown", "nobody", "few", "shared", "unseen"
"""The state of a figure: shown; there was nothing to show; from too few officers (P2, P6); P7; unseen."""

SEPARATOR = "\x1f"
"""Between the neighbourhoods of a patch; no id has it."""

LEAST = 3
"""The fewest officers that ``Rule.officers`` may name: of two each knows the other's part."""


UNKNOWN = attrgetter("unknown")
"""The part of figures that no position tells of."""


class NotPublicError(ValueError):
    """What the public may not see at all (P1); the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds of the rule.

    Attributes:
        officers: how many must have given some of a figure.
        others_percent: what all but the first two must have given, in per cent of what the first gave.
        visits: fewer visits than this, but some, are not numbered.
    """

    officers: int = LEAST
    others_percent: int = 10
    visits: int = 5

    def __post_init__(self) -> None:
        if self.officers < LEAST:
            raise ValueError(
                f"at least {self.officers} officers behind a public figure are too few: write {LEAST} or more"
            )
        if self.others_percent < 1 or self.visits < 2:
            raise ValueError("the public rule needs others_percent of 1 or more and visits of 2 or more")

    def passes(self, times: Iterable[int]) -> bool:
        """Whether time may be shown, given how much each officer contributed; no time at all may be shown."""
        given = sorted((time for time in times if time > 0), reverse=True)
        if not given:
            return True
        return len(given) >= self.officers and 100 * sum(given[2:]) >= self.others_percent * given[0]

    def all_pass(self, figures: Iterable[Iterable[Figures]]) -> bool:
        """Whether duty time, time on patch and the rest each pass (P2), given each officer's figures."""
        whole = [list(lines) for lines in figures]
        return all(
            self.passes(sum(map(part, lines)) for lines in whole)
            for part in (attrgetter("duty"), attrgetter("on_patch"), lambda item: item.duty - item.on_patch)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicShare:
    """The share of duty time on patch, per cent (P4, P5).

    Attributes:
        share, low, high: in that order from ``low`` to ``high``; as many decimals as the target has.
        verdict: ``met``, ``missed`` or ``not proven``.
        on_patch_hours, duty_hours: tens; 0 is under ten.
    """

    share: float
    low: float
    high: float
    verdict: str
    on_patch_hours: int
    duty_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicReason:
    """A part of duty time not spent visibly on the patch.

    Attributes:
        key: one of ``REASONS``.
        percent: of duty time; with the share they sum to 100. 0 is under half a per cent.
    """

    key: str
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicArea:
    """A priority area and what the public may know of the visits to it (P6).

    Attributes:
        name, issue, days, hours: as published with the boundaries; empty where not said.
        always: all the time is its own.
        state: ``shown``, ``nobody`` (no visit, no time inside) or ``few``.
        visits: fives, the sum of ``by_length``; None: some, fewer than ``Rule.visits`` of each length.
        by_length: under 5 minutes, 5 to 10, 10 to 20, 20 and over; None as above, 0 is none at all.
        patrol_hours: whole hours in which an officer was there; 0 is under half an hour.
        in_hours, out_of_hours: the same within the area's own hours and outside; None where not told apart.
        never_in_hours: nobody was there in the area's own hours at all.
    """

    area_id: str
    name: str
    issue: str
    days: str
    hours: str
    always: bool
    state: str
    visits: int | None = None
    by_length: tuple[int | None, ...] = ()
    patrol_hours: int = 0
    in_hours: int | None = None
    out_of_hours: int | None = None
    never_in_hours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """All that the public may see of a neighbourhood's month.

    Attributes:
        month: like ``2026-10``.
        area_id, area_name: the neighbourhood.
        target: the share promised, per cent.
        officers, visits: the rule's thresholds, to be stated.
        visit_s: what is shorter is no visit (rule 17), seconds.
        state: ``shown``, ``nobody`` (no duty time), ``few``, ``shared`` or ``unseen`` (no position known).
        share: None where ``state`` is not ``shown``.
        reasons: the most first, ``other`` last.
        areas: priority areas that touch the neighbourhood, by name.
        corrected: it takes the place of one that was published before (P9).
    """

    month: str
    area_id: str
    area_name: str
    target: float
    officers: int
    visits: int
    visit_s: int
    state: str
    share: PublicShare | None
    reasons: tuple[PublicReason, ...]
    areas: tuple[PublicArea, ...]
    corrected: bool = False


def publish(
    summary: Summary,
    rule: Rule | None = None,
    *,
    patches: Mapping[str, str] | None = None,
    shared: bool = False,
) -> Public:
    """What the public may see of one neighbourhood's month.

    Where neighbourhoods share duties this alone is not enough: ``publish_all`` looks at them together (P7).

    Args:
        summary: of a month.
        rule: None: the one of the summary's policy.
        patches: by ``duty_id`` what tells its patch from others; None: all have the same.
        shared: the neighbourhood's own figures are to be left out by P7.

    Raises:
        NotPublicError: not a month, or not over.
    """
    if summary.period != MONTH:
        raise NotPublicError(f"{summary.name} is not a month: only whole months are made public")
    if not summary.complete:
        raise NotPublicError(f"{summary.name} is not over: it can be made public when it is")
    rule = rule or Rule()
    target = exact(summary.basis.target)
    share: PublicShare | None = None
    reasons: tuple[PublicReason, ...] = ()
    if not summary.figures.duty:
        state = NOBODY
    elif shared:
        state = SHARED
    elif not rule.all_pass([officer.figures] for officer in summary.officers):
        state = FEW
    elif summary.figures.share is None:
        state = UNSEEN
    else:
        state = SHOWN
        groups = _Groups.of(summary, patches or {}, rule)
        share = _share(summary, groups, target)
        reasons = _reasons(summary, groups, share)
    return Public(
        month=summary.name,
        area_id=summary.area_id,
        area_name=summary.area_name,
        target=float(target * 100),
        officers=rule.officers,
        visits=rule.visits,
        visit_s=round(summary.basis.policy.get("visit_min_s", 120)),
        state=state,
        share=share,
        reasons=reasons,
        areas=tuple(_area(item, rule) for item in summary.areas),
    )


def publish_all(summaries: Iterable[Summary], rule: Rule | None = None) -> list[Public]:
    """What the public may see of one month of all neighbourhoods, in the order given (P7).

    Args:
        summaries: all neighbourhoods of the force: one that is left out could be one that shares duties.
        rule: None: the one of the summaries' policy.

    Raises:
        NotPublicError: not a month, not over, or different months.
    """
    found = list(summaries)
    if len({item.name for item in found}) > 1:
        raise NotPublicError("summaries of different months are not made public together")
    seen: dict[str, list[str]] = defaultdict(list)
    for item in found:
        for officer in item.officers:
            for duty in officer.duties:
                seen[duty.duty_id].append(item.area_id)
    patches = {duty_id: SEPARATOR.join(sorted(areas)) for duty_id, areas in seen.items()}
    left_out = _left_out(found, patches, rule)
    return [publish(item, rule, patches=patches, shared=item.area_id in left_out) for item in found]


def corrected(before: Public, after: Public) -> Public:
    """What is public once a month that was published is counted again (P9).

    Small changes are not shown: the difference of two documents would tell of the few duties behind it.
    """
    if before.share is None or after.share is None:
        changed = before.state != after.state
    else:
        moved = max(
            abs(was - now)
            for was, now in (
                (before.share.share, after.share.share),
                (before.share.low, after.share.low),
                (before.share.high, after.share.high),
            )
        )
        changed = before.share.verdict != after.share.verdict or moved >= 2
    if not changed:
        return before
    return replace(after, corrected=True)


# ── Whose time it is ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Groups:
    """The figures of a neighbourhood's duties: by group of equal patch, and of these by officer."""

    rule: Rule
    groups: tuple[Mapping[str, Sequence[Figures]], ...]

    @classmethod
    def of(cls, summary: Summary, patches: Mapping[str, str], rule: Rule) -> _Groups:
        """The groups of all duties."""
        groups: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
        for officer in summary.officers:
            for duty in officer.duties:
                groups[patches.get(duty.duty_id, "")][officer.officer_id].append(duty.figures)
        return cls(rule, tuple(groups[name] for name in sorted(groups)))

    @property
    def alike(self) -> bool:
        """Whether all duties have the same patch."""
        return len(self.groups) == 1

    def pass_(self, part: Callable[[Figures], int]) -> bool:
        """Whether a part of the figures passes for all duties, and for each group of them."""
        whole: dict[str, int] = defaultdict(int)
        for group in self.groups:
            given = {name: sum(map(part, lines)) for name, lines in group.items()}
            if not self.rule.passes(given.values()):
                return False
            for name, time in given.items():
                whole[name] += time
        return self.rule.passes(whole.values())


def _given(item: Away | PriorityArea) -> dict[str, tuple[int, ...]]:
    """By officer the time that an item is the sum of; empty where the summary does not tell."""
    return {name: tuple(times) for name, *times in item.by_officer}


def _left_out(summaries: Sequence[Summary], patches: Mapping[str, str], rule: Rule | None) -> frozenset[str]:
    """Ids of the neighbourhoods that P7 leaves out.

    Figures of neighbourhoods are sums over groups of duties with the same patch. A sum or difference of some
    of them that holds no group that passes, but another, exists exactly where leaving out the columns of the
    groups that pass lowers the rank of the table of neighbourhoods by groups.
    """
    known = rule or Rule()
    times: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    counted: set[str] = set()
    officers: dict[str, int] = {}
    for item in summaries:
        if item.figures.duty and known.all_pass([officer.figures] for officer in item.officers):
            officers[item.area_id] = len(item.officers)
        for officer in item.officers:
            for duty in officer.duties:
                if duty.duty_id not in counted:
                    counted.add(duty.duty_id)
                    times[patches[duty.duty_id]][officer.officer_id].append(duty.figures)
    members = {group: frozenset(group.split(SEPARATOR)) for group in sorted(times)}
    sound = {group: known.all_pass(times[group].values()) for group in members}

    def exposed(rows: Sequence[str]) -> Sequence[str]:
        """Neighbourhoods of which one has to be left out; none where no rule is broken."""
        columns = [group for group in members if not members[group].isdisjoint(rows)]
        table = np.array([[float(row in members[group]) for group in columns] for row in rows], np.float64)
        if _rank(table) > _rank(table[:, [sound[group] for group in columns]]):
            return rows
        for one, other in combinations(rows, 2):
            apart: dict[str, list[Figures]] = defaultdict(list)
            shared = False
            for group in columns:
                shared |= {one, other} <= members[group]
                if (one in members[group]) != (other in members[group]):
                    for name, lines in times[group].items():
                        apart[name] += lines
            if shared and not known.all_pass(apart.values()):
                return one, other
        return ()

    left_out: set[str] = set()
    for together in _linked(sorted(officers), members.values()):
        rows = list(together)
        while rows and (found := exposed(rows)):
            rows.remove(min(found, key=lambda row: (officers[row], row)))
        left_out |= set(together) - set(rows)
    return frozenset(left_out)


def _rank(table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> int:
    return int(np.linalg.matrix_rank(table)) if table.size else 0


def _linked(rows: Sequence[str], groups: Iterable[Collection[str]]) -> list[list[str]]:
    """The neighbourhoods by which of them share duties, directly or through others."""
    head = {row: row for row in rows}

    def find(row: str) -> str:
        while head[row] != row:
            row = head[row]
        return row

    for group in groups:
        members = sorted(row for row in group if row in head)
        for member in members[1:]:
            head[find(member)] = find(members[0])
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[find(row)].append(row)
    return [members for members in found.values() if len(members) > 1]


# ── Rounding ──────────────────────────────────────────────────────────────────────────────────────────────


def whole_percent(
    value: Fraction, target: Fraction, way: Callable[[Fraction], int] = round, step: int = 1
) -> float:
    """A share in whole per cent, never rounded across its target (P5).

    What is below the target is shown below it, what reaches it as reaching it; 0 and 100 stand for exactly 0
    and 1. There are as many decimals as the target has.

    Args:
        value: 0 to 1.
        target: 0 to 1.
        way: how to round: ``floor``, ``round`` or ``ceil``.
        step: per cent; to what multiples.
    """
    scale = 100
    while (target * scale).denominator > 1 and scale < 10**9:
        scale *= 10
    unit = step * scale // 100
    shown = min(scale, way(value * scale / unit) * unit)
    wanted = ceil(target * scale)
    shown = min(shown, wanted - 1) if value < target else max(shown, wanted)
    shown = max(shown, 1) if value > 0 else shown
    shown = min(shown, scale - 1) if value < 1 else shown
    return shown * 100 / scale


def _nearest(time: int, unit: int) -> int:
    """A time in the nearest whole units, half up."""
    return (time + unit // 2) // unit


def _count(visits: int, rule: Rule) -> int | None:
    """A number of visits as it is shown (P6); None: some, too few to number."""
    return 0 if not visits else None if visits < rule.visits else max(_nearest(visits, 5) * 5, rule.visits)


# ── The neighbourhood's own officers ──────────────────────────────────────────────────────────────────────


def _share(summary: Summary, groups: _Groups, target: Fraction) -> PublicShare:
    figures = summary.figures
    share = Fraction(figures.on_patch, figures.duty)
    low, high = Fraction(figures.proven, figures.duty), Fraction(figures.possible, figures.duty)
    # Unknown time that does not pass must not be deducible from the upper bound either.
    sure_low = groups.pass_(lambda item: item.on_patch - item.proven)
    sure_high = groups.pass_(lambda item: item.possible - item.on_patch) and groups.pass_(UNKNOWN)
    shown = whole_percent(share, target)
    return PublicShare(
        share=shown,
        low=min(shown, whole_percent(low, target, floor, 1 if sure_low else 10)),
        high=max(shown, whole_percent(high, target, ceil, 1 if sure_high else 10)),
        verdict=str(summary.verdict),
        on_patch_hours=_nearest(figures.on_patch, 10 * HOUR) * 10,
        duty_hours=_nearest(figures.duty, 10 * HOUR) * 10,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """Time by one reason; ``given`` by officer."""

    key: str
    time: int
    given: Mapping[str, int]
    passes: bool


def _reasons(summary: Summary, groups: _Groups, share: PublicShare) -> tuple[PublicReason, ...]:
    """P3: the rest of duty time by reasons."""
    rule = groups.rule
    cells = [cell for cell in _cells(summary, groups) if cell.time]
    together = [cell for cell in cells if not cell.passes]
    alone = sorted((cell for cell in cells if cell.passes), key=lambda cell: (-cell.time, cell.key))

    def sound() -> bool:
        sums: dict[str, int] = defaultdict(int)
        for cell in together:
            for name, time in cell.given.items():
                sums[name] += time
        # Of several groups of duties only all reasons together are known to pass.
        return rule.passes(sums.values()) and groups.alike

    while together and alone and not sound():
        together.append(alone.pop())
    parts = [(cell.key, cell.time) for cell in alone]
    if together:
        parts.append((OTHER, sum(cell.time for cell in together)))
    units = _scale(share.share)
    shown = _apportioned([time for _, time in parts], round((100 - share.share) * units))
    return tuple(
        PublicReason(key=key, percent=value / units) for (key, _), value in zip(parts, shown, strict=True)
    )


def _scale(percent: float) -> int:
    """Into how many units a per cent is divided, for a share shown with decimals."""
    return Fraction(str(percent)).denominator


def _apportioned(times: Sequence[int], total: int) -> list[int]:
    """Whole numbers in the proportion of times that add up to a total (largest remainder)."""
    whole = sum(times)
    if not whole:
        return [0 for _ in times]
    parts = [time * total // whole for time in times]
    rest = sorted(range(len(times)), key=lambda at: (-(times[at] * total % whole), at))
    for at in rest[: total - sum(parts)]:
        parts[at] += 1
    return parts


def _cells(summary: Summary, groups: _Groups) -> list[_Cell]:
    """Time by reason, as fine as it is known who gave it."""
    found: list[_Cell] = []
    for activity, whole, reason in (("off_patch", AWAY, _off_patch), ("not_visible", HIDDEN, _not_visible)):
        items = [item for item in summary.away if item.activity == activity and item.time]
        given = [_given(item) for item in items]
        known = all(
            sum(times[0] for times in by.values()) == item.time for item, by in zip(items, given, strict=True)
        )
        if known and groups.alike:
            sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
            for item, by in zip(items, given, strict=True):
                for name, times in by.items():
                    sums[reason(item)][name] += times[0]
            fine = [
                _Cell(key, sum(by.values()), by, groups.rule.passes(by.values()))
                for key, by in sorted(sums.items())
            ]
            rough = _whole(summary, groups, whole, attrgetter(activity))
            found += [rough] if rough.passes and not all(cell.passes for cell in fine) else fine
        else:
            found.append(_whole(summary, groups, whole, attrgetter(activity)))
    return [*found, _whole(summary, groups, NO_SIGNAL, UNKNOWN)]


def _whole(summary: Summary, groups: _Groups, key: str, part: Callable[[Figures], int]) -> _Cell:
    return _Cell(
        key,
        part(summary.figures),
        {officer.officer_id: part(officer.figures) for officer in summary.officers},
        groups.pass_(part),
    )


def _off_patch(item: Away) -> str:
    return CALL if item.state_name in CALLS else OTHER_WORK


def _not_visible(item: Away) -> str:
    # A state that is not visible decides before the premises do (rule 11); the others are named by no state.
    if item.state_name in IN_CUSTODY:
        return CUSTODY
    return STATION if item.premises else UNAVAILABLE


# ── Priority areas ────────────────────────────────────────────────────────────────────────────────────────


def _area(item: PriorityArea, rule: Rule) -> PublicArea:
    figures = item.figures
    given = _given(item)
    known = sum(times[0] for times in given.values()) == figures.officer_time
    bare = PublicArea(
        area_id=item.area_id,
        name=item.name,
        issue=item.issue,
        days=item.days,
        hours=item.hours,
        always=item.always,
        state=FEW,
    )
    if not figures.visits and not figures.officer_time:
        return replace(bare, state=NOBODY)
    if not known or not rule.passes(times[0] for times in given.values()):
        return bare
    by_length = tuple(_count(visits, rule) for visits in figures.visits_by_length)
    numbered = [visits for visits in by_length if visits is not None]
    outside = figures.patrol_time - figures.patrol_time_in_window
    apart = (
        not item.always
        and rule.passes(times[1] for times in given.values())
        and rule.passes(times[0] - times[1] for times in given.values())
    )
    own, other = _nearest(figures.patrol_time_in_window, HOUR), _nearest(outside, HOUR)
    return replace(
        bare,
        state=SHOWN,
        visits=None if None in by_length and not sum(numbered) else sum(numbered),
        by_length=by_length,
        patrol_hours=own + other if apart else _nearest(figures.patrol_time, HOUR),
        in_hours=own if apart else None,
        out_of_hours=other if apart else None,
        never_in_hours=not figures.patrol_time_in_window,
    )
