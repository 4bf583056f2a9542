"""From bytes to records of the buffer, the same for every source."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stream import topics
from stream.pipeline import dead_letters
from stream.pipeline.bridge.buffer import Record
from stream.pipeline.bridge.formats import AUTO, decoder, framer, too_long
from stream.pipeline.bridge.outcomes import FeedEvent, FeedReject, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.pipeline.bridge.framing import Frame
    from stream.pipeline.bridge.metrics import BridgeMetrics
    from stream.pipeline.bridge.outcomes import Outcome

KINDS: Final = {"radio": topics.RADIO_POSITIONS, "vehicle": topics.VEHICLE_POSITIONS}
"""The topic of each kind of device."""
MAX_SENDERS: Final = 10_000
"""Of so many senders of datagrams or topics it is remembered what they said last."""


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """How a feed is read.

    Attributes:
        source: what it is called in dead letters; no password may be in it.
        format: one of ``formats.FORMATS``.
        kind: ``radio`` or ``vehicle``.
        device: the id of frames that have none; ``{address}`` in it stands for the sender's address,
            ``{topic}`` for the last level of the MQTT topic. Empty: such frames are rejected.
        near: a time less than half a day from the recording of a file, microseconds.
        gps_ahead_s: how many seconds the time of day in TAIP reports is ahead of UTC.
    """

    source: str
    format: str = AUTO
    kind: str = "radio"
    device: str = ""
    near: int | None = None
    gps_ahead_s: float = 0.0


class SenderFeed:
    """What one sender says: a connection, an address, an MQTT topic, a file.

    Args:
        settings: how to read it.
        metrics: where to count.
        address: the sender's, where there is one.
        topic: the MQTT topic, where there is one.
    """

    def __init__(
        self, settings: FeedSettings, metrics: BridgeMetrics, *, address: str = "", topic: str = ""
    ) -> None:
        device = settings.device.replace("{address}", address).replace("{topic}", topic.rpartition("/")[2])
        self._settings = settings
        self._metrics = metrics
        self._origin = Origin(device or None, None, settings.near, topic=topic)
        self._framer = framer(settings.format)
        self._decoder = decoder(settings.format, gps_ahead_s=settings.gps_ahead_s)

    @property
    def pending(self) -> bool:
        """Whether something waits for the sender to go on or be quiet."""
        return self._decoder.pending

    @property
    def unended(self) -> int:
        """How long the frame is that has not ended, bytes."""
        return self._framer.length

    def take(self, data: bytes, received: int | None, *, prompt: bool) -> list[Record]:
        """The next bytes.

        Args:
            data: as they came, wherever they are cut.
            received: when, microseconds; None for files.
            prompt: whether they were sent within seconds before.
        """
        near = self._settings.near if received is None else received
        self._origin = replace(self._origin, received=received, near=near, prompt=prompt)
        return self._decode(self._framer.feed(data))

    def quiet(self) -> list[Record]:
        """The sender says nothing for a while."""
        return self._records(self._decoder.flush())

    def end(self) -> list[Record]:
        """The sender has gone, or a datagram is over."""
        return [*self._decode(self._framer.close()), *self.quiet()]

    def _decode(self, frames: Iterable[Frame]) -> list[Record]:
        found: list[Outcome] = []
        for frame in frames:
            self._metrics.received.inc()
            if not frame.whole:
                found.append(too_long(self._settings.format, frame))
            elif frame.data:
                found += self._decoder.feed(frame.data, self._origin)
        return self._records(found)

    def _records(self, outcomes: Iterable[Outcome]) -> list[Record]:
        made = []
        for item in outcomes:
            if isinstance(item, FeedEvent):
                self._metrics.decoded.labels(item.format).inc()
                made.append(Record(KINDS[self._settings.kind], item.device_id.encode(), item.value()))
            elif isinstance(item, FeedReject):
                self._metrics.rejected.labels(item.format, str(item.reason)).inc()
                made.append(self._dead_letter(item))
            else:
                self._metrics.ignored.labels(item.format, item.kind).inc()
        return made

    def _dead_letter(self, item: FeedReject) -> Record:
        # It never stood on a topic: the headers say where it came from, and no partition or offset.
        where = f"{self._settings.source} {self._origin.topic}".strip()
        received = self._origin.received
        headers = dead_letters.headers(
            str(item.reason), item.detail, where, -1, -1, -1 if received is None else received // 1000
        )
        return Record(topics.DEAD_LETTERS, b"", b"\n".join(item.raw), tuple(headers.items()))


class SenderFeeds:
    """The feeds of many senders that come and go without a word; those silent for longest are forgotten."""

    def __init__(self, settings: FeedSettings, metrics: BridgeMetrics, limit: int = MAX_SENDERS) -> None:
        self._settings = settings
        self._metrics = metrics
        self._limit = limit
        self._feeds: OrderedDict[tuple[str, str], SenderFeed] = OrderedDict()

    def whole(
        self, data: bytes, received: int, *, prompt: bool, address: str = "", port: str = "", topic: str = ""
    ) -> list[Record]:
        """A datagram or message, which ends every frame in it."""
        key = (f"{address} {port}", topic)
        feed = self._feeds.pop(key, None) or SenderFeed(
            self._settings, self._metrics, address=address, topic=topic
        )
        self._feeds[key] = feed
        if len(self._feeds) > self._limit:
            self._feeds.popitem(last=False)
        return [*feed.take(data, received, prompt=prompt), *feed.end()]
