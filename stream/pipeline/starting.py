"""What Kafka is asked before anything starts: a setting that cannot work is told at once, in a line."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from stream import topics
from stream.kafka_security import AccessError, access
from stream.settings import SettingsError, unprotected

if TYPE_CHECKING:
    from stream.settings import Settings

log = logging.getLogger(__name__)

PATIENCE_S: Final = 10.0
"""How long a part that can wait for Kafka asks it."""


async def check_kafka(settings: Settings) -> None:
    """Looks whether Kafka's topics and limits are what the settings say.

    Raises:
        AccessError: Kafka does not let this program in.
        SettingsError: the broker takes no such session time.
        TopicError: a topic has fewer copies than wanted.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    await topics.enough_copies(
        settings.brokers, topics.specs(settings.topic_prefix, replication=settings.replication)
    )
    await check_session(settings)


async def check_session(settings: Settings) -> None:
    """Looks whether the broker takes the session time.

    Raises:
        SettingsError: it does not.
        aiokafka.errors.KafkaConnectionError: no broker answers.
    """
    if not await topics.session_taken(settings.brokers, settings.topic_prefix, settings.session_s):
        raise SettingsError(
            f"PATROL_SESSION_S={settings.session_s:g}: the broker takes no such session time (its "
            "group.min.session.timeout.ms to group.max.session.timeout.ms; as shipped 6 to 1800 seconds)"
        )


async def check_servers(settings: Settings) -> None:
    """Looks at what a part can be told before it begins, though it may wait for its servers.

    It says which servers on other machines are spoken to without protection, and asks Kafka whether it lets
    this program in and takes the session time; the usual time is one that brokers take as shipped. A broker
    that is away is waited for.

    Raises:
        AccessError: Kafka does not let this program in.
        SettingsError: it does not take the session time.
    """
    for line in unprotected(settings):
        log.warning("%s", line)
    try:
        async with asyncio.timeout(PATIENCE_S):
            if settings.session_s == type(settings)().session_s:
                await access(settings.brokers)
            else:
                await check_session(settings)
    except AccessError:
        raise
    except (KafkaError, TimeoutError, OSError):
        return  # it is waited for, and whoever joins then says it
