"""Sessions that begin at an OpenID provider: begun, asked after now and then, and ended by either side.

What the browser has to bring back from the provider's page is in a cookie of its own, so that nobody else's
sign-in can be finished in it. A session's tokens are sealed with a key that is made from its cookie: they are
opened while a request brings it along, and are no use to anybody else. Asking the provider again happens
beside the requests, and a provider that is away ends no session.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from stream.core.facts import SECOND
from stream.store import passwords, people, record
from stream.store import provided as tables
from stream.store.people import PeopleError
from stream.store.record import Entry, Kind, Outcome
from stream.store.schema import SchemaError
from stream.web.access.claims import Roles
from stream.web.access.claims import Told as Person
from stream.web.access.forms import address_of, form_of, own_path
from stream.web.access.openid import (
    OLDEST_S,
    Begun,
    Provider,
    ProviderAwayError,
    ProviderError,
    TokenError,
)
from stream.web.access.routes import Told
from stream.web.access.sign_in import COOKIE, SECRET
from stream.web.problems import ProblemError, bad

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.settings import Settings
    from stream.store.people import Session
    from stream.store.schema import Connection
    from stream.web.access.openid import Tokens
    from stream.web.access.sign_in import SignIn

BEGUN_COOKIE = "__Host-patrol-begun"
"""What a browser keeps while it is at the provider's page."""
BACK = "/sign-in/provider/back"
SIGNED_OUT = "/sign-out/provider"
SOONEST_S, LATEST_S = 30.0, 900.0
"""The provider is asked again when its token ends, but no sooner and no later than this."""
LOOK_S = 10.0
"""So often it is looked up whether a session's time to ask has come."""
MOST_SESSIONS = 10_000
MEANS = "openid"

_LOG = logging.getLogger(__name__)
_Text = Annotated[str, Meta(min_length=1, max_length=2000)]


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser keeps while it is at the provider's page."""

    state: _Text
    nonce: _Text
    verifier: _Text
    back: _Text


class _Sealed(msgspec.Struct):
    """What is kept of a session's tokens."""

    subject: str
    refresh: str
    id_token: str


class Provided:
    """Sessions that begin at a provider.

    Args:
        entrance: opens and ends sessions.
        provider: the provider.
        roles: who gets which role.
        home: the pages' public address, without a slash at its end.
    """

    def __init__(self, entrance: SignIn, provider: Provider, roles: Roles, home: str) -> None:
        self.provider, self._entrance, self._roles, self._home = provider, entrance, roles, home
        self._looked: dict[bytes, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends what is being asked."""
        for task in self._tasks:
            task.cancel()
        await self.provider.close()

    async def open(self, request: Request, tokens: Tokens) -> str:
        """Opens a session for whoever signed in at the provider, and returns its secret.

        Raises:
            ProviderError: they have no role here, or their account is locked.
        """
        assert tokens.claims is not None
        told, sid = self._roles.told(tokens.claims), tokens.claims.get("sid")
        if not told.grants:
            await self._entrance.ask(lambda connection: self._without_role(connection, told))
            await self._not_in(request, told.name, "no role")
            raise ProviderError(
                f"you have signed in as {told.name}, and nobody has given you a role here; "
                "ask whoever administers this program"
            )
        now, before = self._entrance.now(), request.cookies.get(COOKIE, "")

        def work(connection: Connection) -> str:
            with connection.transaction():
                if SECRET.fullmatch(before):
                    people.close_sessions(connection, digest=passwords.digest(before))
                name = people.provided(
                    connection,
                    self.provider.issuer,
                    told.subject,
                    told.name,
                    told.shown,
                    told.grants,
                    now=now,
                )
                secret = people.open_session(
                    connection,
                    name,
                    means=MEANS,
                    now=now,
                    lasts_s=self._entrance.settings.signed_in_s,
                    address=address_of(request),
                    agent=request.headers.get("user-agent", ""),
                    provider_session=sid if isinstance(sid, str) and sid else None,
                )
                self._keep(connection, secret, told.subject, tokens, now)
                roles = " ".join(map(str, told.grants))
                record.add(connection, _entry("signed in", name, address_of(request), roles=roles))
            return secret

        try:
            return await self._entrance.ask(work)
        except PeopleError as error:
            await self._not_in(request, told.name, str(error))
            raise ProviderError(str(error)) from error
        finally:
            self._entrance.forget()

    def _without_role(self, connection: Connection, told: Person) -> None:
        """Takes the roles of somebody away who had some before: sessions end, and tokens open nothing."""
        issuer = self.provider.issuer
        if tables.name_of(connection, issuer, told.subject) is not None:
            people.provided(
                connection, issuer, told.subject, told.name, told.shown, (), now=self._entrance.now()
            )

    async def _not_in(self, request: Request, name: str, why: str) -> None:
        """Puts on record that somebody whom the provider knows could not sign in here."""
        entry = _entry("signed in", name, address_of(request), failure=why)
        refused = replace(entry, outcome=Outcome.REFUSED)
        await self._entrance.ask(lambda connection: record.add(connection, refused))

    def _keep(self, connection: Connection, secret: str, subject: str, tokens: Tokens, now: int) -> None:
        lasts_s = min(max(tokens.lasts_s, SOONEST_S), LATEST_S) if tokens.refresh else 366 * 86_400.0
        made = msgspec.json.encode(_Sealed(subject, tokens.refresh, tokens.id_token))
        tables.keep(
            connection, passwords.digest(secret), sealed(secret, made), due=now + int(lasts_s * SECOND)
        )

    # ── Asking again ──────────────────────────────────────────────────────────────────────────────────────

    def seen(self, session: Session, secret: str) -> None:
        """Notes that a session was used: where it is due, the provider is asked again, beside the request."""
        now = self._entrance.now()
        if session.means != MEANS or 0 <= now - self._looked.get(session.digest, -1) < LOOK_S * SECOND:
            return
        if len(self._looked) >= MOST_SESSIONS:
            self._looked.clear()
        self._looked[session.digest] = now
        task = asyncio.get_running_loop().create_task(self._ask_again(session, secret))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_again(self, session: Session, secret: str) -> None:
        try:
            now = self._entrance.now()
            found = await self._entrance.ask(
                lambda connection: tables.due(connection, session.digest, now=now)
            )
            if found is None or (kept := _opened(secret, found)) is None or not kept.refresh:
                return
            try:
                tokens = await self.provider.renew(kept.refresh, kept.subject)
                await self._entrance.ask(lambda connection: self._renewed(connection, secret, kept, tokens))
            except (ProviderAwayError, TokenError) as error:
                # No word on whether they may stay: the session goes on, and the provider is asked once more.
                _LOG.warning("the provider was asked again in vain: %s", error)
                return
            except (ProviderError, PeopleError) as error:
                _LOG.info("the session of %s ends: %s", session.person.account, error)
                why = str(error)
                await self._entrance.ask(lambda connection: _ended(connection, session, why))
            self._entrance.forget()
        except (psycopg.Error, SchemaError):
            return  # the pages tell of the database

    def _renewed(self, connection: Connection, secret: str, kept: _Sealed, tokens: Tokens) -> None:
        """Keeps what the provider said anew; other roles than before, or none, end the account's sessions."""
        now = self._entrance.now()
        with connection.transaction():
            if tokens.claims is not None:
                told = self._roles.told(tokens.claims)
                people.provided(
                    connection,
                    self.provider.issuer,
                    told.subject,
                    told.name,
                    told.shown,
                    told.grants,
                    now=now,
                )
            if not tokens.id_token:
                tokens = replace(tokens, id_token=kept.id_token)
            self._keep(connection, secret, kept.subject, tokens, now)

    # ── Signing out ───────────────────────────────────────────────────────────────────────────────────────

    async def leaves(self, session: Session, secret: str) -> str | None:
        """Where a browser signs out at the provider too, asked before the session ends; None: nowhere."""
        if session.means != MEANS:
            return None
        found = await self._entrance.ask(lambda connection: tables.sealed(connection, session.digest))
        kept = None if found is None else _opened(secret, found)
        return await self.provider.sign_out_address(kept.id_token if kept else "", self._home + SIGNED_OUT)

    async def told_out(self, token: str, source: str) -> None:
        """Ends what the provider says has ended.

        Args:
            token: its message.
            source: from where it came.

        Raises:
            ProviderError: the message is none of it, or has been heard.
        """
        message, now = await self.provider.signed_out(token), self._entrance.now()

        def work(connection: Connection) -> bool:
            with connection.transaction():
                if not tables.heard(connection, message.token, until=message.until, now=now):
                    return False
                name = (
                    tables.name_of(connection, self.provider.issuer, message.subject)
                    if message.subject
                    else None
                )
                ended: list[bytes] = []
                if message.session:
                    ended = people.close_sessions(connection, account=name, provider_session=message.session)
                elif name is not None:
                    ended = people.close_sessions(connection, account=name)
                if ended:
                    record.add(connection, _entry("signed out", name or "-", source))
            return True

        fresh = await self._entrance.ask(work)
        self._entrance.forget()
        if not fresh:
            raise TokenError("the message has been heard before")


def provided_of(settings: Settings, entrance: SignIn) -> Provided:
    """Sessions of the provider that the settings name.

    Raises:
        SettingsError: a setting or the file of roles cannot be used.
    """
    settings.need("public_url", "openid_issuer", "openid_client", "roles")
    home, roles = settings.public_url.strip().rstrip("/"), Roles(settings.roles)
    provider = Provider(
        settings.openid_issuer,
        settings.openid_client,
        settings.openid_secret,
        home + BACK,
        entrance.now,
        scopes=roles.file.scopes,
        prompt=roles.file.prompt,
    )
    return Provided(entrance, provider, roles, home)


def add_routes(provided: Provided | None, routes: APIRouter, asked: Callable[..., Response]) -> None:
    """The paths by which browsers go to the provider and come back, and by which it tells who signed out.

    Args:
        provided: None: nobody signs in at a provider, and there are no such pages.
        routes: the router of signing in.
        asked: the sign-in page: of a request, where to go afterwards, what is told, and a status.
    """

    def used() -> Provided:
        if provided is None:
            raise ProblemError(404, "NotFound", "there is no such page")
        return provided

    def refused(request: Request, back: str, error: ProviderError) -> Response:
        status = 503 if isinstance(error, ProviderAwayError) else 403
        text = str(error)
        found = asked(request, back, Told(f"{text[:1].upper()}{text[1:]}.", wrong=True), status=status)
        _cookie(found, "", 0)
        return found

    @routes.get("/sign-in/provider")
    async def begin(request: Request) -> Response:
        back = own_path(request.query_params.get("next", "/"))
        try:
            begun = await used().provider.begin()
        except ProviderError as error:
            return refused(request, back, error)
        found = _go(begun.address)
        kept = _Kept(begun.state, begun.nonce, begun.verifier, back)
        _cookie(found, base64.urlsafe_b64encode(msgspec.json.encode(kept)).decode(), OLDEST_S)
        return found

    @routes.get(BACK)
    async def back_again(request: Request) -> Response:
        sessions, kept = used(), _kept(request.cookies.get(BEGUN_COOKIE, ""))
        if kept is None:
            over = TokenError("this sign-in was not begun in this browser, or is over; begin again")
            return refused(request, "/", over)
        back = own_path(kept.back)
        try:
            begun = Begun("", kept.state, kept.nonce, kept.verifier)
            answered = dict(request.query_params.multi_items())
            secret = await sessions.open(request, await sessions.provider.finish(begun, answered))
        except ProviderError as error:
            return refused(request, back, error)
        found = _go(back)
        _cookie(found, "", 0)
        found.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="lax")
        return found

    @routes.get(SIGNED_OUT)
    def signed_out(_request: Request) -> Response:
        used()
        return _go("/sign-in?out")

    @routes.post(SIGNED_OUT)
    async def told_out(request: Request) -> Response:
        sessions, form = used(), await form_of(request)
        try:
            await sessions.told_out(form.one("logout_token"), address_of(request))
        except ProviderAwayError as error:
            raise ProblemError(503, "NotReady", str(error)) from error
        except ProviderError as error:
            raise bad(str(error)) from error
        return Response(status_code=200, headers={"Cache-Control": "no-store"})


def _entry(what: str, account: str, source: str, **details: str) -> Entry:
    """What goes on record of what the provider says."""
    return Entry(Kind.SIGN_IN, what, account, "none", source, details={"by": "provider", **details})


def _ended(connection: Connection, session: Session, why: str) -> None:
    with connection.transaction():
        if people.close_sessions(connection, digest=session.digest):
            record.add(connection, _entry("signed out", session.person.account, session.address, why=why))


def sealed(secret: str, content: bytes) -> bytes:
    """Content that only whoever has a session's secret can read."""
    nonce = os.urandom(12)
    return nonce + AESGCM(_key(secret)).encrypt(nonce, content, None)


def unsealed(secret: str, content: bytes) -> bytes | None:
    """What was sealed; None: with another secret, or it was changed."""
    try:
        return AESGCM(_key(secret)).decrypt(content[:12], content[12:], None)
    except (InvalidTag, ValueError):
        return None


def _key(secret: str) -> bytes:
    return HKDF(SHA256(), 32, None, b"patrol: tokens of a session").derive(secret.encode())


def _opened(secret: str, content: bytes) -> _Sealed | None:
    found = unsealed(secret, content)
    return None if found is None else msgspec.json.decode(found, type=_Sealed)


def _go(to: str) -> Response:
    return Response(status_code=303, headers={"Location": to, "Cache-Control": "no-store"})


def _cookie(response: Response, value: str, lasts_s: int) -> None:
    response.set_cookie(
        BEGUN_COOKIE, value, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="lax"
    )


def _kept(cookie: str) -> _Kept | None:
    """What a browser kept; None: nothing that can be read."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie), type=_Kept)
    except (ValueError, msgspec.DecodeError):
        return None
