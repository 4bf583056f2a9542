"""Forms of the sign-in pages: fields out of a request, and where to go afterwards."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from stream.web.problems import ProblemError, bad

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.requests import HTTPConnection

LARGEST = 20_000
"""The most bytes of a form."""
MOST_BACK = 2000
"""The most characters of where to go afterwards."""


class Form:
    """The fields of a form."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def one(self, name: str) -> str:
        """A field's value; empty where it is not there. Of several the last."""
        return next((value for key, value in reversed(self._pairs) if key == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._pairs if key == name]


async def form_of(request: Request) -> Form:
    """The fields that a request brings along.

    Raises:
        ProblemError: it is no form, or too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != (
        "application/x-www-form-urlencoded"
    ):
        raise ProblemError(415, "UnsupportedMediaType", "send the fields of a form")
    whole = b""
    async for part in request.stream():
        whole += part
        if len(whole) > LARGEST:
            raise ProblemError(413, "TooLarge", f"send at most {LARGEST:,} bytes")
    try:
        pairs = parse_qsl(whole.decode("ascii"), keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError as error:  # UnicodeDecodeError is one
        raise bad("the form's content cannot be read") from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise bad("a text contains a character that is not allowed")
    return Form(pairs)


def own_path(text: str) -> str:
    """Where to go after signing in: a path of these pages, and the first page for anything else.

    A path that begins with two slashes is another machine's address to a browser, and a backslash is a slash
    to it; characters that it leaves out could make one of the other.
    """
    plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    if not plain or not text.startswith("/") or text.startswith("//") or len(text) > MOST_BACK:
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.startswith(("/sign-in", "/sign-out")):
        return "/"
    return text


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from."""
    return connection.client.host if connection.client else ""


def safe_way(connection: HTTPConnection) -> bool:
    """Whether a password may come this way: over TLS, or from this very machine."""
    origin = connection.headers.get("origin", "")
    if connection.url.scheme == "https" or origin.startswith("https://"):
        return True
    host = connection.url.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
