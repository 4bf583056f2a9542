"""Restatements as JSON (rule 20), for the commands and the API: figures before and after, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from stream.core.calendar import Period, rfc3339
from stream.core.json_types import Count, Part, Seconds, Time, told
from stream.core.live.share_event import Scope, Verdict
from stream.core.shares import seconds
from stream.store.records import CAUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.records import Restated, Restatement

Cause = Annotated[str, Meta(extra_json_schema={"enum": list(CAUSES)})]


class FigureOnRecordJson(msgspec.Struct, frozen=True):
    """A figure as it was put on record; null is what was not counted then."""

    break_s: Seconds
    not_visible_s: Seconds
    unknown_s: Seconds
    on_patch_s: Seconds
    off_patch_s: Seconds
    priority_s: Seconds
    ambiguous_on_patch_s: Seconds | None
    ambiguous_other_s: Seconds | None
    doubtful_s: Seconds | None
    share: Part | None
    share_low: Part | None
    share_high: Part | None
    verdict: Verdict | None


class RestatedFigureJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """A figure before and after a restatement; null where there was, or is, none."""

    week: Annotated[
        str, Meta(description="An ISO week; of a month whose reports were published again, like 2026-10.")
    ]
    scope: Scope
    id: str
    target: Annotated[Part, Meta(description="In force at the start of the week or month, as of now.")]
    before: FigureOnRecordJson | None
    after: FigureOnRecordJson | None
    name: Annotated[
        str, Meta(description="What the neighbourhood or officer was called last; left out where not known.")
    ] = ""


class RestatementOnRecordJson(msgspec.Struct, frozen=True):
    """A restatement (rule 20): when, why, by whom, and the figures that it changed."""

    restatement: Annotated[int, Meta(description="Its number.")]
    cause: Cause
    version: Annotated[
        int | None, Meta(description="Of the boundaries or the policy, where they are the cause.")
    ]
    counted_anew_from: Time
    recorded_at: Time
    recorded_by: str
    why: str
    figures: Annotated[Count, Meta(description="How many of its figures are asked for.")]
    restated: tuple[RestatedFigureJson, ...]


def restatement_json(
    item: Restatement, policies: Policies, names: Mapping[tuple[str, str], str]
) -> RestatementOnRecordJson:
    """A restatement; names by scope and id, as ``RestatementPage`` has them."""
    return told(
        RestatementOnRecordJson,
        item,
        restatement=item.number,
        counted_anew_from=rfc3339(item.since),
        restated=tuple(
            figure_before_and_after(part, policies, names.get((part.scope, part.id), ""))
            for part in item.restated
        ),
    )


def figure_before_and_after(item: Restated, policies: Policies, name: str = "") -> RestatedFigureJson:
    """One figure before and after; times in seconds."""
    target = target_of(item, policies)
    return RestatedFigureJson(
        item.week,
        item.scope,
        item.id,
        target,
        _figure(item.before, item, target),
        _figure(item.after, item, target),
        name,
    )


def target_of(item: Restated, policies: Policies) -> float:
    """The target in force at the start of its week or month."""
    return policies.at(Period.called(item.week).start).target


def _figure(found: Figures | None, item: Restated, target: float) -> FigureOnRecordJson | None:
    if found is None:
        return None
    bounded = item.bounded
    return told(
        FigureOnRecordJson,
        found,
        ambiguous_on_patch_s=seconds(found.ambiguous_on) if bounded else None,
        ambiguous_other_s=seconds(found.ambiguous_off) if bounded else None,
        doubtful_s=seconds(found.doubtful) if item.doubted else None,
        share_low=found.share_low if bounded else None,
        share_high=found.share_high if bounded else None,
        verdict=found.verdict(target) if bounded else None,
    )
