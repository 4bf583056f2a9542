"""A secret that stands in a file: read when it is needed, so that a new one needs no restart.

It reads that file and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

MOST_BYTES: Final = 1 << 16
"""The longest value that a file may hold."""


class SecretFileError(ValueError):
    """A file holds more than a value can be; the message says what to do."""


class Secret(str):
    """A text that came from a file, which may hold another by now.

    Attributes:
        path: the file.
    """

    path: str
    __slots__ = ("path",)

    @classmethod
    def of(cls, path: str) -> Secret:
        """What a file holds, without the line's end.

        Raises:
            SecretFileError: it is longer than any value.
            OSError, UnicodeDecodeError: it cannot be read.
        """
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)  # a device may have no end
        if len(content) > MOST_BYTES:
            raise SecretFileError(
                f"{path}: is longer than a setting can be: name the file of the value alone"
            )
        found = cls(content.decode().rstrip("\r\n"))
        found.path = path
        return found


def current(value: str) -> str:
    """What a secret is now: what its file holds, or what it held where that cannot be read or is empty.

    While a secret is being replaced its file may not be there for a moment.
    """
    if not isinstance(value, Secret):
        return value
    try:
        return Secret.of(value.path) or value
    except (OSError, ValueError):
        return value
