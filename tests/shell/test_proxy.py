"""The pages behind a real nginx with TLS and a path prefix, as ``deploy/proxy`` has it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx
import pytest
import uvicorn
from playwright.sync_api import expect

from geo.areas import Kind
from geo.boundaries.writing import areas_geojson
from stream.embedded import free_port
from stream.settings import Settings
from stream.store.schema import connect
from stream.web.access.viewer import Loopback
from stream.web.app import create_app
from tests.shell.nginx import Nginx, nginx_path
from tests.shell.screen import PHONE, built, visiting
from tests.shell.stored import migrated
from tests.shell.town import TOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from starlette.requests import HTTPConnection

    from stream.embedded import EmbeddedDatabase
    from stream.web.access.viewer import Viewer

pytestmark = pytest.mark.slow

UPLOAD = "/api/v1/boundaries/check"


class Noting(Loopback):
    """Lets everybody in, and notes from where they came."""

    def __init__(self) -> None:
        self.callers: list[str] = []

    async def viewer(self, connection: HTTPConnection) -> Viewer | None:
        """Everybody, with a note."""
        self.callers.append(connection.client.host if connection.client else "")
        return await super().viewer(connection)


@dataclass(slots=True)
class Site:
    """The program behind the proxy.

    Attributes:
        address: where people go, with the prefix.
        own: the program's own address.
        trust: in the proxy's certificate.
        entrance: notes who came.
    """

    nginx: Nginx
    address: str
    own: str
    trust: ssl.SSLContext
    entrance: Noting

    def client(self, **options: str) -> httpx.Client:
        """A plain client outside of the proxy."""
        return httpx.Client(base_url=self.address, verify=self.trust, timeout=60, headers=options)


@pytest.fixture(scope="module")
def site(database_server: EmbeddedDatabase) -> Iterator[Site]:
    """The pages of a force that has boundaries and no positions yet."""
    nginx_path()
    built()
    port = free_port()
    address = f"https://localhost:{port}/patrol"
    entrance = Noting()
    with migrated(database_server, "proxied") as dsn:
        from stream.store import areas

        with connect(dsn) as connection:
            areas.publish(connection, TOWN, Kind.NEIGHBOURHOOD, 0, file="a", sha256="", by="test")
        chosen = Settings(database=dsn, public_url=address, trusted_proxies="127.0.0.1", clock="events")
        app = create_app(chosen, entrance=entrance)
        # As patrol web starts it: what proxies say is not for uvicorn to judge.
        config = uvicorn.Config(app, log_config=None, proxy_headers=False, access_log=False)
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        inside = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            with Nginx(inside, port=port) as nginx:
                trust = ssl.create_default_context()
                nginx.authority.configure_trust(trust)
                yield Site(nginx, address, f"http://127.0.0.1:{inside}", trust, entrance)
        finally:
            app.state.pulse.end()
            server.should_exit = True
            thread.join()


class Links(HTMLParser):
    """Every address that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def test_every_link_of_every_page_stays_under_the_prefix(site: Site) -> None:
    """From the front page every kind of page is reached by links, and none leads out of the prefix."""
    front = f"{site.address}/"
    waiting, seen, kinds = [front], {front}, Counter[str]()
    with site.client(Accept="text/html") as client:
        while waiting:
            here = waiting.pop()
            kinds[here.removeprefix(front).split("/")[0].partition("?")[0]] += 1
            answer = client.get(here, follow_redirects=True)
            assert str(answer.url).startswith(front)
            if "text/html" not in answer.headers["content-type"]:
                assert answer.status_code == 200, here
                continue
            for link in Links(answer.text).found:
                there = urljoin(here, link).partition("#")[0]
                if there.startswith("data:"):
                    continue
                assert there.startswith(front), (here, link)
                kind = there.removeprefix(front).split("/")[0].partition("?")[0]
                if there not in seen and (kinds[kind] < 3 or kind == "static"):
                    seen.add(there)
                    waiting.append(there)
    assert {"", "weeks", "months", "postcode", "boundaries", "static"} <= set(kinds)
    assert any("/static/assets/live-" in item for item in seen)


def test_the_links_of_the_api_stay_under_the_prefix(site: Site) -> None:
    """A GIS that is given the public address finds everything by links from there."""
    with site.client() as client:
        links = [item["href"] for item in client.get("/").json()["links"]]
        assert f"{site.address}/collections" in links
        for link in links:
            assert client.get(link).status_code == 200
        found = client.get("/collections").json()
        items = [item["href"] for one in found["collections"] for item in one["links"]]
        assert all(item.startswith(f"{site.address}/collections/") for item in items)
        description = client.get("/api/v1/openapi.json").json()
        assert description["servers"] == [{"url": site.address}]


def test_the_pages_work_in_a_browser_through_the_proxy(site: Site, browser: Browser) -> None:
    """The live page has its stream and its map, the boundary page takes a file; nobody complains."""
    origin = site.nginx.address
    with visiting(browser, site.address, ignore_https_errors=True) as visitor:
        expect(visitor.page.locator("#list a.row")).to_have_count(2)
        visitor.until("() => patrol.state.connection === 'open'", "heard its stream")
        visitor.until("() => patrol.map.map.getLayer('units') && patrol.map.map.areTilesLoaded()", "a map")
        visitor.undisturbed(origin)
        visitor.shot("proxied-live")
    with visiting(browser, site.address, "/boundaries", size=PHONE, ignore_https_errors=True) as visitor:
        page = visitor.page
        file = areas_geojson(TOWN.only(Kind.NEIGHBOURHOOD))
        page.set_input_files(
            "#file", {"name": "a.geojson", "mimeType": "application/geo+json", "buffer": file}
        )
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.locator("#findings")).to_be_visible()
        visitor.undisturbed(origin)
        visitor.shot("proxied-boundaries")


def test_events_come_while_the_stream_is_open(site: Site) -> None:
    """The proxy holds nothing back: the snapshot and a pulse come though the stream has no end."""
    with site.client() as client, client.stream("GET", "/api/v1/stream") as answer:
        kinds = (line for line in answer.iter_lines() if line.startswith("event:"))
        assert next(kinds) == "event: snapshot"
        assert any(kind == "event: pulse" for kind in kinds)


def test_a_large_file_goes_through_and_other_large_content_does_not(site: Site) -> None:
    """Boundary files may be large; what else is sent may not, and the proxy says so itself."""
    file = b" " * 3_000_000 + areas_geojson(TOWN.only(Kind.NEIGHBOURHOOD))
    with site.client() as client:
        sent = client.post(UPLOAD, files={"file": ("a.geojson", file)}, data={"kind": "neighbourhood"})
        assert sent.status_code == 202, sent.text
        refused = client.post("/api/v1/boundaries/publish", content=file)
        assert refused.status_code == 413


@pytest.mark.parametrize("origin", ["own", "http://localhost", "https://evil.example", "null"])
def test_only_our_own_pages_may_change_something(site: Site, origin: str) -> None:
    """What a page of the public address sends is taken, from any other page it is not."""
    said = site.nginx.address if origin == "own" else origin
    with site.client(Origin=said) as client:
        answer = client.post(UPLOAD, files={"file": ("a.geojson", b"{}")})
    assert answer.status_code == (202 if origin == "own" else 403)


def test_the_client_s_address_is_the_client_s(site: Site) -> None:
    """A caller's own word on its address does not get through the proxy; nor is anybody else believed."""
    lies = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    site.entrance.callers.clear()
    with site.client(**lies) as client:
        assert client.get("/conformance").status_code == 200
    assert site.entrance.callers == ["127.0.0.1"]


def test_redirects_lead_to_the_pages(site: Site) -> None:
    """From the plain port, the bare host and the prefix without its slash people come to the pages."""
    start = f"http://localhost:{site.nginx.plain}/"
    with httpx.Client(verify=site.trust, follow_redirects=True, headers={"Accept": "text/html"}) as client:
        for path in ("", "patrol", "patrol/weeks"):
            answer = client.get(start + path)
            assert answer.status_code == 200
            assert str(answer.url).startswith(f"{site.address}/")
