"""Failures, in one line and as an exit code."""

from __future__ import annotations

import os

NO, WRONG_USE, UNREACHED = 1, 2, 3


def told(error: BaseException) -> str:
    """What went wrong, in one line."""
    from aiokafka.errors import KafkaConnectionError
    from kafka.errors import KafkaConnectionError as OtherKafkaConnectionError

    from geo.boundaries.layer import printable

    if isinstance(error, KafkaConnectionError | OtherKafkaConnectionError):
        # The clients' own messages are about sockets and address families.
        where = os.environ.get("PATROL_KAFKA", "the servers given")
        return f"Kafka cannot be reached at {where}: is it up, and is PATROL_KAFKA right?"
    return printable(" ".join(str(error).split()))


def exit_code(error: BaseException) -> int | None:
    """2 or 3 for what a user can correct, None for a fault of the program."""
    import psycopg
    from aiokafka.errors import KafkaConnectionError
    from kafka.errors import KafkaConnectionError as OtherKafkaConnectionError

    from geo.boundaries.layer import AreaFileError
    from stream.embedded import EmbeddedError
    from stream.files.account import AccountError
    from stream.files.foreign import ForeignError
    from stream.files.spark import SparkError
    from stream.files.tracks import TracksError
    from stream.settings import SettingsError
    from stream.store.schema import SchemaError
    from stream.topics import TopicError

    unreached = (
        psycopg.OperationalError,
        KafkaConnectionError,
        OtherKafkaConnectionError,
        ConnectionError,
    )
    if isinstance(error, unreached):
        return UNREACHED
    wrong = (
        AreaFileError,
        AccountError,
        EmbeddedError,
        SparkError,
        ForeignError,
        SettingsError,
        SchemaError,
        TopicError,
        TracksError,
        OSError,
    )
    return WRONG_USE if isinstance(error, wrong) else None
