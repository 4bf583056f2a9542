"""An MQTT broker as a source: QoS 1, a session that outlives the connection, acknowledged when it is safe.

The client is paho's, whose network thread reconnects by itself with growing pauses. A message is acknowledged
when its records are in the buffer; until then the broker keeps it, and holds back further ones once it has as
many unacknowledged as it allows. MQTT 3.1.1, because every broker speaks it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from stream.pipeline.bridge.intake import SenderFeeds
from stream.pipeline.waiting import first_of

if TYPE_CHECKING:
    from stream.pipeline.bridge.sources import Intake, Source

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 60
MAX_UNSAFE: Final = 10_000
"""Messages of QoS 0 that wait; nobody keeps them, so more are dropped and counted."""
_AT_ONCE: Final = 500


@dataclass(slots=True)
class _Client:
    """Between paho's thread and the event loop."""

    source: Source
    intake: Intake
    loop: asyncio.AbstractEventLoop
    arrived: asyncio.Queue[tuple[int, Any]] = field(default_factory=asyncio.Queue)
    generation: int = 0
    told: bool = False

    def on_connect(self, client: paho.Client, _: Any, flags: Any, code: Any, __: Any) -> None:
        if code.is_failure:
            log.error("the MQTT broker refuses: %s", code)
            return
        # Acknowledgements of an earlier connection would meet other messages of the same number.
        self.generation += 1
        self.told = False
        client.subscribe(self.source.topic, qos=1)
        self.intake.metrics.connections.set(1)
        log.info("connected to the MQTT broker; session %s", "resumed" if flags.session_present else "new")

    def on_connect_fail(self, _: paho.Client, __: Any) -> None:
        if not self.told:
            log.warning("the MQTT broker %s port %d cannot be reached", self.source.host, self.source.port)
        self.told = True

    def on_disconnect(self, _: paho.Client, __: Any, ___: Any, code: Any, ____: Any) -> None:
        self.intake.metrics.connections.set(0)
        if code.is_failure:
            log.warning("the MQTT broker is away: %s", code)

    def on_subscribe(self, _: paho.Client, __: Any, ___: int, codes: list[Any], ____: Any) -> None:
        if any(code.is_failure for code in codes):
            log.error("the MQTT broker does not let us read %s: look at its access list", self.source.topic)

    def on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        if message.qos == 0 and self.arrived.qsize() >= MAX_UNSAFE:
            self.intake.metrics.dropped.labels("qos_0").inc()
            return
        item = self.generation, message
        self.loop.call_soon_threadsafe(self.arrived.put_nowait, item)


async def listen_mqtt(source: Source, intake: Intake, stop: asyncio.Event, *, client_id: str) -> None:
    """Reads a topic until told to stop; what was not acknowledged by then comes again next time.

    Args:
        source: the broker and the topic.
        intake: takes it.
        stop: ends it.
        client_id: names the session that the broker keeps; two processes with one id push each other out.

    Raises:
        ValueError: the topic is none.
    """
    state = _Client(source, intake, asyncio.get_running_loop())
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=False,
        protocol=paho.MQTTv311,
        manual_ack=True,
    )
    client.on_connect = state.on_connect
    client.on_connect_fail = state.on_connect_fail
    client.on_disconnect = state.on_disconnect
    client.on_subscribe = state.on_subscribe
    client.on_message = state.on_message
    client.reconnect_delay_set(1, 60)
    if source.user:
        client.username_pw_set(source.user, source.password or None)
    if source.tls:
        client.tls_set()
    client.connect_async(source.host, source.port, KEEP_ALIVE_S)
    client.loop_start()
    try:
        await _take(state, client, stop)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


async def _take(state: _Client, client: paho.Client, stop: asyncio.Event) -> None:
    intake = state.intake
    feeds = SenderFeeds(intake.settings, intake.metrics)
    while not stop.is_set():
        getting = asyncio.ensure_future(state.arrived.get())
        await first_of([getting], stop)
        if not getting.done():
            getting.cancel()
            return
        taken = [getting.result()]
        while len(taken) < _AT_ONCE and not state.arrived.empty():
            taken.append(state.arrived.get_nowait())
        records = []
        for _, message in taken:
            # It may have waited at the broker for as long as we were away.
            records += feeds.whole(message.payload, intake.now(), prompt=False, topic=message.topic)
        await intake.accept(records)
        for generation, message in taken:
            if generation == state.generation:
                client.ack(message.mid, message.qos)
