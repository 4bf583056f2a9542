"""Addresses of the weekly pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from stream.web.weeks.questions import query_of

if TYPE_CHECKING:
    from stream.core.summaries.parts import (
        Question,
    )


Link = tuple[str, str]
"""Words and where they lead; an empty address: nowhere."""


def week_path(week: str, area_id: str = "", *rest: str, **query: str) -> str:
    """The address of a week, of a neighbourhood's, or of what is behind it."""
    parts = ["/weeks", week, *([quote(area_id, safe="")] if area_id else [])]
    parts += [quote(item, safe="") for item in rest]
    said = urlencode([(key, value) for key, value in query.items() if value])
    return "/".join(parts) + (f"?{said}" if said else "")


def month_path(month: str, area_id: str = "") -> str:
    """The address of a month for residents, or of a neighbourhood's."""
    return f"/months/{month}" + (f"/{quote(area_id, safe='')}" if area_id else "")


def restated_path(**query: str) -> str:
    """The address of what has been restated, of all or of what is asked for."""
    said = urlencode([(key, value) for key, value in query.items() if value])
    return "/restatements" + (f"?{said}" if said else "")


def parts_path(week: str, area_id: str, question: Question) -> str:
    """The address of a number's parts."""
    said = query_of(question, page=question.page)
    return week_path(week, area_id, "parts") + (f"?{said}" if said else "")


def duty_path(week: str, duty_id: str, start: int = 0, end: int = 0) -> str:
    """The address of a duty, with a stretch of it marked."""
    path = week_path(week, "duties", duty_id)
    return f"{path}?from={start // 1000}&to={-(-end // 1000)}#shown" if end else path


def live_officer(officer_id: str, duty_id: str) -> str:
    """Where the live page shows an officer's duty on the map, with playback."""
    return f"/#/o/{quote(officer_id, safe='')}/d/{quote(duty_id, safe='')}"


@dataclass(frozen=True, slots=True)
class Which:
    """Which visits are asked about; None: all.

    Attributes:
        length: 0 to 3.
        others: made by other teams.
        own_hours: with any time in the area's own hours.
    """

    length: int | None = None
    others: bool = False
    own_hours: bool = False

    def query(self) -> dict[str, str]:
        """As parameters."""
        return {
            "length": "" if self.length is None else str(self.length),
            "others": "1" if self.others else "",
            "in_hours": "1" if self.own_hours else "",
        }
