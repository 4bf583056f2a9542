"""TOML as people write it → tables; whatever is wrong with it is one kind of error, in one line."""

from __future__ import annotations

import tomllib
from typing import Any


class TomlError(ValueError):
    """Text that is not TOML, or that nobody writes by hand."""


def toml(text: str) -> dict[str, Any]:
    """The tables of a document.

    Raises:
        TomlError: it is not TOML, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from error
    except RecursionError:
        raise TomlError("nested too deeply") from None
    except ValueError:  # Python's own limit on the digits of a number
        raise TomlError("a number has too many digits") from None
