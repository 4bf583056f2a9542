"""One figure in the form of ``visibility.shares`` and the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from stream.core.json_types import Count, Part, Seconds, Time, rounded, told
from stream.core.shares import REASONS, SCOPES, VERDICTS

if TYPE_CHECKING:
    from typing import TypeVar

    from stream.core.shares import Figures

    Made = TypeVar("Made", bound="FigureJson")

Scope = Annotated[str, Meta(extra_json_schema={"enum": list(SCOPES)})]
Verdict = Annotated[str, Meta(extra_json_schema={"enum": list(VERDICTS)})]
WithoutShare = Annotated[str, Meta(extra_json_schema={"enum": list(REASONS)})]


class FigureJson(msgspec.Struct, frozen=True):
    """A figure: duty time by activity, the share on patch with its bounds, and whether it met the target."""

    scope: Scope
    id: str
    name: Annotated[str, Meta(description="Of the neighbourhood, the officer or the force.")]
    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    duty_s: Annotated[Seconds, Meta(description="Time in duty less break, seconds.")]
    on_patch_s: Seconds
    off_patch_s: Seconds
    not_visible_s: Seconds
    unknown_s: Seconds
    break_s: Seconds
    priority_s: Seconds
    share: Annotated[
        Part | None,
        Meta(
            description="on_patch_s / duty_s; null where without_share says why there is none; then the "
            "bounds and the verdict are null too."
        ),
    ]
    share_low: Annotated[
        Part | None,
        Meta(
            description="The share without on-patch time that the error of the positions leaves open, or "
            "whose facts contradict each other."
        ),
    ]
    share_high: Annotated[
        Part | None,
        Meta(
            description="The share with unknown time, and other time that the error of the positions leaves "
            "open, or whose facts contradict each other."
        ),
    ]
    target: Annotated[Part, Meta(description="The share promised.")]
    verdict: Annotated[
        Verdict | None,
        Meta(
            description="met where share_low reaches the target, missed where share_high does not; else not "
            "proven."
        ),
    ]
    doubtful_s: Annotated[Seconds, Meta(description="Duty time whose facts contradict each other.")]
    without_share: Annotated[
        WithoutShare | None,
        Meta(
            description="Why there is no share: no_duty_time; no_home_patch; no_position, where nothing at "
            "all is known of the duty time; far, where no position of the whole force lies near any area. "
            "Null where there is one."
        ),
    ]


class ShareEvent(FigureJson, frozen=True):
    """A figure of the present, as published on ``visibility.shares``."""

    officers_on_duty: Annotated[Count, Meta(description="Officers now on duty.")]
    officers_on_patch: Annotated[Count, Meta(description="Those of them now on their patch.")]


def figure_json(item: Figures, name: str, target: float) -> FigureJson:
    """A figure by itself.

    Args:
        item: the figure; times become seconds.
        name: of the neighbourhood, the officer or the force.
        target: rule 13, 0 to 1.
    """
    return _figure(FigureJson, item, name, target)


def share_event(item: Figures, name: str, target: float, on_duty: int, on_patch: int) -> ShareEvent:
    """A figure as published on ``visibility.shares``.

    Args:
        item: the figure; times become seconds.
        name: of the neighbourhood, the officer or the force.
        target: rule 13, 0 to 1.
        on_duty: officers now on duty.
        on_patch: those of them now on their patch.
    """
    return _figure(ShareEvent, item, name, target, officers_on_duty=on_duty, officers_on_patch=on_patch)


def _figure(kind: type[Made], item: Figures, name: str, target: float, **more: int) -> Made:
    return told(
        kind,
        item,
        name=name,
        share=rounded(item.share),
        share_low=rounded(item.share_low),
        share_high=rounded(item.share_high),
        target=target,
        verdict=item.verdict(target),
        **more,
    )
