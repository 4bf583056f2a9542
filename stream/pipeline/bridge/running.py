"""The parts of a bridge together: a source, a buffer, Kafka."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from stream.pipeline.bridge.mqtt import listen_mqtt
from stream.pipeline.bridge.sending import send
from stream.pipeline.bridge.sources import MQTT, TCP, UDP, listen_tcp, listen_udp, read_file

if TYPE_CHECKING:
    from stream.pipeline.bridge.sending import KafkaTarget
    from stream.pipeline.bridge.sources import Intake, Source

log = logging.getLogger(__name__)

READ_PATIENCE_S: Final = 3.0
SEND_PATIENCE_S: Final = 4.0
"""When told to end: how long what was read may wait for room, and what is left may still be sent."""


async def run(
    source: Source,
    intake: Intake,
    target: KafkaTarget | None,
    stop: asyncio.Event,
    *,
    connections: int = 1000,
    idle_s: float = 3600.0,
    client_id: str = "patrol-bridge",
) -> int:
    """Runs until the source ends or ``stop`` is set, and then sends what it can in a few seconds.

    Args:
        source: where frames come from.
        intake: how they are read, and the buffer they go to; the buffer is closed at the end.
        target: where the buffer is sent; None: nowhere, it is only looked at.
        stop: ends it.
        connections: the most TCP connections.
        idle_s: after so many seconds of silence a TCP connection is closed.
        client_id: of the MQTT session.

    Returns:
        How many records Kafka does not have. On disk they stay for the next run.

    Raises:
        OSError: the port or file cannot be used.
    """
    buffer, ending = intake.buffer, asyncio.Event()
    if source.kind == TCP:
        read = listen_tcp(source, intake, stop, connections=connections, idle_s=idle_s)
    elif source.kind == MQTT:
        read = listen_mqtt(source, intake, stop, client_id=client_id)
    else:
        read = listen_udp(source, intake, stop) if source.kind == UDP else read_file(source, intake, stop)
    reading = asyncio.ensure_future(read)
    sending = None if target is None else asyncio.ensure_future(send(buffer, target, intake.metrics, ending))
    parts: set[asyncio.Future[Any]] = {reading} if sending is None else {reading, sending}
    told = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({*parts, told}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():  # a source may wait for room in the buffer, which may never come
            await asyncio.wait({reading}, timeout=READ_PATIENCE_S)
        if reading.done():
            reading.result()
        ending.set()
        if sending is not None:
            await asyncio.wait({sending, told}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({sending}, timeout=SEND_PATIENCE_S)
            if sending.done():
                sending.result()
    finally:
        told.cancel()
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)
        left = buffer.count
        await buffer.close()
    return left
