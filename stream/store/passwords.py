"""Passwords, one-time passwords and other secrets: made, hashed, compared.

Passwords are hashed by argon2id, and comparing takes as long where there is nothing to compare with. Secrets
have 256 bits at random, so a plain SHA-256 is enough to recognise one by, and tells nothing of it.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher()
"""How passwords are hashed: argon2id with what RFC 9106 recommends where memory is short (64 MiB)."""

SHORTEST, LONGEST = 12, 200
"""Characters of a password."""

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""What one-time passwords are made of: nothing that looks like something else."""

TOKEN_MARK = "patrol_"
"""How every token begins, so that a leaked one is recognised for what it is."""


class PasswordError(ValueError):
    """A password that will not do; the message says why."""


def plain(password: str) -> str:
    """The same password however a keyboard composes its characters."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, *, account: str) -> None:
    """Looks whether a password will do: its length decides, not which kinds of characters are in it.

    Raises:
        PasswordError: it will not.
    """
    text = plain(password)
    if not text.isprintable():
        raise PasswordError("a password is made of visible characters and spaces")
    if not SHORTEST <= len(text) <= LONGEST:
        raise PasswordError(f"a password has {SHORTEST} to {LONGEST} characters: three random words do well")
    if len(set(text.casefold())) < 5 or account.casefold() in text.casefold().split():
        raise PasswordError("this password is easily guessed: three random words do well")
    if text.casefold().replace(account.casefold(), "").strip(" 0123456789.!-_") == "":
        raise PasswordError("a password is not the account's name with something added")


def hashed(password: str) -> str:
    """What is kept of a password."""
    return HASHER.hash(plain(password))


def same(kept: str | None, password: str) -> bool:
    """Whether a password is the one that is kept; takes as long where none is kept."""
    text = plain(password)[: LONGEST + 1]
    try:
        return HASHER.verify(kept or _nobodys(HASHER), text.encode("utf-8", "replace")) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    """The hash of a password that nobody has."""
    return hasher.hash(secrets.token_urlsafe(32))


def ready() -> None:
    """Makes now what the first sign-in of an unknown account would have to wait for."""
    _nobodys(HASHER)


def one_time() -> str:
    """A one-time password that can be read out: four groups of five."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(20))
    return "-".join(letters[at : at + 5] for at in range(0, 20, 5))


def secret() -> str:
    """A secret that nobody can guess: 256 bits, 43 characters that stand in a cookie as they are."""
    return secrets.token_urlsafe(32)


def digest(of: str) -> bytes:
    """What is kept of a secret that was made here."""
    return hashlib.sha256(of.encode("utf-8", "surrogatepass")).digest()
