"""Restatements (rule 20) for the terminal: each figure before and after, in a table or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.calendar import rfc3339, week_bounds
from stream.core.shares import OFFICER, seconds
from stream.reports.view import reading

if TYPE_CHECKING:
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.publications import Publication
    from stream.store.records import Restated

COLUMNS = ("week", "whose", "on patch before", "after", "share before", "after")
"""The columns of a table of ``row``."""


def row(item: Restated, policies: Policies) -> tuple[str, ...]:
    """One figure before and after, for a table; the policies say each week's target."""
    whose = item.scope if item.id == item.scope else f"{item.scope} {item.id}"
    target = _target(item, policies)
    (hours, share), (hours_after, share_after) = (
        _words(figures, target, bounded=item.bounded) for figures in (item.before, item.after)
    )
    return item.week, whose, hours, hours_after, share, share_after


def _target(item: Restated, policies: Policies) -> float:
    return policies.at(week_bounds(item.week)[0]).target


def _words(figures: Figures | None, target: float, *, bounded: bool) -> tuple[str, str]:
    """Hours on patch, and the share with its bounds; the verdict where it is not on one officer."""
    if figures is None:
        return "–", "–"
    hours, found = f"{figures.on_patch / 3.6e9:,.2f} h", reading(figures, target)
    if found.verdict is None or not bounded:
        return hours, found.share_words
    verdict = "" if figures.scope == OFFICER else f", {found.verdict}"
    return hours, f"{found.share_words} ({found.low_words}–{found.high_words}{verdict})"


def outcome_json(outcome: Publication, policies: Policies) -> dict[str, object]:
    """A publication's outcome as JSON; times in seconds."""
    return {
        "versions": list(outcome.versions),
        "counted_anew_from": rfc3339(outcome.since),
        "devices": outcome.devices,
        "restatement": outcome.restatement,
        "restated": [as_json(item, policies) for item in outcome.restated],
    }


def as_json(item: Restated, policies: Policies) -> dict[str, object]:
    """One figure before and after as JSON; times in seconds. What was not counted then is null."""
    target = _target(item, policies)

    def figure(found: Figures | None) -> dict[str, float | str | None] | None:
        if found is None:
            return None
        bounded, doubted = item.bounded, item.doubted
        return {
            "break_s": seconds(found.on_break),
            "not_visible_s": seconds(found.not_visible),
            "unknown_s": seconds(found.unknown),
            "on_patch_s": seconds(found.on_patch),
            "off_patch_s": seconds(found.off_patch),
            "priority_s": seconds(found.priority),
            "ambiguous_on_patch_s": seconds(found.ambiguous_on) if bounded else None,
            "ambiguous_other_s": seconds(found.ambiguous_off) if bounded else None,
            "doubtful_s": seconds(found.doubtful) if doubted else None,
            "share": found.share,
            "share_low": found.share_low if bounded else None,
            "share_high": found.share_high if bounded else None,
            "verdict": found.verdict(target) if bounded else None,
        }

    return {
        "week": item.week,
        "scope": item.scope,
        "id": item.id,
        "target": target,
        "before": figure(item.before),
        "after": figure(item.after),
    }
