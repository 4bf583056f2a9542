"""What a bridge tells of itself: counts for Prometheus, and whether it can take anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from stream.pipeline.bridge.buffer import Buffer


@dataclass(frozen=True, slots=True)
class BridgeMetrics:
    """The counts of one bridge; their names and texts are those of ``/metrics``."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    received: Counter = field(init=False)
    decoded: Counter = field(init=False)
    rejected: Counter = field(init=False)
    ignored: Counter = field(init=False)
    accepted: Counter = field(init=False)
    dropped: Counter = field(init=False)
    sent: Counter = field(init=False)
    connections: Gauge = field(init=False)
    refused: Counter = field(init=False)
    kafka_up: Gauge = field(init=False)

    def __post_init__(self) -> None:
        def counter(name: str, text: str, *labels: str) -> None:
            made = Counter(f"patrol_bridge_{name}", text, labels, registry=self.registry)
            object.__setattr__(self, name, made)

        def gauge(name: str, text: str) -> None:
            object.__setattr__(self, name, Gauge(f"patrol_bridge_{name}", text, registry=self.registry))

        counter("received", "Frames received.")
        counter("decoded", "Frames and groups of frames that became an event.", "format")
        counter("rejected", "Frames that went to dead.letters.", "format", "reason")
        counter("ignored", "Frames that carry no position by their nature.", "format", "kind")
        counter("accepted", "Events and dead letters in the buffer (without one: in Kafka).")
        counter("dropped", "Events and dead letters lost because the buffer was full.", "why")
        counter("sent", "Events and dead letters that Kafka has.")
        gauge("connections", "Connections that are open.")
        counter("refused", "Connections refused because too many are open.")
        gauge("kafka_up", "Whether Kafka takes messages.")

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
            Gauge(f"patrol_bridge_{name}", text, registry=self.registry).set_function(value)
