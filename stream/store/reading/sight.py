"""Looking: what the live page and the watch for alerts see.

Reads only: it asks ``screen`` and lets the core say what it means. The last day is looked at less often than
the growing ends, so that a large force does not cost more than it should.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream.core.facts import SECOND
from stream.core.live.overview import Depth, LiveShare, Picture, Presence, deepen, of_duties, picture_shares
from stream.core.live.projection import LOOK_BACK
from stream.core.live.scopes import KeptScopes
from stream.core.live.watched import watch_depth, watched_shares
from stream.settings import EVENTS
from stream.store.policies import Known
from stream.store.reading.screen import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from geo.areas import AreaSet
    from stream.clock import Clock
    from stream.core.policy import Policies
    from stream.settings import Settings
    from stream.store.schema import Connection

DEEP_SHARE = 20
"""The last day is looked at anew after so many times the time that it took, once a second at most."""

WHILE_S, GAIN_S = 30.0, 3.0
"""Late positions catch up where the newest has become so much younger within so long, seconds."""

LIVE, LATE, STALE, EMPTY = "live", "late", "stale", "empty"
AWAY, SILENT, SCHEMA, FAULT, WORKER = "away", "silent", "schema", "fault", "worker"
TROUBLES = (AWAY, SILENT, SCHEMA, FAULT, WORKER)


@dataclass(frozen=True, slots=True)
class Fresh:
    """How old the data are; ``state`` is one of ``live``, ``late``, ``stale``, ``empty``.

    Attributes:
        newest: the newest event's time, microseconds; None where there is none, or it is not known.
        age_s: how long ago any device was last heard by the wall clock, a position that is dated ahead from
            when it was seen to come, and None where nobody saw that; in a replay, how long ago the newest one
            came.
        lag_s: how old the newest event was when it was first seen here; None in a replay, and where it was
            dated ahead.
        text: in plain words.
        trouble: why nothing can be read: ``away``, ``silent``, ``schema`` or ``fault``; or ``worker``: nobody
            counts, or looks for alerts; empty where all is well.
        worker_silent_s: how long ago the worker that watches was last heard of; None where none ever was, or
            nobody looked.
    """

    newest: int | None
    age_s: float | None
    lag_s: float | None
    state: str
    text: str
    trouble: str = ""
    worker_silent_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What is seen at an instant.

    Attributes:
        presence: of the picture's duties, from their growing ends.
    """

    picture: Picture
    presence: Presence
    depth: Depth
    shares: tuple[LiveShare, ...]
    fresh: Fresh


@dataclass(slots=True)
class Pace:
    """Whether positions that are late become less late.

    What comes every half minute is now older, now newer: so the least age of a while is compared with that of
    the while before.
    """

    _ages: list[tuple[float, float]] = field(default_factory=list)

    def gains(self, age_s: float, steady: float) -> bool:
        """Whether they do, up to now.

        Args:
            age_s: how old the newest position is.
            steady: when that was seen, by a monotonic clock, seconds.
        """
        self._ages = [(at, age) for at, age in self._ages if steady - at < 2 * WHILE_S]
        self._ages.append((steady, age_s))
        lately = min(age for at, age in self._ages if steady - at < WHILE_S)
        before = min((age for at, age in self._ages if steady - at >= WHILE_S), default=lately)
        return lately < before - GAIN_S


@dataclass(slots=True, eq=False)
class Eyes:
    """Sees how things are, and remembers what seldom changes; for one thread at a time.

    Args:
        settings: clock, how old data may be.
        wall: the clock, microseconds since 1970.
        steady: a monotonic clock, seconds.
    """

    settings: Settings
    wall: Clock
    steady: Callable[[], float] = time.monotonic
    known: Known = field(default_factory=Known)
    _reader: Reader = field(default_factory=Reader)
    _scopes: KeptScopes = field(default_factory=KeptScopes)
    _depth: Depth | None = None
    _depth_areas: AreaSet | None = None
    _deep_next: float = 0.0
    _seen: tuple[int, int] = (-FOREVER, -FOREVER)
    _came: float = 0.0
    _lag: float | None = None
    _pace: Pace = field(default_factory=Pace)

    @property
    def policies(self) -> Policies:
        """The policies in force when things were last looked at."""
        return self.known.policies

    def look(self, connection: Connection) -> Sight:
        """Reads all there is to see.

        Args:
            connection: outside any transaction.

        Raises:
            psycopg.Error: the database is away.
        """
        policies, wall = self.known.now(connection), self.wall()
        picture = self._reader.picture(connection, self.settings.clock, wall)
        now = picture.as_of
        began = self.steady()
        depth = self._depth
        if depth is None or began >= self._deep_next or picture.areas is not self._depth_areas:
            depth = deepen(self._reader.tracks(connection, now), picture.areas, policies)
            self._depth, self._depth_areas = depth, picture.areas
            self._deep_next = began + max(0.9, DEEP_SHARE * (self.steady() - began))
        usual, least = int(self.settings.shift_s * SECOND), self.settings.projection_done
        shown, shares = picture_shares(picture, depth, policies, usual, least)
        return Sight(picture, shown, depth, shares, self._fresh(picture, wall))

    def watch(self, connection: Connection) -> Sight:
        """Reads what alerts depend on, all as of one instant: no units, and no figures of officers.

        Args:
            connection: outside any transaction.

        Raises:
            psycopg.Error: the database is away.
        """
        policies, wall = self.known.now(connection), self.wall()
        picture, tracks, covered = self._reader.watch(connection, self.settings.clock, wall, policies)
        now, usual = picture.as_of, int(self.settings.shift_s * SECOND)
        grounds = picture.areas.names(Kind.NEIGHBOURHOOD)
        tally = self._scopes.of(picture.duties, grounds).tally(picture, now, policies)
        depth = watch_depth(tracks, covered, picture.areas, policies)
        recent = of_duties(tracks.slices, tracks.running)
        recent = recent.take((recent.end > now - LOOK_BACK) & (recent.start < now))
        shares = watched_shares(tally, picture, recent, usual, self.settings.projection_done)
        return Sight(picture, tally.shown, depth, tuple(shares), self._fresh(picture, wall))

    def _fresh(self, picture: Picture, wall: int) -> Fresh:
        newest, heard, steady = picture.newest, picture.heard, self.steady()
        replayed = self.settings.clock == EVENTS
        if newest == -FOREVER:
            return Fresh(None, None, None, EMPTY, "No positions yet: nothing has been received.")
        ahead = 0.0 if replayed else max(0.0, (newest - wall) / SECOND)
        if (newest, heard) != self._seen:
            first = self._seen[0] == -FOREVER
            self._lag = None if replayed or first or ahead else (wall - newest) / SECOND
            self._seen, self._came = (newest, heard), steady
        quiet = steady - self._came
        limit = self.settings.stale_s
        odd = f" One is dated {spell(ahead)} ahead: the clock of its device is wrong." if ahead >= 1 else ""
        if not replayed and heard == -FOREVER:
            return Fresh(newest, None, None, LIVE, f"Live: positions are there, none with a past time.{odd}")
        age = quiet if replayed else (wall - heard) / SECOND
        if age <= limit:
            return Fresh(newest, age, self._lag, LIVE, f"Live: the newest position is {spell(age)} old.{odd}")
        if quiet <= limit and self._lag is not None:
            how = "Catching up" if self._pace.gains(age, steady) else "Late"
            text = f"{how}: positions are arriving, and the newest is {spell(age)} old."
            return Fresh(newest, age, self._lag, LATE, text)
        return Fresh(newest, age, self._lag, STALE, f"Stale: no new position for {spell(age)}.")


def spell(age_s: float) -> str:
    """A time in words."""
    if age_s < 90:
        return f"{age_s:.0f} s"
    if age_s < 5400:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3600:.0f} h" if age_s < 172_800 else f"{age_s / 86_400:.0f} days"
