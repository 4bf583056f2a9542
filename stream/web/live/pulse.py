"""The pulse: the database is read once a second, whoever looks, and pages of equal rights get the same bytes.

While nobody listens it stands still. What changed is written out and compressed once; pages keep no queue of
their own but a number, how far in the last minute's news they have come. Who falls behind gets a new
snapshot, so that a slow reader costs nobody memory.

Pages of viewers with equal rights form a group: of what was read once, each group is told what it may see
(``stream.web.live.seen``), and all its pages get the same bytes.

Compression: the news of every pulse is a run of deflate blocks that ends with a full flush, so it means the
same to everybody, whatever came before; each page has a gzip header of its own before the first of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import zlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import shapely
from msgspec import UNSET, UnsetType

from geo.areas import Kind
from geo.matching.history import FOREVER
from stream.core.calendar import rfc3339
from stream.core.explaining.parts import area_names
from stream.core.explaining.wording import Named
from stream.core.facts import SECOND
from stream.core.json_types import Time
from stream.core.live.overview import nobody_since
from stream.core.shares import FORCE, OFFICER
from stream.settings import EVENTS
from stream.store import alerts
from stream.store.bounded import NoAnswerError
from stream.store.reading.sight import AWAY, FAULT, SCHEMA, SILENT, STALE, WORKER, Eyes, Fresh, spell
from stream.store.schema import SchemaError
from stream.web.access.reach import EVERYTHING
from stream.web.live import figures
from stream.web.live.seen import Moment, officers_of, seen
from stream.web.live.units import ShownUnit, UnitColumnsJson, columns_of, units_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from geo.areas import AreaSet
    from stream.clock import Clock
    from stream.core.policy import Policies
    from stream.settings import Settings
    from stream.store.pool import Pool
    from stream.store.schema import Connection
    from stream.web.access.reach import Reach

log = logging.getLogger(__name__)

BEAT_S = 1.0
"""Seconds between two pulses."""

REMEMBERED_S = 60.0
"""For how long news are kept for pages that come back."""

BEHIND = 10
"""A page that is so many pulses behind gets a snapshot instead."""

GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class PulseJson(msgspec.Struct, frozen=True):
    """Every second: that things go on. The event's id is what a page comes back with."""

    as_of: Time
    fresh: figures.FreshJson


class SnapshotJson(msgspec.Struct, frozen=True):
    """The first event of a page: all there is to see."""

    live: figures.LiveJson
    units: UnitColumnsJson


class ChangedSharesJson(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that changed visibly."""

    as_of: Time
    fresh: figures.FreshJson
    force: figures.ShareJson | UnsetType = UNSET
    neighbourhoods: list[figures.ShareJson]


class ChangedAreasJson(msgspec.Struct, frozen=True):
    """The priority areas that changed visibly."""

    priority_areas: list[figures.PriorityAreaJson]


EVENTS_SENT = (
    SnapshotJson,
    ChangedSharesJson,
    UnitColumnsJson,
    figures.AlertJson,
    ChangedAreasJson,
    PulseJson,
)
"""What the stream's events say: ``snapshot``, ``share``, ``units``, ``alert``, ``areas``, ``pulse``."""


@dataclass(slots=True)
class Counts:
    """What ``/metrics`` tells of the pulse."""

    pages: int = 0
    opened: int = 0
    snapshots: int = 0
    resumed: int = 0
    pulses: int = 0
    failures: int = 0
    bytes: int = 0
    reads: int = 0
    read_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _News:
    number: int
    at: float
    plain: bytes
    packed: bytes


@dataclass(slots=True, eq=False)
class _Group:
    """The pages of viewers with equal rights: what they were told, and what they are told next.

    Attributes:
        mark: begins the ids of its events: whoever comes back with other rights wants a snapshot.
        pages: how many are open.
        left: when the last page went, on a monotonic clock, seconds.
        sent: what pages were told last, as it is compared.
        snapshot: as of which pulse, plain and compressed.
    """

    reach: Reach
    mark: str
    pages: int = 0
    left: float = 0.0
    news: deque[_News] = field(default_factory=deque)
    sent: dict[str, Any] = field(default_factory=dict)
    snapshot: tuple[int, bytes, bytes] = (-1, b"", b"")
    _seen: tuple[Moment, Moment] | None = None
    _officers: tuple[Moment, frozenset[str]] | None = None

    def seen(self, moment: Moment) -> Moment:
        """What the group may see of a moment; reduced once, however often it is asked for."""
        if self._seen is None or self._seen[0] is not moment:
            self._seen = (moment, seen(moment, self.reach))
        return self._seen[1]

    def officers(self, moment: Moment) -> frozenset[str]:
        """The officers of a moment whom the group is shown."""
        if self._officers is None or self._officers[0] is not moment:
            self._officers = (moment, officers_of(self.seen(moment)))
        return self._officers[1]

    def differing(self, what: str, found: dict[str, Any]) -> list[str]:
        """The keys of what is not as it was when pages were told last."""
        before, self.sent[what] = self.sent.get(what, {}), found
        return [key for key, value in found.items() if before.get(key) != value]


@dataclass(slots=True, eq=False)
class Viewer:
    """Makes moments of what eyes see; for one thread.

    Args:
        eyes: they read the database.
        pool: connections to it.
        settings: how long a priority area may wait within its hours, and the worker be silent.
    """

    eyes: Eyes
    pool: Pool
    settings: Settings
    _homes: tuple[AreaSet, dict[str, str | None]] | None = None
    _observed: int | None = None
    _heard: float = 0.0

    def look(self) -> Moment:
        """Reads all there is to see.

        Raises:
            psycopg.Error: the database is away.
            SchemaError: run ``patrol init`` first.
        """
        with self.pool.connection(patient=True) as connection:
            sight = self.eyes.look(connection)
            noted = alerts.noted(connection, sight.picture.as_of)
            fresh = self._with_worker(sight.fresh, alerts.observed(connection))
        picture, depth, now = sight.picture, sight.depth, sight.picture.as_of
        names = Named(area_names(picture.areas))
        nobody = nobody_since(depth)
        homes = self._neighbourhoods_of(picture.areas)
        overdue = int(self.settings.alert_priority_unvisited_s * SECOND)
        told = {
            (item.figures.scope, item.figures.id): figures.share_json(
                item, names, nobody.get(item.figures.id) if item.deserted else None
            )
            for item in sight.shares
            if item.figures.scope != OFFICER
        }
        return Moment(
            picture,
            depth,
            sight.shares,
            tuple(noted),
            units_of(picture, sight.presence),
            names,
            fresh,
            told.pop((FORCE, FORCE)),
            {area_id: item for (_, area_id), item in told.items()},
            {
                item.area_id: figures.area_json(item, now, depth.begun, overdue, homes.get(item.area_id))
                for item in depth.awaited
            },
        )

    def _with_worker(self, fresh: Fresh, observed: int | None) -> Fresh:
        """How fresh things are, and whether the worker that should count and watch is heard of.

        It rings the bell when nothing comes any more, so somebody else has to tell when it is the one who is
        silent: whoever reads what it wrote. It writes with every look, also when there is nothing new to see.
        """
        steady = self.eyes.steady()
        if observed is None:
            return fresh
        if observed != self._observed:
            # Met for the first time it may be old already; by the clock of a replay that cannot be told.
            first = self._observed is None and self.settings.clock != EVENTS
            age = max(0.0, (self.eyes.wall() - observed) / SECOND) if first else 0.0
            self._observed, self._heard = observed, steady - age
        silent = steady - self._heard
        fresh = replace(fresh, worker_silent_s=silent)
        if silent <= max(self.settings.stale_s, 5 * self.settings.watch_s):
            return fresh
        since = f"the worker has not reported for {spell(silent)}: check that 'patrol worker' is running"
        if fresh.state == STALE:
            text = f"{fresh.text.rstrip('.')}; nothing is counted and no alerts are raised: {since}."
        else:
            text = f"{fresh.text.rstrip('.')}, but no alerts are raised: {since}."
        return replace(fresh, text=text, trouble=WORKER)

    def _neighbourhoods_of(self, areas: AreaSet) -> dict[str, str | None]:
        """By priority area: the neighbourhood that holds a point inside it."""
        if self._homes is None or self._homes[0] is not areas:
            own = [area for area in areas.areas() if area.kind is Kind.PRIORITY]
            grounds = [area for area in areas.areas() if area.kind is Kind.NEIGHBOURHOOD]
            tree = shapely.STRtree([area.geometry for area in grounds])
            found: dict[str, str | None] = {}
            for area in own:
                hits = tree.query(shapely.point_on_surface(area.geometry), predicate="intersects").tolist()
                found[area.area_id] = min((grounds[at].area_id for at in hits), default=None)
            self._homes = (areas, found)
        return self._homes[1]


def event(name: str, body: msgspec.Struct, mark: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"id: {mark}\n" if mark else ""
    return f"{head}event: {name}\ndata: ".encode() + msgspec.json.encode(body) + b"\n\n"


class Pulse:
    """Reads once a second while pages are open, and hands out what changed.

    Attributes:
        tell: told of each reading that failed, and None of each that did not; by default the log is.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        wall: Clock,
        *,
        beat_s: float = BEAT_S,
        remembered_s: float = REMEMBERED_S,
    ) -> None:
        self.settings = settings
        self._beat_s, self._remembered_s = beat_s, remembered_s
        self.counts = Counts()
        self._wall = wall
        self._pool = pool
        self._viewer = Viewer(Eyes(settings, wall), pool, settings)
        self._moment: Moment | None = None
        self._read_at = -FOREVER / SECOND
        self.failed: Fresh | None = None
        self.tell: Callable[[Exception | None], None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._began = -FOREVER / SECOND
        self._number = 0
        self._groups: dict[Reach, _Group] = {}
        self._beat: asyncio.Task[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def policies(self) -> Policies:
        """The policies in force when the database was last read."""
        return self._viewer.eyes.policies

    @property
    def beating(self) -> bool:
        """Whether the database is being read: some page is open."""
        return self._beat is not None

    # ── moments ───────────────────────────────────────────────────────────────────────────────────────────

    async def now(self) -> Moment:
        """The present moment: the last one read where that is not older than a second.

        Raises:
            psycopg.Error: the database is away, or does not answer, and nothing was ever read.
            SchemaError: run ``patrol init`` first; nothing was ever read.
        """
        if self._moment is None or time.monotonic() - self._read_at > self._beat_s:
            try:
                await self._read()
            except (psycopg.Error, SchemaError):
                if self._moment is None:
                    raise
        assert self._moment is not None
        return self._moment if self.failed is None else replace(self._moment, fresh=self.failed)

    async def ask(self, question: Callable[[Connection], Any]) -> Any:
        """Asks the database something, and does not wait for ever.

        Raises:
            psycopg.Error: the database is away, or does not answer; or what was asked makes no sense to it.
            SchemaError: run ``patrol init`` first.
        """
        return await asyncio.to_thread(self._pool.ask, question)

    async def _read(self, least_s: float = 0.0) -> None:
        """Waits for the reading that is going on, or for a new one, but not longer than is stated.

        Args:
            least_s: to be waited at least, also where the reading has taken too long already, seconds.

        Raises:
            psycopg.Error: the database is away, or does not answer.
            SchemaError: run ``patrol init`` first.
        """
        if self._reading is None:
            self._began = time.monotonic()
            self._reading = asyncio.create_task(self._look())
            self._reading.add_done_callback(self._over)
        reading = self._reading
        left = self._began + self.settings.database_answer_s - time.monotonic()
        await asyncio.wait({reading}, timeout=max(left, least_s))
        if not reading.done():
            silent = NoAnswerError()
            self._fails(silent)
            raise silent
        reading.result()

    def _over(self, reading: asyncio.Task[None]) -> None:
        """A reading has ended; that it failed is known, whether somebody still waits for it or not."""
        self._reading = None
        if not reading.cancelled():
            reading.exception()

    async def _look(self) -> None:
        began = time.monotonic()
        self.counts.reads += 1
        try:
            self._moment = await asyncio.to_thread(self._viewer.look)
        except (psycopg.Error, SchemaError) as failure:
            self._fails(failure)
            raise
        else:
            self.failed = None
            if self.tell is not None:
                self.tell(None)
            self._read_at = began
        finally:
            self.counts.read_s += time.monotonic() - began

    def _fails(self, failure: Exception) -> None:
        self.counts.failures += 1
        if self.tell is not None:
            self.tell(failure)
        elif self.failed is None:
            log.warning("no live figures: %s", str(failure).strip())
        self.failed = self._away(failure)

    def _away(self, failure: Exception | None = None) -> Fresh:
        """How fresh things are while nothing can be read, why, and what to do."""
        newest = None if self._moment is None else self._moment.fresh.newest
        heard = -FOREVER if self._moment is None else self._moment.picture.heard
        age = None if heard == -FOREVER else max(0.0, (self._wall() - heard) / SECOND)
        if newest is not None and self.settings.clock == EVENTS:
            age = time.monotonic() - self._read_at
        known = self._moment is not None
        goes_on = "this page resumes by itself when it is back."
        if isinstance(failure, SchemaError):
            text = (
                "No figures: the database lacks tables that this program needs. Run 'patrol init'; this page "
                "resumes by itself when that is done."
            )
            return Fresh(newest, age, None, STALE, text, SCHEMA)
        if failure is not None and not isinstance(failure, psycopg.Error):
            text = "Stale: an internal error; the program's log says more."
            return Fresh(newest, age, None, STALE, text, FAULT)
        silent = isinstance(failure, (NoAnswerError, psycopg.errors.QueryCanceled))
        what = "the database does not answer now" if silent else "the database cannot be reached now"
        if known:
            text = f"Stale: {what}; {goes_on}"
        else:
            text = (
                f"No figures yet: {what}. Check that PostgreSQL runs and PATROL_DATABASE is right; {goes_on}"
            )
        return Fresh(newest, age, None, STALE, text, SILENT if silent else AWAY)

    # ── news ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _go(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._read(self._beat_s)
            except (psycopg.Error, SchemaError):
                pass  # it is said already, and pages are told that what they show is stale
            except Exception as fault:
                log.exception("a fault of the program: pages are told that what they show is stale")
                self.failed = self._away(fault)
            self._publish()
            due = max(due + self._beat_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def _publish(self) -> None:
        """Makes the news of this pulse, for each group, and wakes the pages."""
        moment = self._moment
        well = moment is not None and self.failed is None
        if moment is None or not well:
            head = self._silence()
        else:
            head = PulseJson(rfc3339(moment.picture.as_of), figures.fresh_json(moment.fresh))
        self._number += 1
        now = time.monotonic()
        for group in list(self._groups.values()):
            if not group.pages and now - group.left > self._remembered_s:
                del self._groups[group.reach]
                continue
            parts = self._changes(moment, head, group) if moment is not None and well else []
            plain = b"".join((*parts, event("pulse", head, f"{group.mark}-{self._number}")))
            group.news.append(_News(self._number, now, plain, packed(plain)))
            while now - group.news[0].at > self._remembered_s:
                group.news.popleft()
        self.counts.pulses += 1
        self._wake()

    def _wake(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _silence(self) -> PulseJson:
        """What there is to say while nothing can be read."""
        as_of = self._wall() if self._moment is None else self._moment.picture.as_of
        return PulseJson(rfc3339(as_of), figures.fresh_json(self.failed or self._away()))

    def _changes(self, whole: Moment, head: PulseJson, group: _Group) -> list[bytes]:
        """Events of what a group can see changed since the last pulse."""
        parts = []
        moment = group.seen(whole)
        shares = {FORCE: moment.force, **{f"n:{key}": item for key, item in moment.neighbourhoods.items()}}
        changed = group.differing("shares", {key: figures.visible(item) for key, item in shares.items()})
        if changed:
            force = moment.force if FORCE in changed else UNSET
            told = [shares[key] for key in changed if key != FORCE]
            share = ChangedSharesJson(as_of=head.as_of, fresh=head.fresh, force=force, neighbourhoods=told)
            parts.append(event("share", share))
        before: dict[str, ShownUnit] = group.sent.get("units", {})
        moved = [moment.units[key] for key in group.differing("units", moment.units)]
        handed = [
            item
            for item in moved
            if (was := before.get(item.device_id)) is None
            or (was.kind, was.officers, was.names) != (item.kind, item.officers, item.names)
        ]
        new = {item.device_id for item in handed}
        gone = sorted(before.keys() - moment.units.keys())
        for units, all_of_it in (
            (handed, True),
            ([item for item in moved if item.device_id not in new], False),
        ):
            if units or (all_of_it and gone):
                parts.append(event("units", columns_of(units, gone if all_of_it else [], whole=all_of_it)))
        alerts = {item.episode.alert_id: figures.alert_json(item) for item in moment.alerts}
        parts += [event("alert", alerts[key]) for key in group.differing("alerts", alerts)]
        news = {key: figures.awaited_visibly(item) for key, item in moment.areas.items()}
        if areas := [moment.areas[key] for key in group.differing("areas", news)]:
            parts.append(event("areas", ChangedAreasJson(areas)))
        return parts

    def _group(self, reach: Reach) -> _Group:
        """The group of those who see so far."""
        found = self._groups.get(reach)
        if found is None:
            found = self._groups[reach] = _Group(reach, secrets.token_hex(4))
            if self.beating and self._moment is not None:
                # Its first page gets a snapshot: what follows is compared with now.
                self._changes(self._moment, self._silence(), found)
        return found

    def live_json(self, moment: Moment) -> figures.LiveJson:
        """The whole of what is live, of a moment that is reduced already to what may be seen."""
        policy = self.policies.at(moment.picture.as_of)
        return figures.LiveJson(
            as_of=rfc3339(moment.picture.as_of),
            fresh=figures.fresh_json(moment.fresh),
            force=moment.force,
            neighbourhoods=sorted(moment.neighbourhoods.values(), key=lambda item: -item.need),
            priority_areas=list(moment.areas.values()),
            alerts=[figures.alert_json(item) for item in moment.alerts],
            settings=figures.SettingsJson(
                target=policy.target,
                timezone="Europe/London",
                basemap=figures.basemap_json(self.settings.basemap),
                stale_s=self.settings.stale_s,
                jump_speed_mps=policy.jump_speed_mps,
                max_gap_s=policy.max_gap_s,
            ),
        )

    def _whole(self, group: _Group) -> tuple[bytes, bytes]:
        """A snapshot as of the last pulse, written once for all of a group who ask between two pulses."""
        if self._moment is None:
            plain = event("pulse", self._silence())  # without an id: whoever comes back wants a snapshot
            return plain, packed(plain)
        if group.snapshot[0] != self._number:
            moment = group.seen(self._moment)
            if self.failed is not None:
                moment = replace(moment, fresh=self.failed)
            body = SnapshotJson(self.live_json(moment), columns_of(list(moment.units.values()), whole=True))
            plain = event("snapshot", body, f"{group.mark}-{self._number}")
            group.snapshot = (self._number, plain, packed(plain))
        return group.snapshot[1:]

    async def stream(
        self,
        last_id: str | None,
        *,
        compress: bool,
        reach: Reach = EVERYTHING,
        admit: Callable[[frozenset[str]], Awaitable[bool]] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """What one page is sent, until it goes.

        Args:
            last_id: the last event that it has, from before a break.
            compress: as gzip.
            reach: how far its viewer sees.
            admit: asked before each part, with the officers whom it may show: where it says no, the page is
                told that nothing can be shown, and comes back later.
        """
        which = 1 if compress else 0
        self.counts.pages += 1
        self.counts.opened += 1
        group = self._group(reach)
        group.pages += 1
        try:
            if self._beat is None or self._beat.done():
                self._beat = asyncio.create_task(self._go())
                await self._waited()
            head = GZIP_HEADER if compress else b""
            at = self._resumed(group, last_id)
            self.counts.resumed += at is not None
            while not self._ended:
                nothing_yet = self._moment is None
                if at is None:
                    chunk = self._whole(group)[which]
                    self.counts.snapshots += not nothing_yet
                else:
                    chunk = b"".join(
                        item.packed if compress else item.plain for item in group.news if item.number > at
                    )
                at = self._number
                officers = frozenset[str]() if self._moment is None else group.officers(self._moment)
                if admit is not None and not await admit(officers):
                    silence = event("pulse", self._silence())
                    yield head + (packed(silence) if compress else silence)
                    return
                self.counts.bytes += len(head) + len(chunk)
                yield head + chunk
                head = b""
                if at == self._number:
                    await self._waited()
                if nothing_yet or self._number - at > BEHIND:
                    at = None  # too slow: a snapshot is less than all that was missed
        finally:
            self.counts.pages -= 1
            group.pages -= 1
            group.left = time.monotonic()
            if not self.counts.pages and self._beat is not None:
                self._beat.cancel()
                self._beat = None

    def _resumed(self, group: _Group, last_id: str | None) -> int | None:
        mark, _, number = (last_id or "").partition("-")
        if mark != group.mark or not (number.isascii() and number.isdigit()):
            return None
        at = int(number[:18])
        oldest = group.news[0].number if group.news else self._number + 1
        return at if oldest - 1 <= at <= self._number else None

    async def _waited(self) -> None:
        """Returns with the next pulse."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def end(self) -> None:
        """Lets every page go, so that the server can end."""
        self._ended = True
        self._wake()

    async def close(self) -> None:
        """Ends reading."""
        self.end()
        if self._beat is not None:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat


def packed(plain: bytes) -> bytes:
    """Deflate blocks that stand for themselves: they refer to nothing before them."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)
