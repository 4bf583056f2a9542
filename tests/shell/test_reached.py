"""How people reach the pages: public address, proxies, prefix, own TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from stream.settings import FORWARDED, X_FORWARDED_FOR, Settings, SettingsError, load, trusted_networks
from stream.web.access.viewer import Loopback
from stream.web.app import create_app
from stream.web.description import document
from stream.web.reached import HSTS, Reached, address_of, linked, public_of
from stream.web.tls import Certificate, certificate_of

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

PUBLIC = "https://patrol.force.example/patrol"
PROXY = "10.0.0.1"
PROXIES = "10.0.0.0/24, 2001:db8:1::/64"
DSN = "postgresql:///nobody"
PAGE = '<a href="/weeks">words with src=&quot;/x&quot;</a>'


async def _told(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that tells how a request reached it."""
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    said = {
        "path": scope["path"],
        "client": scope["client"][0],
        "scheme": scope["scheme"],
        "host": headers["host"],
    }
    answer: Any = JSONResponse(said)
    if scope["path"] == "/page":
        answer = HTMLResponse(PAGE)
    elif scope["path"] == "/away":
        answer = RedirectResponse("/weeks")
    await answer(scope, receive, send)


def ask(
    path: str = "/",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    *,
    peer: str = PROXY,
    host: str = "localhost",
    method: str = "GET",
    **settings: str,
) -> httpx.Response:
    """What a machine gets that asks, with headers of its own."""
    chosen = Settings(**{"public_url": PUBLIC, "trusted_proxies": PROXIES, **settings})  # type: ignore[arg-type]
    app = Reached(_told, public_of(chosen), trusted_networks(chosen.trusted_proxies), chosen.proxy_header)
    given = headers.items() if isinstance(headers, dict) else headers or []

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, headers=list(given))

    return asyncio.run(once())


ADDRESSES = st.ip_addresses().filter(
    lambda item: (
        not any(item in net for net in trusted_networks(PROXIES)) and not getattr(item, "ipv4_mapped", 0)
    )
)
CHEATS = st.lists(
    st.one_of(
        ADDRESSES.map(str),
        st.sampled_from(
            [PROXY, "for=1.2.3.4", 'for="', '"', "unknown", "[::1]:5", "", ";", 'for=_x;by="', "\\"]
        ),
    ),
    max_size=4,
)


@pytest.mark.parametrize("header", [X_FORWARDED_FOR, FORWARDED])
@tries(max_examples=60)
@given(data=st.data())
def test_a_client_cannot_choose_its_address(header: str, data: st.DataObject) -> None:
    """Whatever a caller writes into either header, through several proxies, its own address is taken."""
    caller = data.draw(ADDRESSES)
    between = data.draw(st.lists(st.sampled_from(["10.0.0.2", "10.0.0.77", "2001:db8:1::5"]), max_size=2))
    other = FORWARDED if header == X_FORWARDED_FOR else X_FORWARDED_FOR

    def said(address: str) -> str:
        shown = f"[{address}]" if ":" in address else address
        return (
            address
            if header == X_FORWARDED_FOR
            else f'for="{shown}:4711";proto=https'
            if ":" in address
            else f"for={shown}"
        )

    lied = data.draw(CHEATS)
    value = ", ".join([*lied, said(str(caller)), *(said(item) for item in between)])
    answer = ask(headers=[(header, value), (other, "1.2.3.4, for=1.2.3.4")], proxy_header=header)
    assert answer.json()["client"] == str(caller)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([X_FORWARDED_FOR, FORWARDED, "x-forwarded-host", "x-real-ip"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        ),
        max_size=4,
    )
)
@tries(max_examples=30)
def test_nobody_but_a_proxy_is_believed(headers: list[tuple[str, str]]) -> None:
    """Headers from a machine that is no trusted proxy change nothing."""
    for trusted in (PROXIES, ""):
        answer = ask(headers=headers, peer="192.0.2.9", trusted_proxies=trusted)
        assert answer.json() == {"path": "/", "client": "192.0.2.9", "scheme": "http", "host": "localhost"}


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("198.51.100.7:5555", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("[2001:db8::9]:5555", "2001:db8::9"),
        ("unknown", PROXY),
        ("198.51.100.7, unknown", PROXY),
        ("198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("x" * 9000 + ", 198.51.100.7", "198.51.100.7"),
    ],
)
def test_what_proxies_write_is_read(value: str, client: str) -> None:
    """Ports, brackets and mapped addresses are read; what cannot be read leaves the last one that is sure."""
    assert ask(headers={X_FORWARDED_FOR: value}).json()["client"] == client
    assert ask(headers={X_FORWARDED_FOR: value}, peer=f"::ffff:{PROXY}").json()["client"] == client


def test_a_request_through_a_proxy_came_to_the_public_address() -> None:
    """Whatever host a proxy names, the application is asked at its public address, without prefix."""
    for path, host in (
        ("/patrol/weeks", "127.0.0.1:8080"),
        ("/weeks", "upstream"),
        ("/weeks", "evil.example"),
    ):
        said = ask(path, host=host).json()
        assert said["host"] == "patrol.force.example"
        assert said["scheme"] == "https"
        assert said["path"] == path.removeprefix("/patrol")
    assert ask("/patrol").json()["path"] == "/"
    assert ask("/patrolled").json()["path"] == "/patrolled"


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("patrol.force.example", "/", 200),
        ("patrol.force.example:8443", "/", 200),
        ("localhost:8080", "/", 200),
        ("[::1]:8080", "/", 200),
        ("evil.example", "/", 400),
        ("patrol.force.example.evil.example", "/", 400),
        ("localhost.evil.example", "/", 400),
        ("10.9.9.9", "/", 400),
        ("10.9.9.9", "/healthz", 200),
        ("10.9.9.9", "/healthz/../weeks", 400),
        ("user@localhost", "/", 400),
    ],
)
def test_a_host_that_is_not_ours_is_refused(host: str, path: str, status: int) -> None:
    """Ours are the public host and this machine's own names; probes may ask for health by any."""
    answer = ask(path, {"host": host}, peer="192.0.2.9")
    assert answer.status_code == status


def test_the_address_of_the_machine_itself_is_ours() -> None:
    """Who asks for the very address that was connected to has a page from there, if any."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    async def once(host: str) -> int:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"host", host.encode())],
            "client": ("192.0.2.9", 1),
            "server": ("10.1.2.3", 8080),
        }
        sent.clear()
        await Reached(_told)(scope, receive, send)
        return int(sent[0]["status"])

    assert asyncio.run(once("10.1.2.3:8080")) == 200
    assert asyncio.run(once("10.1.2.4:8080")) == 400
    assert asyncio.run(once("[")) == 400


def test_links_and_redirects_leave_with_the_prefix() -> None:
    """Pages and redirects need not know it: they get it on their way out, with the right length."""
    answer = ask("/page")
    assert answer.text == PAGE.replace("/weeks", "/patrol/weeks")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ask("/away").headers["location"] == "/patrol/weeks"
    assert "content-length" not in ask("/page", method="HEAD").headers
    assert ask("/page", public_url="https://patrol.force.example").text.startswith('<a href="/weeks">')


def test_links_elsewhere_stay_as_they_are() -> None:
    """Addresses of other machines, anchors and relative links get no prefix."""
    page = b'<a href="//x/y"><a href="https://x/"><a href="#a"><a href="weeks"><img data-href="/x">'
    assert linked("/p", page) == page


@pytest.mark.parametrize(
    ("public", "strict"),
    [
        (PUBLIC, True),
        ("http://patrol.force.example", False),
        ("https://localhost/p", False),
        ("https://10.1.2.3", False),
    ],
)
def test_https_is_asked_for_from_then_on(public: str, strict: bool) -> None:
    """Where the public address is https, browsers keep to it; not for this machine's names and addresses."""
    assert (ask("/", public_url=public).headers.get("strict-transport-security") == HSTS) is strict


@pytest.mark.parametrize(
    "public",
    [
        "patrol.force.example",
        "ftp://x",
        "https://",
        "https://u:p@x/",
        "https://x/?a",
        "https://x/a b",
        "https://x/../y",
        "https://x/a//b",
        "https://x:99999/",
        "https://[::1",
        'https://x/"onload=',
        "https://x y/",
        "https://é.example",
    ],
)
def test_an_address_that_cannot_be_is_refused(public: str) -> None:
    """What is no address of scheme, host and path ends with a line that says what to write."""
    with pytest.raises(SettingsError, match=r"PATROL_PUBLIC_URL=.*https://patrol\.force\.example/patrol"):
        load({"PATROL_PUBLIC_URL": public})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PATROL_TRUSTED_PROXIES": "10.0.0.1"}, "PATROL_PUBLIC_URL is not set"),
        ({"PATROL_TRUSTED_PROXIES": "nginx", "PATROL_PUBLIC_URL": PUBLIC}, "'nginx'"),
        ({"PATROL_TRUSTED_PROXIES": "10.0.0.1/8", "PATROL_PUBLIC_URL": PUBLIC}, "'10.0.0.1/8'"),
        ({"PATROL_TRUSTED_PROXIES": "0.0.0.0/0", "PATROL_PUBLIC_URL": PUBLIC}, "everybody"),
        ({"PATROL_PROXY_HEADER": "x-real-ip"}, "x-forwarded-for or forwarded"),
        ({"PATROL_TLS_KEY": "key.pem"}, "PATROL_TLS_CERTIFICATE is not set"),
        ({"PATROL_TLS_CERTIFICATE": "c.pem"}, "PATROL_TLS_KEY is not set"),
    ],
)
def test_half_of_a_proxy_s_settings_is_refused(given: dict[str, str], said: str) -> None:
    """What is missing or means everybody is told in one line."""
    with pytest.raises(SettingsError) as refused:
        load(given)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_open_address_needs_sign_in() -> None:
    """Without sign-in the program has no public address but this machine's own."""
    with pytest.raises(SettingsError, match="nobody has to sign in"):
        create_app(Settings(database=DSN, public_url=PUBLIC))
    create_app(Settings(database=DSN, public_url="https://localhost:8443/patrol"))
    create_app(Settings(database=DSN, public_url=PUBLIC), entrance=Loopback())


def test_a_prefix_that_is_a_page_of_our_own_is_refused() -> None:
    """A path that would mean two things is not taken for a prefix."""
    for prefix in ("weeks", "api", "static/x", "collections"):
        with pytest.raises(SettingsError, match="another prefix"):
            create_app(Settings(database=DSN, public_url=f"http://localhost/{prefix}"))


def test_the_description_names_the_public_address() -> None:
    """Programs that read the API's description ask where people do; the one in the sources names none."""
    app = create_app(Settings(database=DSN))
    assert document(app, PUBLIC)["servers"] == [{"url": PUBLIC}]
    assert "servers" not in document(app)


def test_links_for_a_gis_are_those_of_the_public_address() -> None:
    """What OGC API Features links to is reached from outside, whatever the proxy asked for."""
    app = create_app(Settings(database=DSN, public_url=PUBLIC, trusted_proxies=PROXIES), entrance=Loopback())

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(PROXY, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://upstream:8080") as client:
            return await client.get("/")

    links = [item["href"] for item in asyncio.run(once()).json()["links"]]
    assert len(links) == 4
    assert all(item.startswith(f"{PUBLIC}/") for item in links)


# ── TLS of its own ────────────────────────────────────────────────────────────────────────────────────────


def _pair(folder: Path, authority: trustme.CA) -> tuple[str, str]:
    """A new certificate for localhost in the folder's two files."""
    made = authority.issue_cert("localhost")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(item.bytes() for item in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return str(certificate), str(key)


def _shown(server: ssl.SSLContext, authority: trustme.CA) -> int:
    """The serial number of the certificate that a handshake shows."""
    client = ssl.create_default_context()
    authority.configure_trust(client)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(one, other, server_hostname="localhost")
    answers = server.wrap_bio(other, one, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = asks.getpeercert()
    assert found is not None
    return int(str(found["serialNumber"]), 16)


def test_a_renewed_certificate_is_used_at_once(tmp_path: Path) -> None:
    """A pair that was replaced is in the next handshake; half of one, or nonsense, leaves the pair before."""
    authority = trustme.CA()
    server = Certificate(*_pair(tmp_path, authority)).context()
    first = _shown(server, authority)
    assert _shown(server, authority) == first
    (tmp_path / "certificate.pem").write_text("half a certif")
    assert _shown(server, authority) == first
    _pair(tmp_path, authority)
    second = _shown(server, authority)
    assert second != first
    (tmp_path / "key.pem").unlink()
    assert _shown(server, authority) == second


def test_a_certificate_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """Files that are missing or no pair are told at the start in one line."""
    certificate, key = _pair(tmp_path, trustme.CA())
    for chosen in ((certificate, certificate), (str(tmp_path / "none"), key), (key, key)):
        with pytest.raises(SettingsError, match="PATROL_TLS_CERTIFICATE=") as refused:
            certificate_of(Settings(tls_certificate=chosen[0], tls_key=chosen[1]))
        assert "\n" not in str(refused.value)
    assert certificate_of(Settings()) is None


def test_addresses_are_read_as_they_are_written() -> None:
    """What is no address is none."""
    assert address_of("::ffff:10.0.0.1") == ipaddress.ip_address("10.0.0.1")
    for text in ("", "10.0.0", "[10.0.0.1", "localhost", "10.0.0.1:", "1.2.3.4:5:6"):
        assert address_of(text) is None
    assert re.fullmatch(r"max-age=\d+", HSTS)
