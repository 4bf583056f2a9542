"""One figure as ``visibility.shares`` and the HTTP API say it. A core room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream.core.shares import seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.core.shares import Figures


def share_event(
    item: Figures, name: str, target: float, on_duty: int, on_patch: int, text: Callable[[int], str]
) -> dict[str, Any]:
    """A figure as published on ``visibility.shares``.

    Args:
        item: the figure; times become seconds.
        name: of the neighbourhood, the officer or the force.
        target: rule 13, 0 to 1.
        on_duty: officers now on duty.
        on_patch: those of them now on their patch.
        text: turns microseconds since 1970 into the event's time text.
    """
    return {
        "scope": item.scope,
        "id": item.id,
        "name": name,
        "from": text(item.start),
        "to": text(item.end),
        "duty_s": seconds(item.duty),
        "on_patch_s": seconds(item.on_patch),
        "off_patch_s": seconds(item.off_patch),
        "not_visible_s": seconds(item.not_visible),
        "unknown_s": seconds(item.unknown),
        "break_s": seconds(item.on_break),
        "priority_s": seconds(item.priority),
        "share": None if item.share is None else round(item.share, 6),
        "share_low": None if item.share_low is None else round(item.share_low, 6),
        "share_high": None if item.share_high is None else round(item.share_high, 6),
        "target": target,
        "verdict": item.verdict(target),
        "officers_on_duty": on_duty,
        "officers_on_patch": on_patch,
    }
