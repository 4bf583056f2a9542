"""What an OpenID provider's tokens are worth: nothing but the right one gives anybody."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from stream.core.facts import SECOND
from stream.core.grants import Grant, Role
from stream.settings import SettingsError
from stream.web.access.claims import Roles, values
from stream.web.access.openid import (
    AWAY_S,
    KEYS_S,
    LEEWAY_S,
    OLDEST_S,
    SIGN_OUT_EVENT,
    Provider,
    ProviderAwayError,
    ProviderError,
    TokenError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

ISSUER = "https://id.force.example/realms/force"
CLIENT = "patrol"
BACK = "https://patrol.force.example/sign-in/provider/back"
NOW_S = 1_800_000_000

OWN = ECKey.generate_key("P-256", {"kid": "own", "use": "sig", "alg": "ES256"})
NEXT = ECKey.generate_key("P-256", {"kid": "next", "use": "sig", "alg": "ES256"})
STRANGER = ECKey.generate_key("P-256", {"kid": "own", "use": "sig", "alg": "ES256"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"})


@dataclass
class Realm:
    """A provider in memory, for what a real one never does; what a real one does is tried with Keycloak.

    Attributes:
        keys: those that it publishes.
        tokens: what its token endpoint answers with: status and object.
        away: whether it is.
        asked: the paths that were asked for.
    """

    keys: list[Any] = field(default_factory=lambda: [OWN, RSA])
    tokens: tuple[int, Any] = (400, {"error": "invalid_grant"})
    about: dict[str, Any] = field(default_factory=dict)
    away: bool = False
    asked: list[str] = field(default_factory=list)
    now: int = NOW_S * SECOND

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """What it answers."""
        path = request.url.path.removeprefix("/realms/force")
        self.asked.append(path)
        if self.away:
            raise httpx2.ConnectError("refused")
        if path == "/.well-known/openid-configuration":
            names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
            said = {name: f"{ISSUER}/{name}" for name in names}
            algorithms = ["none", "HS256", "RS256", "ES256"]
            more = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
            return httpx2.Response(
                200, json={**said, **more, "id_token_signing_alg_values_supported": algorithms, **self.about}
            )
        if path == "/keys":
            return httpx2.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})
        return httpx2.Response(self.tokens[0], json=self.tokens[1])

    def provider(self, secret: str = "") -> Provider:
        """The program's side of it."""
        transport = httpx2.MockTransport(self.answer)
        return Provider(ISSUER, CLIENT, secret, BACK, lambda: self.now, transport=transport)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what is awaited."""
    return asyncio.run(work)


def person(**other: Any) -> dict[str, Any]:
    """The claims of a right ID token, some of them otherwise."""
    right = {"iss": ISSUER, "aud": CLIENT, "sub": "s-1", "iat": NOW_S, "exp": NOW_S + 300, "nonce": "n"}
    return {name: value for name, value in {**right, **other}.items() if value is not None}


def signed_out(**other: Any) -> dict[str, Any]:
    """The claims of a right sign-out message, some of them otherwise."""
    return person(**{"nonce": None, "jti": "j-1", "sid": "x", "events": {SIGN_OUT_EVENT: {}}, **other})


def token(claims: dict[str, Any], key: Any = OWN, alg: str = "ES256", **header: Any) -> str:
    """A signed token."""
    return jwt.encode({"alg": alg, "kid": key.kid, **header}, claims, key, algorithms=[alg])


def plain(claims: dict[str, Any], header: dict[str, Any], signature: str = "") -> str:
    """A token of any header whose signature is what it is."""
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)
    )
    return ".".join([*parts, signature])


def public_as_secret(claims: dict[str, Any]) -> str:
    """Signed with a public key as if it were a shared secret."""
    unsigned = plain(claims, {"alg": "HS256", "kid": "rsa"}).rstrip(".")
    digest = hmac.digest(RSA.as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://evil.example"},
    {"iss": f"{ISSUER}/"},
    {"aud": "another"},
    {"aud": ["another"]},
    {"aud": [CLIENT, "another"]},
    {"aud": [CLIENT, "another"], "azp": "another"},
    {"azp": "another"},
    {"aud": {CLIENT: 1}},
    {"exp": NOW_S - LEEWAY_S},
    {"exp": str(NOW_S + 300)},
    {"exp": True},
    {"exp": 1e300},
    {"iat": NOW_S + LEEWAY_S + 1},
    {"iat": NOW_S - OLDEST_S - 1},
    {"nbf": NOW_S + LEEWAY_S + 1},
    {"nonce": "another"},
    {"nonce": ["n"]},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
    {"sub": "a\nb"},
    {"events": {SIGN_OUT_EVENT: {}}},
    *({name: None} for name in ("iss", "aud", "sub", "iat", "exp", "nonce")),
]


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_a_right_token_gives_its_person(alg: str) -> None:
    """What the provider signed for this program and this sign-in is believed."""
    key = OWN if alg == "ES256" else RSA
    made = token(person(groups=["a"]), key, alg)
    assert run(Realm().provider().person(made, "n"))["groups"] == ["a"]
    assert run(Realm().provider().person(token(person(aud=[CLIENT, "x"], azp=CLIENT)), "n"))["sub"] == "s-1"


@pytest.mark.parametrize("wrong", WRONG_CLAIMS, ids=str)
def test_a_token_with_one_wrong_claim_gives_nobody(wrong: dict[str, Any]) -> None:
    """However well it is signed, a token for another time, program, sign-in or provider is refused."""
    with pytest.raises(TokenError):
        run(Realm().provider().person(token(person(**wrong)), "n"))


@pytest.mark.parametrize(
    "made",
    [
        plain(person(), {"alg": "none"}),
        plain(person(), {"alg": "none", "kid": "own"}, "x"),
        plain(person(), {"alg": "None"}),
        plain(person(), {"alg": ["ES256"]}),
        plain(person(), {}),
        plain(person(), {"alg": "ES256", "kid": "own"}),
        plain(person(), {"alg": "ES256", "kid": "own"}, "AAAA"),
        public_as_secret(person()),
        token(person(), STRANGER),
        token(person(), STRANGER, jwk=STRANGER.as_dict(private=False)),
        token(person(), NEXT),
        token(person(), OWN, kid="unknown"),
        token(person(), OWN, kid="rsa"),
        "",
        "a.b",
        "a.b.c",
        "....",
        "x" * 200_000,
        "é.é.é",
    ],
    ids=range(19),
)
def test_a_token_that_the_provider_did_not_sign_gives_nobody(made: str) -> None:
    """No signature, another's, one by a public key as a secret, or no token at all: nobody."""
    with pytest.raises(TokenError):
        run(Realm().provider().person(made, "n"))


PIECES = st.one_of(
    st.text(max_size=30),
    st.integers(),
    st.none(),
    st.booleans(),
    st.floats(),
    st.lists(st.sampled_from([CLIENT, "x", 1]), max_size=2),
    st.dictionaries(st.sampled_from(["a", SIGN_OUT_EVENT]), st.integers(), max_size=2),
)


@tries(max_examples=60)
@given(
    st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf", "nonce", "azp", "events", "jti", "sid"]),
    PIECES,
    st.sampled_from([OWN, STRANGER, NEXT]),
    st.booleans(),
    st.integers(0, 400),
)
def test_no_token_but_a_right_one_ever_gives_anybody(
    name: str, value: Any, key: Any, out: bool, cut: int
) -> None:
    """A claim replaced by anything, a wrong key, or a byte changed gives nobody, and never another error."""
    right = signed_out() if out else person()
    claims = {**right, name: value}
    made = token(claims, key)
    spoilt = made[:cut] + ("A" if made[cut : cut + 1] != "A" else "B") + made[cut + 1 :]
    provider = Realm().provider()
    for sent, sure in ((made, key is not OWN), (spoilt, cut < made.rindex("."))):
        try:
            if out:
                found = run(provider.signed_out(sent))
                assert found.subject or found.session
                assert found.token
            else:
                assert run(provider.person(sent, "n"))["sub"] == claims["sub"]
        except TokenError:
            continue
        assert not sure
        assert claims["iss"] == ISSUER
        assert CLIENT in (claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]])
        assert claims["exp"] > NOW_S - LEEWAY_S
        assert out or claims["nonce"] == "n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": None},
        {"events": {}},
        {"events": [SIGN_OUT_EVENT]},
        {"events": {SIGN_OUT_EVENT: 1}},
        {"nonce": "n"},
        {"jti": None},
        {"sid": None, "sub": None},
        {"aud": "another"},
        {"exp": NOW_S - LEEWAY_S},
        {"exp": None},
    ],
    ids=str,
)
def test_a_message_that_is_no_sign_out_signs_nobody_out(wrong: dict[str, Any]) -> None:
    """An ID token, or a message without what it has to have, ends no session."""
    provider = Realm().provider()
    assert run(provider.signed_out(token(signed_out()))).session == "x"
    with pytest.raises(TokenError):
        run(provider.signed_out(token(signed_out(**wrong))))


# ── Signing in ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sign_in_asks_with_a_challenge_and_ends_once() -> None:
    """The provider gets state, nonce and challenge; what comes back otherwise is refused."""
    realm = Realm()
    provider = realm.provider("secret")

    async def story() -> None:
        begun = await provider.begin()
        asked = {name: value[0] for name, value in parse_qs(urlsplit(begun.address).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert begun.verifier not in begun.address
        assert (asked["state"], asked["nonce"]) == (begun.state, begun.nonce)
        assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, BACK)
        claims = person(nonce=begun.nonce)
        realm.tokens = (200, {"access_token": "a", "token_type": "Bearer", "id_token": token(claims)})
        back = {"state": begun.state, "code": "c"}
        assert (await provider.finish(begun, back)).claims == claims
        for other in (
            {"state": "x"},
            {"state": ""},
            {"iss": "https://evil.example"},
            {"code": ""},
            {"error": "x"},
        ):
            with pytest.raises(ProviderError):
                await provider.finish(begun, {**back, **other})
        with pytest.raises(TokenError):
            await provider.finish(await provider.begin(), {**back, "state": begun.state})
        realm.tokens = (200, {"access_token": "a", "token_type": "Bearer", "id_token": token(person())})
        with pytest.raises(TokenError, match="another sign-in"):
            await provider.finish(begun, back)
        await provider.close()

    run(story())


@pytest.mark.parametrize(
    "tokens",
    [
        (400, {"error": "invalid_grant"}),
        (400, {"error": ["x"]}),
        (200, {}),
        (200, []),
        (200, {"id_token": 7}),
        (200, {"access_token": "a"}),
        (500, {}),
        (302, {}),
        (400, "x"),
        (200, {"error": "<script>"}),
    ],
    ids=str,
)
def test_a_code_that_the_provider_does_not_take_signs_nobody_in(tokens: tuple[int, Any]) -> None:
    """A replayed code, and any answer that is no answer, is one line for whoever wanted to sign in."""
    realm = Realm(tokens=tokens)

    async def story() -> None:
        provider = realm.provider()
        begun = await provider.begin()
        with pytest.raises(ProviderError) as refused:
            await provider.finish(begun, {"state": begun.state, "code": "c"})
        assert "\n" not in str(refused.value)
        assert "<" not in str(refused.value)
        await provider.close()

    run(story())


def test_new_keys_are_fetched_but_not_often() -> None:
    """A token by a new key has the keys fetched anew; tokens by unknown keys do so once in a while only."""
    realm = Realm()
    provider = realm.provider()

    async def story() -> None:
        await provider.person(token(person()), "n")
        assert realm.asked.count("/keys") == 1
        realm.keys = [NEXT]
        realm.now += int(KEYS_S) * SECOND
        assert (await provider.person(token(person(), NEXT), "n"))["sub"] == "s-1"
        for _ in range(5):
            with pytest.raises(TokenError):
                await provider.person(token(person(), OWN), "n")
        assert realm.asked.count("/keys") == 2

    run(story())


def test_a_provider_that_is_away_is_left_alone_for_a_while() -> None:
    """Before it ever answered nobody can begin, and it is asked once; what it said holds while it is away."""
    realm = Realm(away=True)
    provider = realm.provider()

    async def story() -> None:
        for _ in range(3):
            with pytest.raises(ProviderAwayError, match="does not answer now"):
                await provider.begin()
        assert len(realm.asked) == 1
        realm.away, realm.now = False, realm.now + int(AWAY_S) * SECOND
        await provider.begin()
        await provider.person(token(person()), "n")
        realm.away, realm.now = True, realm.now + 7200 * SECOND
        late = person(iat=NOW_S + 7200, exp=NOW_S + 7500)
        assert (await provider.person(token(late), "n"))["sub"] == "s-1"
        assert await provider.sign_out_address("", "https://x/") is not None

    run(story())


def test_a_provider_that_calls_itself_otherwise_is_refused() -> None:
    """What another issuer says of itself is not taken for what was set."""
    for about in (
        {"issuer": "https://evil.example"},
        {"jwks_uri": None},
        {"token_endpoint": "file:///etc/passwd"},
    ):
        with pytest.raises(TokenError, match="PATROL_OPENID_ISSUER"):
            run(Realm(about=about).provider().begin())


# ── Roles ─────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = """
[[role]]
claim = "realm_access.roles"
value = "patrol-inspector"
role = "inspector"

[[role]]
claim = "groups"
value = "/patrol/west"
role = "sergeant"
neighbourhoods = ["N1", "N2"]

[[role]]
claim = "groups"
value = "/patrol/sergeants"
role = "sergeant"
neighbourhoods_claim = "https://force.example/teams"

[[role]]
claim = "groups"
value = "/officers"
role = "officer"
officer_claim = "collar.number"
"""


def told(folder: Path, claims: dict[str, Any], table: str = TABLE) -> Any:
    """What a table says of somebody."""
    path = folder / "roles.toml"
    path.write_text(table, "utf-8")
    return Roles(str(path)).told({"sub": "s-1", **claims})


def test_claims_become_roles_with_their_scopes(tmp_path: Path) -> None:
    """Each line whose value is among a claim's gives its role; scopes come from the line or from a claim."""
    found = told(
        tmp_path,
        {
            "realm_access": {"roles": ["patrol-inspector", "x"]},
            "groups": ["/patrol/west", "/patrol/sergeants", "/officers"],
            "https://force.example/teams": ["N7"],
            "collar": {"number": 1001},
            "preferred_username": "J.Doe",
            "name": "Jane  Doe",
        },
    )
    assert (found.name, found.shown) == ("J.Doe", "Jane Doe")
    assert set(found.grants) == {
        Grant(Role.INSPECTOR),
        Grant(Role.SERGEANT, frozenset({"N1", "N2"})),
        Grant(Role.SERGEANT, frozenset({"N7"})),
        Grant(Role.OFFICER, officer="1001"),
    }


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"groups": "/patrol/wes"},
        {"groups": {"/patrol/west": 1}},
        {"groups": ["/patrol/sergeants"]},
        {"groups": None},
        {"groups": ["/officers"]},
        {"groups": ["/officers"], "collar": {"number": ["1", "2"]}},
        {"groups": [["/patrol/west"]]},
        {"groups": ["/patrol/sergeants"], "https://force.example/teams": [""]},
        {"realm_access": ["patrol-inspector"]},
    ],
    ids=str,
)
def test_whom_no_line_fits_gets_nothing(tmp_path: Path, claims: dict[str, Any]) -> None:
    """Nobody has a role that nobody gave them; a missing scope gives nothing, and not the whole force."""
    assert told(tmp_path, claims).grants == ()


def test_a_name_with_dots_is_found() -> None:
    """Dots are part of a name where there is such a claim, and lead inside where there is not."""
    claims = {"a.b": {"c.d": ["1"]}, "a": {"b": ["2"]}}
    assert values(claims, "a.b.c.d") == ["1"]
    assert values(claims, "a.b") == []
    assert values({"a": {"b": ["2"]}}, "a.b") == ["2"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "role"),
        ("role = []", "no [[role]]"),
        ("[[role]]", "claim"),
        ('[[role]]\nclaim="g"\nvalue="v"\nrole="chief"', "'chief' does not exist"),
        ('[[role]]\nclaim="g"\nvalue="v"\nrole="sergeant"', "needs neighbourhoods"),
        ('[[role]]\nclaim="g"\nvalue="v"\nrole="officer"', "officer_claim"),
        ('[[role]]\nclaim="g"\nvalue="v"\nrole="auditor"\nneighbourhoods=["N1"]', "whole force"),
        ('[[role]]\nclaim="g"\nvalue="v"\nrole="gis"\nneighbourhood=["N1"]', "neighbourhood"),
        ('[[role]]\nclaim="g"\nvalue=""\nrole="gis"', "say something"),
        ("[[role]", "line 1"),
        ('scopes = "profile"\n[[role]]\nclaim="g"\nvalue="v"\nrole="gis"', "openid among them"),
    ],
)
def test_a_table_that_makes_no_sense_is_told_in_one_line(tmp_path: Path, table: str, said: str) -> None:
    """A file that cannot be used ends the start, with its name and what to write."""
    with pytest.raises(SettingsError) as refused:
        told(tmp_path, {}, table)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"PATROL_ROLES={tmp_path}/roles.toml: ")
    assert "\n" not in str(refused.value)
    with pytest.raises(SettingsError, match="No such file"):
        Roles(str(tmp_path / "none"))
