"""Pseudonyms by key: what analysts see in place of the ids of officers, devices and duties.

The same id has the same pseudonym under one key, so what belongs together can be counted together, and
whoever has the key can say again whom it means. Without the key nobody can, not by trying every id either:
it is an HMAC (RFC 2104, SHA-256), cut to 65 bits. Another key makes other pseudonyms, which cannot be joined
with these. Ids of two kinds never share one, though they be the same text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OFFICER, DEVICE, DUTY = "officer", "device", "duty"
KINDS: Final = (OFFICER, DEVICE, DUTY)

LEAST: Final = 16
"""A key has at least so many characters: ids are few, and whoever guesses the key has all of them."""
LENGTH: Final = 13
"""Letters and digits of a pseudonym: 65 bits, so that no two of ten million officers share one."""

ERASED: Final = re.compile(r"erased-[a-z2-7]{13}")
"""What stands in the place of an officer's id once it is erased: a pseudonym whose key is gone."""


class PseudonymError(ValueError):
    """There is no key that could be used; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Pseudonyms under one key.

    Attributes:
        key: a secret of at least ``LEAST`` characters.

    Raises:
        PseudonymError: it is shorter.
    """

    key: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < LEAST:
            raise PseudonymError(
                f"the key of pseudonyms needs at least {LEAST} characters: 'openssl rand -hex 32' makes one"
            )

    def of(self, kind: str, id_: str) -> str:
        """The pseudonym of an id, like ``officer-k3v5…``; that of no id is no text, and an erased one stays.

        Args:
            kind: ``officer``, ``device`` or ``duty``.
            id_: the id.
        """
        if not id_ or ERASED.fullmatch(id_):
            return id_
        digest = hmac.digest(self.key.encode(), f"{kind}\0{id_}".encode(), hashlib.sha256)
        return f"{kind}-{base64.b32encode(digest).decode().lower()[:LENGTH]}"

    def all_of(self, kind: str, ids: Iterable[str]) -> list[str]:
        """The same of many ids, in their order."""
        known: dict[str, str] = {}
        return [known[id_] if id_ in known else known.setdefault(id_, self.of(kind, id_)) for id_ in ids]
