"""How people reach the program: its public address, the proxies in front of it, the names it answers to.

``PATROL_PUBLIC_URL`` is the address in people's browsers: links, redirects and what the browser is told are
made from it, never from what a request says of itself. Of a proxy that is trusted one thing is believed:
whose request it passes on, in the one header that it writes. What anybody else writes there is ignored.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from stream.settings import FORWARDED, Settings, SettingsError, public_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names by which this machine may be asked, whatever its public address."""

ANY_NAME = frozenset({"/healthz", "/readyz"})
"""Paths that say nothing which anybody may not know: probes ask for them by the addresses of containers."""

MOST_HEADER = 2000
"""Characters of a proxy's header that are looked at, from its end: nobody has more proxies than that."""

HSTS = "max-age=31536000"
"""A year; not for subdomains, which belong to the force and not to this program."""

_LINK = re.compile(rb'(\s(?:href|src|action|formaction)=")/(?!/)')
_HOST = re.compile(r"([\w.-]+|\[[\dA-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_LAST = re.compile(r'(?:^|,)([^,"]*(?:"[^"]*"[^,"]*)*)$')
_FOR = re.compile(r'(?:^|;)\s*for=(?:"([^"]*)"|([^";\s]*))\s*(?:;|$)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}")


@dataclass(frozen=True, slots=True)
class Public:
    """The public address, in parts.

    Attributes:
        scheme: ``http`` or ``https``.
        netloc: host and port as browsers write them; the usual port is left out.
        host: the host alone.
        prefix: the path under which the pages are: empty, or with a slash before it and none behind.
    """

    scheme: str
    netloc: str
    host: str
    prefix: str = ""

    @property
    def address(self) -> str:
        """The whole, without a slash at its end."""
        return f"{self.scheme}://{self.netloc}{self.prefix}"

    @property
    def strict(self) -> bool:
        """Whether browsers shall ask for this host by https alone from now on."""
        return self.scheme == "https" and not is_loopback(self.host) and address_of(self.host) is None


def public_of(settings: Settings) -> Public | None:
    """The public address that the settings name; None: none.

    Raises:
        SettingsError: it is not an address.
    """
    return Public(*public_parts(settings.public_url)) if settings.public_url else None


def is_loopback(host: str) -> bool:
    """Whether a name or address leads to the machine itself."""
    found = address_of(host)
    return host in LOOPBACK if found is None else found.is_loopback


def address_of(text: str) -> Address | None:
    """An address, alone, with its port, or in brackets; None where it is none.

    An IPv4 address in the clothes of IPv6 (``::ffff:10.0.0.1``) is the IPv4 address.
    """
    if (found := _WITH_PORT.fullmatch(text)) is not None:
        text = found[1] or found[2] or ""
    try:
        made = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(made, "ipv4_mapped", None) or made


def hops(header: str, values: Iterable[str]) -> Iterator[str]:
    """Whom the proxies say that they were asked by, from the last one back to the first.

    Args:
        header: which header it is.
        values: its values, as they came.
    """
    whole = ", ".join(values)[-MOST_HEADER:]
    if header != FORWARDED:
        yield from (item.strip() for item in reversed(whole.split(",")))
        return
    # From its end, where the nearest proxy wrote: a quote that a caller left open reaches no further.
    while (found := _LAST.search(whole)) is not None:
        said = _FOR.search(found[1])
        yield (said[1] or said[2] or "") if said else ""
        whole = whole[: found.start()]
        if not whole:
            return


class Reached:
    """Settles, before anything else looks at a request, from where it came and for which address.

    What comes from a trusted proxy came to the public address, from whom the proxy says. A path may still
    have the public prefix or have lost it in a proxy: the application sees it without. On its way out a
    page's links that begin at the root, and redirects, get it again; so no page needs to know it. A request
    that names a host which is not ours is refused: a page from elsewhere may make the browser ask here under
    its own name.

    Args:
        app: the application.
        public: the public address.
        trusted: networks whose machines are proxies.
        header: which header they write.
    """

    def __init__(
        self,
        app: ASGIApp,
        public: Public | None = None,
        trusted: Sequence[Network] = (),
        header: str = "x-forwarded-for",
    ) -> None:
        self._app, self._public, self._trusted, self._header = app, public, tuple(trusted), header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        public, (peer, _) = self._public, scope.get("client") or ("", 0)
        scope = {**scope, "headers": list(scope["headers"])}
        headers = MutableHeaders(scope=scope)
        if self._trusts(address_of(peer)):
            scope["client"] = (self._asker(peer, headers), 0)
            if public is not None:
                headers["host"], scope["scheme"] = public.netloc, public.scheme
        elif not self._is_ours(scope, headers):
            await PlainTextResponse("Invalid host header", status_code=400)(scope, receive, send)
            return
        if public is None:
            await self._app(scope, receive, send)
            return
        if prefix := public.prefix:
            scope["app_root_path"] = prefix
            if scope["path"] == prefix or scope["path"].startswith(prefix + "/"):
                scope["path"] = scope["path"].removeprefix(prefix) or "/"
        await self._app(scope, receive, _Leaving(send, public, whole=scope["method"] != "HEAD"))

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _asker(self, peer: str, headers: Headers) -> str:
        """The nearest address that is not a trusted proxy's; what cannot be read hides nothing behind it."""
        found = address_of(peer)
        for said in hops(self._header, headers.getlist(self._header)):
            if not self._trusts(found) or (before := address_of(said)) is None:
                break
            found = before
        return str(found)

    def _is_ours(self, scope: Scope, headers: Headers) -> bool:
        """Whether the host that a request names is this program."""
        named = _HOST.fullmatch(headers.get("host", ""))
        if named is None:
            return False
        host = named[1].strip("[]").lower()
        if host in LOOPBACK or scope["path"] in ANY_NAME:
            return True
        if self._public is not None and host == self._public.host:
            return True
        # A page that came from this very address is ours, so no other can ask under it.
        own = scope.get("server")
        return own is not None and (found := address_of(host)) is not None and found == address_of(own[0])


class _Leaving:
    """What is sent, as the public address needs it: links and redirects with the prefix, and HSTS."""

    def __init__(self, send: Send, public: Public, *, whole: bool) -> None:
        self._send, self._public, self._whole = send, public, whole
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        prefix = self._public.prefix
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if self._public.strict:
                headers["Strict-Transport-Security"] = HSTS
            if prefix and headers.get("location", "").startswith("/"):
                headers["location"] = with_prefix(prefix, headers["location"])
            if prefix and headers.get("content-type", "").startswith("text/html"):
                if not self._whole:
                    del headers["content-length"]
                elif "content-encoding" not in headers and message["status"] != 206:
                    self._start = message
                    return
        elif self._start is not None and message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            page = linked(prefix, b"".join(self._parts))
            MutableHeaders(scope=self._start)["content-length"] = str(len(page))
            await self._send(self._start)
            self._start, message = None, {"type": "http.response.body", "body": page, "more_body": False}
        await self._send(message)


def with_prefix(prefix: str, path: str) -> str:
    """A path of the application as a browser has to ask for it; another machine's address stays as it is."""
    return path if path.startswith("//") else prefix + path


def linked(prefix: str, page: bytes) -> bytes:
    """A page whose links from the root have the prefix.

    Only attributes are touched: in text a quotation mark is written as a character reference.
    """
    return _LINK.sub(lambda found: found[1] + prefix.encode() + b"/", page)


def refuse_taken_prefix(public: Public | None, routes: Iterable[BaseRoute]) -> None:
    """Refuses a prefix that is the beginning of one of the application's own paths: it could mean either.

    Raises:
        SettingsError: it is.
    """
    if public is None or not public.prefix:
        return
    first = public.prefix.split("/")[1]
    if first in {path.split("/")[1] for path in _paths(routes)}:
        raise SettingsError(
            f"PATROL_PUBLIC_URL={public.address}: the pages have a path /{first} of their own; "
            "give them another prefix, for example /patrol"
        )


def _paths(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if (path := getattr(route, "path", "")).startswith("/"):
            yield path
        if (inner := getattr(route, "original_router", None)) is not None:
            yield from _paths(inner.routes)
