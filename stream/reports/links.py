"""Where the numbers of a summary lead: to what they are made of.

A protocol and nothing else: the web gives it, a file has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stream.core.summaries.model import Away, DutyLine, Hour, Past, PriorityArea, TeamFacts
    from stream.reports.grid import GridColumn, GridRow, Table

PARTS = (
    *("duty", "on_patch", "on", "priority", "off_patch", "not_visible", "premises", "status", "unknown"),
    *("break", "doubt"),
)
"""What time can be asked for: all duty time, that on patch, its part outside priority areas and in them, off
patch, not visible, the part of it in premises and by radio status, unknown, breaks, and what the errors
of positions leave open."""


class Links(Protocol):
    """Addresses; an empty one means no link."""

    def time(self, part: str, *, officer: str = "", duty: str = "") -> str:
        """Of the neighbourhood's time, or an officer's, or a duty's; ``part`` is one of ``PARTS``."""
        ...

    def hour(self, hour: Hour, part: str = "duty") -> str:
        """Of the time in an hour."""
        ...

    def away(self, item: Away) -> str:
        """Of a line of the abstraction."""
        ...

    def visits(
        self, area: PriorityArea, *, length: int | None = None, own_hours: bool = False, others: bool = False
    ) -> str:
        """Of the visits to a priority area; ``length`` from 0 to 3."""
        ...

    def crewing(self, hour: int | None) -> str:
        """Of vehicle time in an hour of the day; None: all day."""
        ...

    def team(self, team: TeamFacts) -> str:
        """Of a team's officers and their time in it."""
        ...

    def duty(self, duty: DutyLine) -> str:
        """A duty from its beginning to its end."""
        ...

    def period(self, past: Past) -> str:
        """The same neighbourhood's summary of another period."""
        ...


def href(links: Links | None, table: Table, row: GridRow, column: GridColumn, *, first: bool) -> str:
    """The link of a cell of a table.

    Args:
        links: None: nowhere.
        table: of which the cell is.
        row: its line.
        column: its column.
        first: it heads the row.
    """
    if links is None or row.of is None or not (first or column.key):
        # The line for the whole day heads no hour, but has a page of its own.
        return links.crewing(None) if links is not None and table.name == "crewing" and column.key else ""
    of, key = row.of, column.key
    if table.name == "trend":
        return links.period(of)
    if table.name == "officers":
        return links.time(key or "duty", officer=of.officer_id)
    if table.name == "duties":
        officer, duty = of
        return "" if first else links.time(key, officer=officer.officer_id, duty=duty.duty_id)
    if table.name == "priority_areas":
        return links.visits(
            of,
            length=int(key[-1]) if key.startswith("length") else None,
            own_hours=key == "own_hours",
            others=key == "others",
        )
    if table.name == "abstraction":
        return links.away(of)
    if table.name == "crewing":
        return links.crewing(of)
    return links.team(of) if table.name == "teams" else ""
