"""What a bridge tells of itself: counts for Prometheus, and whether it can take anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from stream.pipeline.bridge.buffer import Buffer


class BridgeMetrics:
    """The counts of one bridge; their names and texts are those of ``/metrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"patrol_bridge_{name}", text, labels, registry=self.registry)

        self.received = counter("received", "Frames received.")
        self.decoded = counter("decoded", "Frames and groups of frames that became an event.", "format")
        self.rejected = counter("rejected", "Frames that went to dead.letters.", "format", "reason")
        self.ignored = counter("ignored", "Frames that carry no position by their nature.", "format", "kind")
        self.accepted = counter("accepted", "Events and dead letters in the buffer (without one: in Kafka).")
        self.dropped = counter("dropped", "Events and dead letters lost because the buffer was full.", "why")
        self.sent = counter("sent", "Events and dead letters that Kafka has.")
        self.connections = self._gauge("connections", "Connections that are open.")
        self.refused = counter("refused", "Connections refused because too many are open.")
        self.kafka_up = self._gauge("kafka_up", "Whether Kafka takes messages.")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"patrol_bridge_{name}", text, registry=self.registry)

    @property
    def connected(self) -> bool:
        """Whether any connection is open."""
        return bool(self.registry.get_sample_value("patrol_bridge_connections"))

    def watch(self, buffer: Buffer) -> None:
        """Tells of a buffer."""
        for name, text, value in (
            ("buffered", "Events and dead letters that wait for Kafka.", lambda: buffer.count),
            ("buffer_bytes", "What the buffer takes.", lambda: buffer.size),
            ("buffer_full", "Whether the buffer accepts nothing.", lambda: buffer.full),
        ):
            self._gauge(name, text).set_function(value)
