"""What Kafka is asked before anything starts: a setting that cannot work is told at once, in a line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from stream import topics
from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.settings import Settings

PATIENCE_S: Final = 5.0
"""How long a part that can wait for Kafka asks it about the session time."""


async def check_kafka(settings: Settings) -> None:
    """Looks whether Kafka's topics and limits are what the settings say.

    Raises:
        SettingsError: the broker takes no such session time.
        TopicError: a topic has fewer copies than wanted.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    await topics.enough_copies(
        settings.kafka, topics.specs(settings.topic_prefix, replication=settings.replication)
    )
    await check_session(settings)


async def check_session(settings: Settings) -> None:
    """Looks whether the broker takes the session time.

    Raises:
        SettingsError: it does not.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    if not await topics.session_taken(settings.kafka, settings.topic_prefix, settings.session_s):
        raise SettingsError(
            f"PATROL_SESSION_S={settings.session_s:g}: the broker takes no such session time (its "
            "group.min.session.timeout.ms to group.max.session.timeout.ms; as shipped 6 to 1800 seconds)"
        )


async def check_session_if_set(settings: Settings) -> None:
    """The same for a part that may wait for Kafka; the usual time is one that brokers take as shipped.

    Raises:
        SettingsError: the broker does not take it.
    """
    if settings.session_s == type(settings)().session_s:
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            await check_session(settings)
    except (KafkaError, TimeoutError, OSError):
        return  # it is waited for, and whoever joins then says it
