"""docker-compose.yml as tests read it."""

from __future__ import annotations

import re


def filled_in(text: str) -> str:
    """The file with the defaults of its variables, as on a machine where none is set."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)
