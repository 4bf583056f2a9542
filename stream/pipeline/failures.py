"""Failures, in one line and as an exit code."""

from __future__ import annotations

import os
import sys

NO, WRONG_USE, UNREACHED = 1, 2, 3

WRONG = (
    ("geo.boundaries.layer", "AreaFileError"),
    ("stream.embedded", "EmbeddedError"),
    ("stream.files.account", "AccountError"),
    ("stream.files.foreign", "ForeignError"),
    ("stream.files.spark", "SparkError"),
    ("stream.files.tracks", "TracksError"),
    ("stream.settings", "SettingsError"),
    ("stream.store.schema", "SchemaError"),
    ("stream.topics", "TopicError"),
)
"""What a user can correct, and its module: what was not imported was not raised, and may be missing."""

EXTRAS = {
    "authlib": "web",
    "babel": "reports",
    "convertbng": "areas",
    "cryptography": "web",
    "fastapi": "web",
    "fontpkg_inter": "reports",
    "httpx2": "web",
    "jinja2": "reports",
    "joserfc": "web",
    "paho": "bridge",
    "pyarrow": "files",
    "pynmeagps": "bridge",
    "pyogrio": "areas",
    "pyproj": "areas",
    "python_calamine": "files",
    "python_multipart": "web",
    "typst": "reports",
    "uvicorn": "web",
    "xlsxwriter": "reports",
}
"""Packages that not every process needs, by the name that is imported, and the extra that installs each."""


def missing_package(error: BaseException) -> str | None:
    """The package of an extra that was to be imported and is not installed; None: something else."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return name if name in EXTRAS else None


def told(error: BaseException) -> str:
    """What went wrong, in one line."""
    import psycopg
    from aiokafka.errors import GroupAuthorizationFailedError as GroupRefused
    from aiokafka.errors import KafkaConnectionError
    from aiokafka.errors import TopicAuthorizationFailedError as TopicRefused
    from kafka.errors import GroupAuthorizationFailedError as OtherGroupRefused
    from kafka.errors import KafkaConnectionError as OtherKafkaConnectionError
    from kafka.errors import TopicAuthorizationFailedError as OtherTopicRefused

    from geo.boundaries.layer import printable

    if package := missing_package(error):
        return (
            f"this needs {package}, which is not installed here: pip install "
            f"'patrol-visibility[{EXTRAS[package]}]', or use the image patrol-visibility-web"
        )
    if isinstance(error, KafkaConnectionError | OtherKafkaConnectionError):
        # The clients' own messages are about sockets and address families.
        where = os.environ.get("PATROL_KAFKA", "the servers given")
        return f"Kafka cannot be reached at {where}: is it up, and is PATROL_KAFKA right?"
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and error.diag.message_primary:
        return (
            f"the database does not let this role do that ({error.diag.message_primary}): sign in as a "
            "member of the role that may (deploy/roles.md), or have its owner run 'patrol init --roles'"
        )
    if isinstance(error, TopicRefused | OtherTopicRefused | GroupRefused | OtherGroupRefused):
        what = "consumer group" if isinstance(error, GroupRefused | OtherGroupRefused) else "topic"
        given = [str(item) for arg in error.args for item in ([arg] if isinstance(arg, str) else arg or ())]
        names = ", ".join(sorted(given)) or "of its own"
        user = os.environ.get("PATROL_KAFKA_USER", "")
        return (
            f"Kafka does not let user {user or 'ANONYMOUS'} use the {what} {names}: give it the access that "
            "deploy/README.md lists"
        )
    return printable(" ".join(str(error).split()))


def exit_code(error: BaseException) -> int | None:
    """2 or 3 for what a user can correct, None for a fault of the program."""
    import psycopg
    from aiokafka.errors import KafkaConnectionError
    from kafka.errors import KafkaConnectionError as OtherKafkaConnectionError

    unreached = (
        psycopg.OperationalError,
        KafkaConnectionError,
        OtherKafkaConnectionError,
        ConnectionError,
    )
    if isinstance(error, unreached):
        return UNREACHED
    known = [getattr(sys.modules[module], name) for module, name in WRONG if module in sys.modules]
    wrong = isinstance(error, (*known, psycopg.errors.InsufficientPrivilege, OSError))
    return WRONG_USE if wrong or missing_package(error) else None
