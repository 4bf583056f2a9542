"""The OpenID provider: where people sign in, and what its tokens are worth.

The authorization code flow with PKCE, as OpenID Connect Core 1.0 and RFC 9700 want it. Of a token nothing is
believed before its signature, issuer, audience and times have been checked: with a key of the provider's, by
an algorithm with a public key, whatever the token itself says. Sessions and cookies are not known here.

A provider may be away. It is asked with short time-outs, what it said is kept, and after a failure it is left
alone for a while, so nobody waits for it long and nobody can have it asked without end.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.clock import Clock
    from stream.web.access.claims import Claims

WITH_PUBLIC_KEYS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Algorithms of signatures that are taken: none whose key the provider shares with anybody."""
LEEWAY_S = 30
"""So far the provider's clock may be off."""
OLDEST_S = 600
"""Tokens that are older are not taken, whatever they say of their end; so long, too, a sign-in may take."""
PATIENCE_S = 5.0
"""So long one question to the provider may take in all."""
AWAY_S = 5.0
"""So long after a failure it is not asked again."""
KEPT_S = 3600.0
"""So long what it says of itself is kept; while it is away, longer."""
KEYS_S = 20.0
"""Its keys are not fetched more often than this, whatever keys tokens name."""
MOST_TOKEN, MOST_ANSWER = 100_000, 1_000_000
"""Characters of a token, bytes of an answer."""
MOST_ID = 255
SIGN_OUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_WORD = re.compile(r"[A-Za-z0-9_-]{1,60}")


class ProviderError(Exception):
    """Somebody cannot be signed in; the message is one line for them."""


class ProviderAwayError(ProviderError):
    """The provider does not answer now."""


class TokenError(ProviderError):
    """A token, or an answer of the provider, is not what it has to be."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: what the browser keeps until it comes back, and where it goes.

    Attributes:
        address: the provider's page.
        state: must come back in the address.
        nonce: must come back in the ID token.
        verifier: proves that the code is redeemed by whoever asked for it.
    """

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the provider gave for a code, or for a refresh token.

    Attributes:
        claims: of the ID token, checked; None where a refresh gave none.
        id_token: the ID token as it came; empty: none.
        refresh: with which to ask again; empty: none.
        lasts_s: after so many seconds it has to be asked again.
    """

    claims: Claims | None
    id_token: str
    refresh: str
    lasts_s: float


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whom the provider has signed out: a session of it, or all of a person's.

    Attributes:
        token: names the message, so that it counts once.
        until: when the message is no longer good, microseconds.
    """

    subject: str
    session: str
    token: str
    until: int


class Provider:
    """One OpenID provider.

    Args:
        issuer: its name for itself, an address.
        client: what it calls this program.
        secret: shared with it; empty: a public client, which has none.
        back: where browsers come back to.
        scopes: what is asked for.
        now: the wall clock.
        prompt: what it shall ask people for; empty: what it wants.
        transport: how it is reached; None: by the network.
    """

    def __init__(
        self,
        issuer: str,
        client: str,
        secret: str,
        back: str,
        now: Clock,
        *,
        scopes: str = "openid profile email",
        prompt: str = "",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.issuer, self.client, self._back, self._now = issuer, client, back, now
        self._scopes, self._prompt = scopes, prompt
        self._oauth = AsyncOAuth2Client(
            client,
            secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=scopes,
            redirect_uri=back,
            code_challenge_method="S256",
            timeout=httpx2.Timeout(PATIENCE_S, connect=2.0),
            follow_redirects=False,
            trust_env=True,
            transport=transport,
        )
        self._said: tuple[int, Mapping[str, Any]] | None = None
        self._keys: tuple[int, KeySet] | None = None
        self._failed_at: int | None = None
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        """Ends its connections."""
        await self._oauth.aclose()

    # ── Signing in ────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> Begun:
        """Begins a sign-in.

        Raises:
            ProviderError: it cannot begin now.
        """
        said = await self._about()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        more = {"prompt": self._prompt} if self._prompt else {}
        address, _ = self._oauth.create_authorization_url(
            _endpoint(said, "authorization_endpoint"),
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            **more,
        )
        return Begun(str(address), state, nonce, verifier)

    async def finish(self, begun: Begun, answered: Mapping[str, str]) -> Tokens:
        """Ends a sign-in with what the browser brought back.

        Args:
            begun: as the same browser kept it.
            answered: the parameters with which it came back.

        Raises:
            ProviderError: nobody is signed in.
        """
        if not hmac.compare_digest(answered.get("state", "").encode(), begun.state.encode()):
            raise TokenError("this sign-in was not begun here, or is over; begin again")
        if (error := answered.get("error")) is not None:
            word = error if _WORD.fullmatch(error) else "an error"
            raise ProviderError(f"the sign-in provider signed nobody in ({word}); begin again")
        if answered.get("iss", self.issuer) != self.issuer:
            raise TokenError("another provider answered than was asked; begin again")
        code = answered.get("code", "")
        if not code or len(code) > MOST_TOKEN:
            raise TokenError("the sign-in provider gave no code; begin again")
        got = await self._redeem(
            "fetch_token", grant_type="authorization_code", code=code, code_verifier=begun.verifier
        )
        tokens = await self._tokens(got, begun.nonce)
        if tokens.claims is None:
            raise TokenError("the sign-in provider gave no ID token: is openid among the scopes?")
        return tokens

    async def renew(self, refresh: str, subject: str) -> Tokens:
        """Asks for somebody anew, with the refresh token of their session.

        Raises:
            ProviderAwayError: it does not answer; ask again later.
            ProviderError: they are signed in no more.
        """
        got = await self._redeem("refresh_token", refresh_token=refresh)
        tokens = await self._tokens({"refresh_token": refresh, **got}, None)
        if tokens.claims is not None and tokens.claims["sub"] != subject:
            raise ProviderError("the sign-in provider told of another person")
        return tokens

    async def sign_out_address(self, id_token: str, after: str) -> str | None:
        """Where a browser signs out at the provider too, to come back afterwards; None: nowhere.

        Args:
            id_token: of the session, as a hint; empty: none is left.
            after: where to come back to.
        """
        try:
            said = await self._about()
            end = _endpoint(said, "end_session_endpoint")
        except ProviderError:
            return None
        query = {"post_logout_redirect_uri": after, "client_id": self.client}
        if id_token:
            query["id_token_hint"] = id_token
        return f"{end}{'&' if '?' in end else '?'}{urlencode(query)}"

    # ── What tokens are worth ─────────────────────────────────────────────────────────────────────────────

    async def person(self, token: str, nonce: str | None) -> Claims:
        """The claims of an ID token that this provider made for this program, now.

        Args:
            token: as it came.
            nonce: of the sign-in that it answers; None: it answers none.

        Raises:
            ProviderError: it is not that.
        """
        claims = await self._signed(token)
        self._check(claims)
        azp = claims.get("azp")
        if (azp is not None or _several(claims["aud"])) and azp != self.client:
            raise TokenError("the token was made for another program")
        said = claims.get("nonce")
        if nonce is not None and not (
            isinstance(said, str) and hmac.compare_digest(said.encode(), nonce.encode())
        ):
            raise TokenError("the token answers another sign-in")
        if not _is_id(claims.get("sub")):
            raise TokenError("the token says of nobody who they are")
        if "events" in claims:
            raise TokenError("the token signs nobody in")
        return claims

    async def signed_out(self, token: str) -> SignedOut:
        """Whom a sign-out message of the provider (OpenID Connect Back-Channel Logout 1.0) is about.

        Raises:
            ProviderError: it is none of this provider for this program.
        """
        claims = await self._signed(token)
        self._check(claims)
        events = claims.get("events")
        if not (isinstance(events, dict) and isinstance(events.get(SIGN_OUT_EVENT), dict)):
            raise TokenError("the token is no message that somebody signed out")
        if "nonce" in claims:
            raise TokenError("the token signs somebody in, and not out")
        subject, session, name = (claims.get(key, "") for key in ("sub", "sid", "jti"))
        if not _is_id(name):
            raise TokenError("the message has no id")
        if not (_is_id(subject) or _is_id(session)):
            raise TokenError("the message is about nobody")
        until = int(claims["exp"] + LEEWAY_S) * SECOND
        return SignedOut(subject if _is_id(subject) else "", session if _is_id(session) else "", name, until)

    def _check(self, claims: Claims) -> None:
        """Looks at issuer, audience and times.

        Raises:
            TokenError: one is not right.
        """
        if claims.get("iss") != self.issuer:
            raise TokenError("the token is another provider's")
        audience = claims.get("aud")
        if audience != self.client and not (isinstance(audience, list) and self.client in audience):
            raise TokenError("the token was made for another program")
        now = self._now() / SECOND
        issued, ends, begins = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
        if not (_is_time(issued) and _is_time(ends) and _is_time(begins)):
            raise TokenError("the token has no times")
        if ends <= now - LEEWAY_S:
            raise TokenError("the token is out of date")
        if issued > now + LEEWAY_S or begins > now + LEEWAY_S:
            raise TokenError("the token is not good yet: do the clocks here and at the provider agree?")
        if issued < now - OLDEST_S:
            raise TokenError("the token is too old: do the clocks here and at the provider agree?")

    async def _signed(self, token: str) -> Claims:
        """What a token says whose signature is the provider's.

        Raises:
            ProviderError: it is not, or the provider's keys cannot be had.
        """
        header = _header(token)
        said = await self._about()
        taken = said.get("id_token_signing_alg_values_supported")
        names = {str(item) for item in taken} if isinstance(taken, list) else {"RS256"}
        allowed = sorted(names & WITH_PUBLIC_KEYS)
        if header.get("alg") not in allowed:
            raise TokenError("the token is not signed in a way that this provider and this program know")
        try:
            keys = await self._all_keys(header.get("kid"))
            claims = jwt.decode(token, keys, algorithms=allowed).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise TokenError("the token's signature is not the provider's") from error
        return claims

    # ── Asking the provider ───────────────────────────────────────────────────────────────────────────────

    async def _tokens(self, got: Mapping[str, Any], nonce: str | None) -> Tokens:
        token, refresh, lasts = got.get("id_token"), got.get("refresh_token"), got.get("expires_in")
        claims = await self.person(token, nonce) if isinstance(token, str) and token else None
        return Tokens(
            claims,
            token if claims is not None and isinstance(token, str) else "",
            refresh if isinstance(refresh, str) else "",
            float(lasts) if isinstance(lasts, int | float) and not isinstance(lasts, bool) else 300.0,
        )

    async def _redeem(self, how: str, **said: str) -> Mapping[str, Any]:
        """Asks for tokens.

        Raises:
            ProviderError: it gives none.
        """
        url = _endpoint(await self._about(), "token_endpoint")
        self._left_alone()
        try:
            async with asyncio.timeout(PATIENCE_S):
                got = await getattr(self._oauth, how)(url, **said)
        except (TimeoutError, httpx2.HTTPError) as error:
            raise self._is_away() from error
        except OAuthError as error:
            word = (
                error.error if isinstance(error.error, str) and _WORD.fullmatch(error.error) else "an error"
            )
            if word in ("server_error", "temporarily_unavailable"):
                raise self._is_away() from error
            raise ProviderError(f"the sign-in provider gave no token ({word}); begin again") from error
        except (ValueError, KeyError, TypeError) as error:
            raise TokenError("the sign-in provider's answer cannot be read") from error
        finally:
            self._oauth.token = None  # each is somebody's: none stays with the client
        if not isinstance(got, dict):
            raise TokenError("the sign-in provider's answer cannot be read")
        return got

    async def _about(self) -> Mapping[str, Any]:
        """What the provider says of itself, asked for anew now and then.

        Raises:
            ProviderError: it cannot be had, and never was.
        """
        if self._said is not None and self._now() - self._said[0] < KEPT_S * SECOND:
            return self._said[1]
        async with self._asking:
            if self._said is not None and self._now() - self._said[0] < KEPT_S * SECOND:
                return self._said[1]
            try:
                found = await self._json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != self.issuer:
                    raise TokenError("the sign-in provider calls itself otherwise than PATROL_OPENID_ISSUER")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _endpoint(found, name)
            except ProviderError:
                if self._said is not None:
                    return self._said[1]
                raise
            self._said = self._now(), found
            return found

    async def _all_keys(self, kid: object) -> KeySet:
        """The provider's keys; fetched anew, but not often, where one is asked for that is not among them.

        Raises:
            ProviderError: they cannot be had, and never were.
        """
        async with self._asking:
            if self._keys is not None:
                at, keys = self._keys
                age = self._now() - at
                if age < KEYS_S * SECOND or (any(key.kid == kid for key in keys) and age < KEPT_S * SECOND):
                    return keys
            try:
                said = await self._json(_endpoint(self._said[1] if self._said else {}, "jwks_uri"))
                listed = said.get("keys")
                public = [
                    item
                    for item in (listed if isinstance(listed, list) else [])
                    if isinstance(item, dict)
                    and item.get("kty") in ("RSA", "EC", "OKP")
                    and item.get("use", "sig") == "sig"
                ]
                try:
                    found = KeySet.import_key_set({"keys": public})
                except (JoseError, ValueError, TypeError) as error:
                    raise TokenError("the sign-in provider's keys cannot be read") from error
            except ProviderError:
                if self._keys is not None:
                    return self._keys[1]
                raise
            self._keys = self._now(), found
            return found

    async def _json(self, url: str) -> dict[str, Any]:
        """An object that the provider answers with.

        Raises:
            ProviderError: it does not.
        """
        self._left_alone()
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._oauth.request("GET", url, withhold_token=True)
        except (TimeoutError, httpx2.HTTPError) as error:
            raise self._is_away() from error
        if answer.status_code != 200:
            raise self._is_away()
        try:
            found = json.loads(answer.content) if len(answer.content) <= MOST_ANSWER else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise TokenError("the sign-in provider's answer cannot be read: is PATROL_OPENID_ISSUER right?")
        self._failed_at = None
        return found

    def _left_alone(self) -> None:
        """Looks whether the provider has just failed to answer.

        Raises:
            ProviderAwayError: it has.
        """
        if self._failed_at is not None and 0 <= self._now() - self._failed_at < AWAY_S * SECOND:
            raise ProviderAwayError(_AWAY)

    def _is_away(self) -> ProviderAwayError:
        self._failed_at = self._now()
        return ProviderAwayError(_AWAY)


_AWAY = "the sign-in provider does not answer now; try again in a minute"


def _endpoint(said: Mapping[str, Any], name: str) -> str:
    """An address that the provider names.

    Raises:
        TokenError: it names none.
    """
    found = said.get(name)
    if not isinstance(found, str) or urlsplit(found).scheme not in ("http", "https"):
        raise TokenError(f"the sign-in provider names no {name}: is PATROL_OPENID_ISSUER right?")
    return found


def _header(token: str) -> Mapping[str, Any]:
    """The header of a token, of which nothing is believed.

    Raises:
        TokenError: it is no token with a signature.
    """
    parts = token.split(".") if len(token) <= MOST_TOKEN else []
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except (ValueError, IndexError, RecursionError):
        found = None
    if len(parts) != 3 or not isinstance(found, dict):
        raise TokenError("that is no token")
    return found


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MOST_ID and value.isprintable()


def _several(audience: object) -> bool:
    return isinstance(audience, list) and len(audience) > 1
