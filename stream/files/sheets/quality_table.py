"""``quality.csv``: what the facts are worth, by device and day, duty, officer, patch and input (rule 22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stream.core.quality.findings import FINDINGS, NO_SECONDS, SCOPES, day_text
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from stream.core.quality.findings import QualityFindings


def quality_table(found: QualityFindings) -> pa.Table:
    """``quality.csv``, in the order of the findings; ``day`` and ``seconds`` empty where there are none."""
    days = {day: day_text(day) for day in set(found.day.tolist())}
    return pa.table(
        {
            "scope": arrow.named(SCOPES, found.scope),
            "id": arrow.named(found.texts, found.id),
            "day": [days[day] for day in found.day.tolist()],
            "finding": arrow.named(FINDINGS, found.finding),
            "count": arrow.counts(found.count.tolist()),
            "seconds": [_seconds(us) for us in found.us.tolist()],
            "detail": arrow.named(found.texts, found.detail),
        }
    )


def _seconds(us: int) -> str:
    if us == NO_SECONDS:
        return ""
    return f"{'-' if us < 0 else ''}{abs(us) // 1_000_000}.{abs(us) % 1_000_000:06d}"
