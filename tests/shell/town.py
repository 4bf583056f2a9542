"""A town of two neighbourhoods, written straight into the database: for tests of what shows.

Facts come in through the ledger, as the worker does it, so that what is read is what would be there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import shapely

from geo.areas import Area, AreaSet, Kind
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.store import areas as tables
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.shell.stored import database_called
from tests.strategies import fix_columns, micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

NOON = micros("2026-11-16T12:00:00+00:00")
MINUTE = 60 * SECOND

SPOTS = {
    "west": (-0.995, 52.505),
    "west vertex": (-0.985, 52.515),
    "east": (-0.975, 52.505),
    "station": (-0.9905, 52.5105),
    "market": (-0.9955, 52.5155),
    "square": (-0.9655, 52.5155),
    "away": (-1.2, 52.7),
}
"""Places by name: the market is a priority area of the west, the square one of the east."""

TOWN = AreaSet.of(
    [
        Area(Kind.NEIGHBOURHOOD, "N1", "Westcotes", shapely.box(-1.00, 52.50, -0.98, 52.52)),
        Area(Kind.NEIGHBOURHOOD, "N2", "Eastgate <b>", shapely.box(-0.98, 52.50, -0.96, 52.52)),
        Area(Kind.PREMISES, "S1", "West Street station", shapely.box(-0.991, 52.510, -0.990, 52.511)),
        Area(
            Kind.PRIORITY,
            "P1",
            "the market",
            shapely.box(-0.996, 52.515, -0.995, 52.516),
            {"issue": "theft", "days": "Mon-Sun", "hours": "11:00-18:00"},
        ),
        Area(
            Kind.PRIORITY,
            "P2",
            "the square",
            shapely.box(-0.966, 52.515, -0.965, 52.516),
            {"issue": "violence", "days": "Fri,Sat", "hours": "20:00-04:00"},
        ),
    ]
)


def duty(officer: str, patch: str, start: int, end: int | None, *devices: Allocation) -> Duty:
    """A duty of an officer, with a radio called after them and perhaps more."""
    radio = Allocation(f"R{officer[1:]}", "radio")
    return Duty(
        f"D-{officer}",
        1,
        officer,
        start,
        end,
        (patch,),
        (radio, *devices),
        name=f"PC {officer}",
        role="npt",
        team=patch,
    )


@dataclass(slots=True)
class Town:
    """The town in a database of its own.

    Attributes:
        now: how far positions have been told, microseconds.
        areas: its boundaries.
        offset: how many messages were heard.
    """

    dsn: str
    now: int = NOON
    areas: AreaSet = TOWN
    offset: int = 0
    _connection: Connection | None = None
    _ledger: Ledger | None = None
    _where: dict[str, str] = field(default_factory=dict)

    def begin(self, *duties: Duty) -> Town:
        """Makes the schema, publishes the areas and books officers on."""
        self._connection = connect(self.dsn, name="town")
        migrate(self._connection)
        for kind in Kind:
            tables.publish(self._connection, self.areas, kind, 0, file="town", sha256="-", by="test")
        self._ledger = Ledger(self._connection)
        self.book(*duties)
        return self

    @property
    def connection(self) -> Connection:
        """A connection."""
        assert self._connection is not None
        return self._connection

    @property
    def ledger(self) -> Ledger:
        """Writes facts."""
        assert self._ledger is not None
        return self._ledger

    def book(self, *duties: Duty) -> None:
        """Books officers on."""
        self.ledger.bookings(duties, ())

    def key(self, officer: str, state: int) -> None:
        """An officer keys a state now."""
        self.ledger.bookings((), [StateReport(officer, self.now, state)])

    def put(self, **where: str) -> None:
        """Says where devices are from now on; an empty word: silent."""
        self._where.update(where)

    def go(self, minutes: float, step_s: float = 10.0) -> int:
        """Time goes on: every device that is not silent tells its position again and again.

        Returns:
            the time then.
        """
        end = self.now + int(minutes * MINUTE)
        step = int(step_s * SECOND)
        times = range(self.now + step, end + 1, step)
        rows = [
            (device, time, *SPOTS[spot], None)
            for device, spot in sorted(self._where.items())
            if spot
            for time in times
        ]
        if rows:
            self.ledger.positions(fix_columns(rows))
        self.now = end
        return end

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()


@contextlib.contextmanager
def town_called(server: EmbeddedDatabase, name: str) -> Iterator[Town]:
    """A town in a database of that name, which is empty until it begins."""
    with database_called(server, name) as dsn, contextlib.closing(Town(dsn)) as town:
        yield town
