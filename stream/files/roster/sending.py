"""An import's bookings and states onto Kafka.

It returns when every replica has everything. What is sent, and what is recorded of it, is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream import topics
from stream.files.replay import Outgoing, Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.files.roster.record import RosterParcel


async def send_parcel(
    parcel: RosterParcel, bootstrap: str, *, prefix: str, on_connected: Callable[[], None]
) -> int:
    """Sends bookings and states, each officer's in order.

    Args:
        parcel: what is sent.
        bootstrap: Kafka's addresses.
        prefix: goes before the topics' names; the topics must exist.
        on_connected: called when Kafka answers, before anything is sent.

    Returns:
        How many messages were sent and acknowledged.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached, or did not take a message in time.
    """
    names = [topics.named(name, prefix) for name in (topics.DUTY_BOOKINGS, topics.DUTY_STATES)]
    items = [*parcel.duties, *parcel.states]
    async with Sender(bootstrap, names) as sender:
        on_connected()
        await sender.send(
            Outgoing(
                send=np.zeros(len(items), np.int64),
                topic=np.repeat([0, 1], [len(parcel.duties), len(parcel.states)]),
                key=[officer.encode() for officer, _ in items],
                value=[value for _, value in items],
            )
        )
    return len(items)
