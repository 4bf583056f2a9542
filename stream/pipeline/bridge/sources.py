"""Where feeds come from: a TCP or a UDP port, a file, standard input. An MQTT broker is in ``mqtt``."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import re
import socket
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from stream.pipeline.bridge.framing import MAX_FRAME
from stream.pipeline.bridge.intake import SenderFeed, SenderFeeds
from stream.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stream.clock import Clock
    from stream.pipeline.bridge.buffer import Buffer
    from stream.pipeline.bridge.intake import FeedSettings
    from stream.pipeline.bridge.metrics import BridgeMetrics

log = logging.getLogger(__name__)

TCP, UDP, MQTT, FILE = "tcp", "udp", "mqtt", "file"
MQTT_PORT, MQTT_TLS_PORT = 1883, 8883
PIECE: Final = 65_536
PROMPT_S: Final = 5.0
"""A report is taken to be sent when it is received, within this many seconds."""
_QUIET_S: Final = 1.0
_WAITED_S: Final = 0.2
_UNENDED: Final = 16 * MAX_FRAME
_TELL_EVERY: Final = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """Where a feed comes from.

    Attributes:
        kind: ``tcp``, ``udp``, ``mqtt`` or ``file``.
        name: as it is shown: without a password.
        host: to listen on (empty: on every address of this machine), or the MQTT broker's.
        port: the same.
        topic: MQTT's, wildcards allowed.
        tls: whether MQTT speaks TLS.
        user: MQTT's; empty: without a login.
        password: MQTT's.
        path: of a file; ``-`` is standard input.
    """

    kind: str
    name: str
    host: str = ""
    port: int = 0
    topic: str = ""
    tls: bool = False
    user: str = ""
    password: str = ""
    path: str = ""

    @property
    def ends(self) -> bool:
        """Whether it comes to an end by itself."""
        return self.kind == FILE


def parse_source(text: str, password: str = "") -> Source:
    """What ``patrol bridge`` is pointed at.

    Args:
        text: as the command was given it.
        password: MQTT's, where the text has none.

    Raises:
        SettingsError: it is none; the message does not repeat it, because it may hold a password.
    """
    found = re.fullmatch(r"(tcp|udp|mqtts?)://([^/]*)(?:/(.*))?", text)
    if found is None:
        if re.match(r"(tcp|udp|mqtts?):|.*://", text):
            raise SettingsError("SOURCE is not tcp://:PORT, udp://:PORT, mqtt://HOST[:PORT]/TOPIC or a file")
        return Source(FILE, "standard input" if text == "-" else f"file {Path(text).name}", path=text)
    scheme, place, rest = found.groups()
    login, _, place = place.rpartition("@")
    where = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(\d{1,5}))?", place, re.ASCII)
    port = int(where[2]) if where and where[2] else None
    if where is None or (port is not None and port >= 65_536):
        raise SettingsError(f"SOURCE: what follows {scheme}:// is not HOST:PORT")
    host = where[1].strip("[]")
    if scheme in {TCP, UDP}:
        if port is None or rest or login:
            raise SettingsError(
                f"SOURCE: write {scheme}://:PORT, or {scheme}://ADDRESS:PORT to listen on one"
            )
        return Source(scheme, f"{scheme}://{place}", host, port)
    if not host or not rest:
        raise SettingsError("SOURCE: write mqtt://HOST/TOPIC, for example mqtt://broker/owntracks/+/+")
    tls = scheme == "mqtts"
    user, _, written = (unquote(part) for part in login.partition(":"))
    port = port if port is not None else MQTT_TLS_PORT if tls else MQTT_PORT
    return Source(MQTT, f"{scheme}://{place}", host, port, rest, tls, user, written or password)


@dataclass(frozen=True, slots=True)
class Intake:
    """What every source needs: how to read, where to put, what to count by.

    Attributes:
        settings: how the feed is read.
        buffer: takes the records.
        metrics: counts.
        now: the wall clock, microseconds since 1970.
        listening: told where a port is listened on.
    """

    settings: FeedSettings
    buffer: Buffer
    metrics: BridgeMetrics
    now: Clock
    listening: Callable[[str, int], None] = lambda host, port: None

    def feed(self, **where: Any) -> SenderFeed:
        """The feed of one sender."""
        return SenderFeed(self.settings, self.metrics, **where)

    async def accept(self, records: list[Any]) -> None:
        """Hands records on; waits while the buffer is full."""
        if records:
            await self.buffer.accept(records)
            self.metrics.accepted.inc(len(records))


# --- TCP --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Connections:
    """The open connections of a port."""

    intake: Intake
    limit: int
    idle_s: float
    stop: asyncio.Event
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end; nothing is ever said to the sender."""
        metrics = self.intake.metrics
        if len(self.tasks) >= self.limit or self.stop.is_set():
            metrics.refused.inc()
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        metrics.connections.inc()
        try:
            with contextlib.suppress(OSError):  # the sender is gone, and says so roughly
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            peer = writer.get_extra_info("peername") or ("",)
            # The server's own callback would call a cancelled connection a fault.
            with contextlib.suppress(asyncio.CancelledError):
                await self._listen(reader, self.intake.feed(address=str(peer[0])))
        finally:
            self.tasks.discard(task)
            metrics.connections.dec()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _listen(self, reader: asyncio.StreamReader, feed: SenderFeed) -> None:
        clock = asyncio.get_running_loop().time
        prompt = True
        try:
            while feed.unended < _UNENDED:
                asked = clock()
                data = await _read(reader, feed, self.intake, self.stop, self.idle_s)
                if not data:
                    break
                # After a wait for room, what comes without a pause had been sent before. It is not now.
                prompt = prompt or clock() - asked >= _WAITED_S
                records = feed.take(data, self.intake.now(), prompt=prompt)
                began = clock()
                await self.intake.accept(records)
                prompt = prompt and clock() - began < PROMPT_S
        except OSError as failure:
            log.info("a connection broke: %s", failure)
        await self.intake.accept(feed.end())


async def _read(
    reader: asyncio.StreamReader,
    feed: SenderFeed,
    intake: Intake,
    stop: asyncio.Event,
    idle_s: float | None = None,
) -> bytes:
    """The next bytes; none at the end, when told to stop, or when the sender is idle for too long.

    After a moment of quiet, what waits for the sender to go on is handed on.
    """
    reading = asyncio.ensure_future(reader.read(PIECE))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        if feed.pending:
            await asyncio.wait({reading, stopped}, timeout=_QUIET_S, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await intake.accept(feed.quiet())
        await asyncio.wait({reading, stopped}, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else b""
    finally:
        stopped.cancel()
        if not reading.done():
            reading.cancel()


async def listen_tcp(
    source: Source, intake: Intake, stop: asyncio.Event, *, connections: int, idle_s: float
) -> None:
    """Listens until told to stop; what was read by then is handed on.

    Args:
        source: where.
        intake: takes it.
        stop: ends it.
        connections: the most that may be open.
        idle_s: after so many seconds of silence a connection is closed.

    Raises:
        OSError: the port cannot be listened on.
    """
    open_ = _Connections(intake, connections, idle_s, stop)
    server = await asyncio.start_server(open_.talk, source.host or None, source.port, limit=PIECE)
    intake.listening(*server.sockets[0].getsockname()[:2])
    try:
        await stop.wait()
        server.close()
        if open_.tasks:
            await asyncio.wait(open_.tasks)
    finally:
        server.close()
        left = set(open_.tasks)  # told to go at once: they wait for room that does not come
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


# --- UDP --------------------------------------------------------------------------------------------------


class _Datagrams(asyncio.DatagramProtocol):
    """Each datagram is complete; what cannot be kept at once is lost, and counted."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._feeds = SenderFeeds(intake.settings, intake.metrics)
        self._dropped = 0

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """One datagram."""
        intake = self._intake
        records = self._feeds.whole(data, intake.now(), prompt=True, address=str(addr[0]), port=str(addr[1]))
        if not records:
            return
        if intake.buffer.offer(records):
            intake.metrics.accepted.inc(len(records))
            return
        intake.metrics.dropped.labels("buffer_full").inc(len(records))
        if self._dropped % _TELL_EVERY == 0:
            log.error("the buffer is full: datagrams are lost (%d before this one)", self._dropped)
        self._dropped += 1


async def listen_udp(source: Source, intake: Intake, stop: asyncio.Event) -> None:
    """Listens until told to stop.

    Raises:
        OSError: the port cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(intake), local_addr=(source.host or "0.0.0.0", source.port)
    )
    intake.listening(*transport.get_extra_info("sockname")[:2])
    try:
        await stop.wait()
    finally:
        transport.close()


# --- Files ------------------------------------------------------------------------------------------------


async def read_file(source: Source, intake: Intake, stop: asyncio.Event) -> None:
    """Reads a file, or standard input, to its end. What comes through a pipe is of now; a file is not.

    Raises:
        OSError: it cannot be read.
    """
    if source.path == "-" and not stat.S_ISREG(Path("/dev/stdin").stat().st_mode):
        await _read_pipe(intake, stop)
        return
    feed = intake.feed()
    with Path("/dev/stdin" if source.path == "-" else source.path).open("rb") as file:
        start = await asyncio.to_thread(file.read, len(codecs.BOM_UTF8))
        if start != codecs.BOM_UTF8:  # which editors put before the first message
            await intake.accept(feed.take(start, None, prompt=False))
        while not stop.is_set() and (data := await asyncio.to_thread(file.read, PIECE)):
            await intake.accept(feed.take(data, None, prompt=False))
    await intake.accept(feed.end())


async def _read_pipe(intake: Intake, stop: asyncio.Event) -> None:
    feed = intake.feed()
    reader = asyncio.StreamReader(limit=PIECE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while data := await _read(reader, feed, intake, stop):
            await intake.accept(feed.take(data, intake.now(), prompt=True))
    finally:
        transport.close()
    await intake.accept(feed.end())
