"""Four weeks of the made-up quarter in a database, two of them published, and the web process over it.

For tests of the weekly pages: the clocks go back in the second week, boundaries change amid the fourth, which
still runs when the facts end.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import Period
from stream.core.stays import take
from stream.store import areas, reports
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect, migrate
from tests.quarter import POLICIES, after, before_it_is_over, local, quarter
from tests.shell.screen import Web, web_with
from tests.shell.stored import database_called, put_in_force

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

BEGIN, END = local(after(4)), local(after(7, 3), 12, 34)
WEEKS = ("2026-W42", "2026-W43", "2026-W44", "2026-W45")
"""The weeks with facts; the first three are over."""

PUBLISHED_AT = local(after(7), 6)
OFFICERS = 16

POLICY = """
[[policy]]

[[policy]]
from = 2026-10-22
target = 0.55
visit_min_s = 180
states.3 = { name = "waiting", counts = "not_visible" }
states.5 = { name = "on the way" }
"""
"""``tests.quarter.POLICIES`` as a file."""


@dataclass(slots=True)
class WeeklySite:
    """The web process and what it reads."""

    web: Web
    dsn: str

    @property
    def address(self) -> str:
        """Where the pages are."""
        return self.web.address

    def summary(self, week: str, area_id: str) -> Summary:
        """A summary as it is counted now."""
        with connect(self.dsn) as connection:
            period = Period.week(week)
            [found] = summaries(connection, POLICIES, period, area_ids=[area_id], now=END)
        return found


def fill(connection: Connection) -> None:
    """Writes the facts as a worker does, and publishes the second and the third week."""
    migrate(connection)
    put_in_force(connection, POLICIES)
    for kind, found, since in before_it_is_over():
        areas.publish(connection, found, kind, since, file=f"{kind}.gpkg", sha256="ab", by="test")
    facts = quarter(officers=OFFICERS)
    duties = [duty for duty in facts.duties if BEGIN <= duty.start < local(after(8))]
    fixes = take(facts.fixes, (facts.fixes.time >= BEGIN) & (facts.fixes.time < END))
    states = [state for state in facts.states if BEGIN <= state.time < END]
    ledger = Ledger(connection)
    ledger.bookings(duties, states)
    for part in np.array_split(np.arange(len(fixes)), 6):
        ledger.positions(take(fixes, part))
    connection.execute("vacuum analyze")
    for week in WEEKS[1:3]:
        listed = summaries(connection, POLICIES, Period.week(week), now=PUBLISHED_AT)
        reports.publish(connection, list(listed), by="the timer", now=PUBLISHED_AT)


@contextlib.contextmanager
def weekly_site(
    server: EmbeddedDatabase, weeks: str, name: str, folder: Path, **settings: str
) -> Iterator[WeeklySite]:
    """A copy of the database with the weeks in it, and the web process.

    Args:
        server: where the databases are.
        weeks: the name of the database that :func:`fill` has filled.
        name: of the copy.
        folder: for the policy's file.
        settings: further settings of the process.
    """
    policy = folder / "policy.toml"
    policy.write_text(POLICY, "utf-8")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PATROL_")}
    given = {"policy": str(policy), "clock": "events"} | settings
    with (
        database_called(server, name, template=weeks) as dsn,
        web_with(plain, database=dsn, **given) as web,
    ):
        yield WeeklySite(web, dsn)
