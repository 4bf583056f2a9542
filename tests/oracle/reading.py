"""Where two summaries differ, field by field, in words that a person can follow.

Values come in. Rows are held against each other by what they are of (an hour, an area, an officer, a duty),
so that one row too many is one difference. Left out is what is no number of the figures: sentences, and whose
name a figure carries (``scope``, ``id``) where it stands under an officer or a duty.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from stream.core.summaries.model import (
    Away,
    BoundaryVersion,
    DutyLine,
    FactFinding,
    FigureChange,
    Hour,
    OfficerSummary,
    Past,
    PriorityArea,
    Summary,
    TeamFacts,
)
from tests.oracle.summaries import Judged, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stream.core.shares import Figures

KEYS: dict[type, Callable[[Any], object]] = {
    Past: lambda item: item.name,
    Hour: lambda item: (item.day, item.hour, item.again),
    PriorityArea: lambda item: item.area_id,
    Away: lambda item: (item.activity, item.neighbourhood, item.premises, item.state, item.state_name),
    OfficerSummary: lambda item: item.officer_id,
    DutyLine: lambda item: item.duty_id,
    TeamFacts: lambda item: item.team,
    BoundaryVersion: lambda item: (item.kind, item.version),
    FigureChange: lambda item: item.number,
    FactFinding: lambda item: (item.finding, item.scope, item.id, item.day, item.detail),
}
"""What a row is of."""

WORDS = frozenset({"said", "turning", "scope", "id", "form"})
"""Fields that are not compared."""

NAMED = frozenset({"neighbourhood_name", "premises_name"})
"""Names that are compared only where an area in force in the period has one: what lies outside all areas, or
in one of long ago, may be called as one likes."""


def differences(rules: Summary, found: Summary) -> list[str]:
    """One line for each number that is another; none where the summaries agree.

    Args:
        rules: as the oracle counts it.
        found: as the program does.
    """
    lines = list(_differ("", rules, found))
    for name, figures, target in _figures(found):
        lines += _judge(name, figures, target)
    times = [item.time for item in found.away]
    if times != sorted(times, reverse=True):
        lines.append("away: not in the order of the time")
    return lines


def _differ(path: str, rules: Any, found: Any) -> Iterator[str]:
    if is_dataclass(rules) and type(rules) is type(found):
        for field in fields(rules):
            if field.name in WORDS or (field.name in NAMED and not _named(rules, field.name)):
                continue
            name = f"{path}.{field.name}" if path else field.name
            yield from _differ(name, getattr(rules, field.name), getattr(found, field.name))
    elif (
        isinstance(rules, tuple)
        and isinstance(found, tuple)
        and {type(row) for row in rules + found} & set(KEYS)
    ):
        yield from _rows(path, rules, found)
    elif rules != found:
        yield f"{path}: {_shown(rules)} by the rules, {_shown(found)} in the summary"


def _named(row: object, name: str) -> bool:
    return bool(getattr(row, name) != getattr(row, name.removesuffix("_name")))


def _rows(path: str, rules: Sequence[Any], found: Sequence[Any]) -> Iterator[str]:
    key = KEYS[type((*rules, *found)[0])]
    ours, theirs = {key(row): row for row in rules}, {key(row): row for row in found}
    if len(theirs) < len(found):
        yield f"{path}: the summary has rows that are of the same"
    for name in ours.keys() - theirs.keys():
        yield f"{path}[{_label(name)}]: by the rules there, {_shown(ours[name])}; missing in the summary"
    for name in theirs.keys() - ours.keys():
        yield f"{path}[{_label(name)}]: in the summary, {_shown(theirs[name])}; not by the rules"
    for name, row in ours.items():
        if name in theirs:
            yield from _differ(f"{path}[{_label(name)}]", row, theirs[name])
    # The order of equals is nobody's to say, and time decides that of abstraction.
    if ours.keys() == theirs.keys() and list(ours) != list(theirs) and not isinstance(rules[0], Away):
        yield f"{path}: the rows stand in another order: {list(map(_label, theirs))}"


def _label(name: object) -> str:
    return " ".join(str(part) for part in name) if isinstance(name, tuple) else str(name)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value!r}"


def _figures(found: Summary) -> Iterator[tuple[str, Figures, float]]:
    target = found.basis.target
    yield "figures", found.figures, target
    for past in found.past:
        if past.figures is not None:
            yield f"past[{past.name}]", past.figures, past.target
    for officer in found.officers:
        yield f"officers[{officer.officer_id}]", officer.figures, target
        for line in officer.duties:
            yield f"officers[{officer.officer_id}].duties[{line.duty_id}]", line.figures, target


def _judge(path: str, figures: Figures, target: float) -> Iterator[str]:
    """The share, its bounds and verdict as the summary's own figures give them, against fractions."""
    want = judged(figures, target)
    have = (figures.share, figures.share_low, figures.share_high, figures.verdict(target))
    exact = (
        (None,) * 4 if want is None else (float(want.share), float(want.low), float(want.high), want.verdict)
    )
    for name, ours, theirs in zip(Judged._fields, exact, have, strict=True):
        if ours != theirs:
            yield f"{path}.{name}: {ours} by the rules, {theirs} in the summary"


def parts_that_do_not_add_up(found: Summary) -> list[str]:
    """What must be equal within one summary, whoever counted it; none where all is well."""
    lines = []

    def equal(what: str, parts: int, whole: int) -> None:
        if parts != whole:
            lines.append(f"{what}: the parts make {parts:,}, the whole is {whole:,}")

    whole = found.figures
    for name in ("on_patch", "priority", "off_patch", "not_visible", "unknown", "on_break"):
        equal(f"hours, {name}", sum(getattr(hour, name) for hour in found.hours), getattr(whole, name))
        for officer in found.officers:
            equal(
                f"duties of {officer.officer_id}, {name}",
                sum(getattr(line.figures, name) for line in officer.duties),
                getattr(officer.figures, name),
            )
    for name in (
        "on_patch",
        "off_patch",
        "not_visible",
        "unknown",
        "on_break",
        "ambiguous_on",
        "ambiguous_off",
    ):
        equal(
            f"officers, {name}",
            sum(getattr(officer.figures, name) for officer in found.officers),
            getattr(whole, name),
        )
    for name in ("off_patch", "not_visible"):
        equal(
            f"abstraction, {name}",
            sum(item.time for item in found.away if item.activity == name),
            getattr(whole, name),
        )
    for area in found.areas:
        equal(f"visits of {area.area_id}", sum(area.figures.visits_by_length), area.figures.visits)
    equal("crewing, single", sum(found.crewed.single_by_hour), found.crewed.single)
    equal("crewing, double", sum(found.crewed.double_by_hour), found.crewed.double)
    equal("hours, their length", sum(hour.end - hour.start for hour in found.hours), found.end - found.start)
    return lines
