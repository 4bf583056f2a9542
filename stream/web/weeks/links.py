"""Where the numbers of a weekly summary lead on the web: ``stream.reports.links.Links`` as addresses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stream.core.summaries.parts import (
    BESIDE,
    DOUBT,
    NOWHERE,
    PREMISES_DECIDE,
    PRIORITY,
    STATUS_DECIDES,
    Question,
)
from stream.core.summaries.parts import NONE as NOT_ANY
from stream.web.weeks.paths import Which, duty_path, parts_path, week_path

if TYPE_CHECKING:
    from stream.core.summaries.model import Away, DutyLine, Hour, Past, PriorityArea, TeamFacts

QUESTIONS = {
    "duty": Question(),
    "on_patch": Question(activity="on_patch"),
    "on": Question(activity="on_patch", of=BESIDE),
    "priority": Question(activity="on_patch", of=PRIORITY),
    "off_patch": Question(activity="off_patch"),
    "not_visible": Question(activity="not_visible"),
    "premises": Question(activity="not_visible", because=PREMISES_DECIDE),
    "status": Question(activity="not_visible", because=STATUS_DECIDES),
    "unknown": Question(activity="unknown"),
    "break": Question(activity="break"),
    "doubt": Question(of=DOUBT),
}
"""What is asked by each of ``stream.reports.links.PARTS``."""


@dataclass(frozen=True, slots=True)
class WeekLinks:
    """The addresses behind one neighbourhood's week."""

    week: str
    area_id: str

    def _parts(self, part: str, **more: str) -> str:
        return parts_path(self.week, self.area_id, replace(QUESTIONS[part], **more))

    def time(self, part: str, *, officer: str = "", duty: str = "") -> str:
        """Of the neighbourhood's time, or an officer's, or a duty's part of it."""
        return self._parts(part, officer="" if duty else officer, duty=duty)

    def hour(self, hour: Hour, part: str = "duty") -> str:
        """Of the time in an hour."""
        return self._parts(part, day=hour.day, hour=str(hour.hour), again="1" if hour.again else "")

    def away(self, item: Away) -> str:
        """Of a line of the abstraction."""
        question = Question(
            activity=item.activity,
            where=item.neighbourhood or NOWHERE,
            premises=item.premises or NOT_ANY,
            state=str(item.state),
            called=item.state_name,
        )
        return parts_path(self.week, self.area_id, question)

    def visits(
        self, area: PriorityArea, *, length: int | None = None, own_hours: bool = False, others: bool = False
    ) -> str:
        """Of the visits to a priority area."""
        which = Which(length, others, own_hours)
        return week_path(self.week, self.area_id, "visits", area.area_id, **which.query())

    def crewing(self, hour: int | None) -> str:
        """Of vehicle time in an hour of the day; None: all day."""
        return week_path(self.week, self.area_id, "crewing", hour="" if hour is None else str(hour))

    def team(self, team: TeamFacts) -> str:
        """Of a team's officers and their time in it."""
        return week_path(self.week, self.area_id, "team")

    def duty(self, duty: DutyLine) -> str:
        """A duty from its beginning to its end."""
        return duty_path(self.week, duty.duty_id)

    def period(self, past: Past) -> str:
        """The same neighbourhood's summary of another week."""
        return week_path(past.name, self.area_id)
