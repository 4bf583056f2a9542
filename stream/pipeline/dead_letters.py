"""The headers of a dead letter: why it could not be used, and where it stood."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from stream import topics

_STAND: Final = re.compile(rb"(\d{1,9}):(\d{1,18})")

LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, milliseconds since 1970: a later time makes no sense."""

TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
"""What a producer raises where a message is too long for its topic, with its headers or by itself."""


def without_value(detail: str, value: bytes | None) -> str:
    """The detail of a letter whose value is left out: it stays where the other headers say."""
    return f"{detail} (the value, {len(value or b'')} bytes, is too long to be kept here)"


def first_stand(record: Any) -> tuple[int, int] | None:
    """Partition and offset at which a message first stood, if it is a dead letter that was sent again."""
    for name, value in record.headers:
        if name == topics.REPLAYED_HEADER and (found := _STAND.fullmatch(value or b"")):
            return int(found[1]), int(found[2])
    return None


def headers(
    reason: str, detail: str, topic: str, partition: int, offset: int, time_ms: int
) -> dict[str, bytes]:
    """The headers by name (contract).

    Args:
        reason: a word of ``Reason``, or ``topics.BROKEN_FRAME``.
        detail: what is wrong with it, for people.
        topic: where the message stands as long as that topic is kept.
        partition: the topic's partition.
        offset: its offset there.
        time_ms: its time, milliseconds since 1970; said only where it makes sense.
    """
    at = ""
    if 0 <= time_ms <= LAST_MS:
        at = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    texts = (reason, detail, topic, str(partition), str(offset), at.replace("+00:00", "Z"))
    return {
        name: text.encode("utf-8", "replace")
        for name, text in zip(topics.DEAD_LETTER_HEADERS, texts, strict=True)
    }
