"""The static site: what it holds, how it is put in place, and how residents use it from a plain server."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from geo.areas import Area, AreaSet, Kind
from geo.matching.places import PlaceIndex
from stream.cli import patrol
from stream.core.postcodes import Finder, Postcodes
from stream.core.summaries.disclosure import publish
from stream.files.replaced import ForeignFolderError, replace_folder
from stream.reports.site import files
from tests.publics import GOOD, summary
from tests.shell.screen import DESK, PHONE, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

BAD = '<img src=x onerror="document.title=1">'
PAGE = publish(summary(GOOD))
MONTHS = {
    "2026-10": [PAGE, replace(PAGE, area_id="N/2", area_name=BAD)],
    "2026-09": [replace(PAGE, month="2026-09")],
}


def finder() -> Finder:
    """A finder of postcodes in two neighbourhoods, outside them, and without a position."""
    west, east = shapely.box(-1.2, 52.5, -1.1, 52.6), shapely.box(-1.1, 52.5, -1.0, 52.6)
    areas = AreaSet.of(
        [
            Area(Kind.NEIGHBOURHOOD, PAGE.area_id, PAGE.area_name, west),
            Area(Kind.NEIGHBOURHOOD, "N/2", BAD, east),
        ]
    )
    keys = ["LE11AA", "LE11AB", "LE11ZZ", "LE1W9PO", "ZZ991AA"]
    lon, lat = [-1.15, -1.05, 0.5, np.nan, 0.5], [52.55, 52.55, 51.5, np.nan, 51.5]
    order = np.argsort(np.array(keys, "S7"))
    return Finder(
        Postcodes(np.array(keys, "S7")[order], np.array(lon)[order], np.array(lat)[order]), PlaceIndex(areas)
    )


@pytest.fixture(scope="module")
def site() -> dict[str, bytes]:
    """The files of the site."""
    return files(MONTHS, finder())


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps one."""
        self.found.append((tag, dict(attrs)))


def test_every_link_of_the_site_leads_to_a_file_of_it(site: dict[str, bytes]) -> None:
    """Every address is relative and a file of the site, every file is named, and no page has code in it."""
    named = {"index.html", "postcodes/index.json"}
    for path, content in site.items():
        for tag, attributes in Tags(content.decode()).found if path.endswith(".html") else ():
            assert tag not in ("style", "img", "iframe", "object", "base")
            assert tag != "script" or attributes.get("src")
            assert not any(name.startswith("on") or name in ("style", "action") for name in attributes)
            for address in filter(None, map(attributes.get, ("href", "src", "data-postcodes"))):
                if address.startswith(("data:", "#")):
                    continue
                assert not urlsplit(address).scheme
                assert not address.startswith("/")
                target = urlsplit(urljoin(f"http://site/{path}", address)).path[1:]
                named.add(target)
                assert target in site or target == "postcodes/", (path, address)
    index = json.loads(site["postcodes/index.json"])
    named |= {f"postcodes/{outward}.json" for outward in index["ours"]}
    assert set(site) <= named
    for name, page in index["areas"]:
        assert name in {PAGE.area_name, BAD}
        assert f"en/{page}" in site


def test_the_same_values_make_the_same_files(site: dict[str, bytes]) -> None:
    """Made again, every file is the same."""
    assert files(MONTHS, finder()) == site


# ── Putting it in place ───────────────────────────────────────────────────────────────────────────────────


def held(folder: Path) -> dict[str, bytes]:
    """The files of a folder but their list."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != "site.json"}


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Files come, change and go; where nothing differs the folder stays; nothing is left beside it."""
    folder = tmp_path / "public"
    assert replace_folder(folder, {"a/b.html": b"1", "c": b"2"}).written == 2
    before = folder.stat().st_ino
    assert replace_folder(folder, {"a/b.html": b"1", "c": b"2"}).written == 0
    assert folder.stat().st_ino == before
    done = replace_folder(folder, {"c": b"3"})
    assert (done.files, done.written, done.deleted) == (1, 1, 1)
    assert held(folder) == {"c": b"3"}
    (folder / "c").write_bytes(b"tampered with")
    assert replace_folder(folder, {"c": b"3"}).written == 1
    assert held(folder) == {"c": b"3"}
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


@pytest.mark.parametrize("foreign", ["letter.doc", "a/letter.doc"])
def test_a_folder_that_holds_anything_else_is_refused(tmp_path: Path, foreign: str) -> None:
    """A folder with a file that is not of the site is left as it is, whether the site is in it or not."""
    folder = tmp_path / "public"
    for made in (False, True):
        if made:
            replace_folder(folder, {"a/b": b"1"})
        (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
        (folder / foreign).write_bytes(b"dear")
        before = held(folder)
        with pytest.raises(ForeignFolderError, match="would"):
            replace_folder(folder, {"a/b": b"2"})
        assert held(folder) == before
        (folder / foreign).unlink()
    with pytest.raises(ForeignFolderError, match="is a file"):
        replace_folder(folder / "a" / "b", {"x": b""})


def test_a_folder_stays_where_the_new_one_cannot_be_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new folder cannot take the old one's place the old one is back, whole."""
    folder = tmp_path / "public"
    replace_folder(folder, {"a": b"1"})
    rename = type(folder).rename

    def failing(self: Path, target: Any) -> Any:
        if str(target) == str(folder) and "new-" in self.name:
            raise OSError(16, "busy")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", failing)
    with pytest.raises(OSError, match="busy"):
        replace_folder(folder, {"a": b"2"})
    assert held(folder) == {"a": b"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_the_command_writes_published_months(weeks: str, database_server: Any, tmp_path: Path) -> None:
    """Where no month is published the command says so; with one it writes it, and then changes nothing."""
    from tests.shell.stored import database_called

    with database_called(database_server, "site", template=weeks) as dsn:

        def run(*words: str) -> Any:
            return CliRunner().invoke(patrol, [*words], env={"PATROL_DATABASE": dsn}, catch_exceptions=False)

        folder = tmp_path / "public"
        none = run("publish", "site", str(folder))
        assert (none.exit_code, folder.exists()) == (1, False)
        assert "no month is published" in none.output
        assert run("report", "publish", "--month", "2026-10", "--now", "2026-11-20").exit_code == 0
        done = json.loads(run("publish", "site", str(folder), "--json").output)
        assert (done["months"], done["finder"], done["deleted"]) == (["2026-10"], False, 0)
        assert done["files"] == done["written"] == len(held(folder)) > 10
        again = json.loads(run("publish", "site", str(folder), "--json").output)
        assert (again["files"], again["written"]) == (done["files"], 0)
        (folder / "mine.txt").write_text("mine")
        assert run("publish", "site", str(folder)).exit_code == 2


# ── Used ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Quiet(SimpleHTTPRequestHandler):
    """A plain file server that keeps what it was asked for."""

    lines: list[str] = []  # noqa: RUF012 # one server, one list

    def log_message(self, _format: str, *args: Any) -> None:
        """Keeps a line as a server's log would have it."""
        self.lines.append(str(args[0]))


@pytest.fixture(scope="module")
def served(site: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, somewhere below a file server's root."""
    root = tmp_path_factory.mktemp("root")
    replace_folder(root / "police", site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/police"
    server.shutdown()
    thread.join()
    server.server_close()


def visiting(browser: Browser, size: Any) -> Visitor:
    """A visitor whose complaints are kept."""
    seen = Visitor(browser.new_page(viewport=size))
    seen.page.on("console", lambda said: seen.complaints.append(said.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    return seen


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_can_be_used_by_everybody(browser: Browser, served: str, size: Any) -> None:
    """From the first page to a neighbourhood's in each language: accessible, fitting, no complaint."""
    seen = visiting(browser, size)
    for path in (
        "en/index.html",
        "ro/index.html",
        "en/2026-09/index.html",
        f"ro/2026-10/{PAGE.area_id}.html",
    ):
        seen.page.goto(f"{served}/{path}")
        seen.accessible()
        seen.fits()
        seen.shot(f"site-{path.replace('/', '-')}-{size['width']}")
    seen.page.goto(f"{served}/index.html")
    seen.page.wait_for_url("**/en/index.html")
    seen.page.get_by_role("link", name=PAGE.area_name).click()
    seen.page.wait_for_url(f"**/en/2026-10/{PAGE.area_id}.html")
    seen.page.get_by_role("link", name="română").click()
    seen.page.wait_for_url(f"**/ro/2026-10/{PAGE.area_id}.html")
    assert seen.complaints == []
    seen.page.close()


def test_a_postcode_is_found_and_no_server_learns_it(browser: Browser, served: str) -> None:
    """Every kind of answer is given, and of what was typed only the first part is ever asked for."""
    seen = visiting(browser, PHONE)
    seen.page.goto(f"{served}/en/index.html")
    _Quiet.lines.clear()

    def answer(typed: str) -> str:
        seen.page.fill("#pp-postcode", typed)
        seen.page.evaluate("document.getElementById('pp-answer').replaceChildren()")
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_selector("#pp-answer p")
        seen.accessible()
        return str(seen.page.inner_text("#pp-answer"))

    assert answer(" le1 1aa ") == f"LE1 1AA is in {PAGE.area_name}"
    assert BAD in answer("LE11AB")
    assert "is not in any of our neighbourhoods" in answer("LE1 1ZZ")
    assert "We do not know the postcode LE1 9QQ" in answer("LE1 9QQ")
    assert "only the first part" in answer("le1")
    assert "is not in any of our neighbourhoods" in answer("ZZ99 1AA")
    assert "We do not know the postcode AB1 2CD" in answer("AB1 2CD")
    assert "does not look like a postcode" in answer("<b>hello")
    assert "does not look like a postcode" in answer("E05001784")
    seen.page.fill("#pp-postcode", "LE1 1AA")
    seen.page.keyboard.press("Enter")
    seen.page.get_by_role("link", name=PAGE.area_name).first.click()
    seen.page.wait_for_url(f"**/en/2026-10/{PAGE.area_id}.html")
    asked = {line.split()[1].removeprefix("/police/") for line in _Quiet.lines}
    assert {name for name in asked if "postcodes" in name} == {"postcodes/index.json", "postcodes/LE1.json"}
    for line in _Quiet.lines:
        assert "1AA" not in line.upper()
        assert "?" not in line
    assert seen.complaints == []
    seen.page.close()


def test_where_the_answers_cannot_be_fetched_that_is_said(browser: Browser, served: str) -> None:
    """Without the files of postcodes the finder says so, and the neighbourhoods can be chosen."""
    seen = visiting(browser, PHONE)
    seen.page.route("**/postcodes/**", lambda route: route.abort())
    seen.page.goto(f"{served}/ro/index.html")
    seen.page.fill("#pp-postcode", "LE1 1AA")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#pp-answer p")
    assert "Acum nu putem căuta" in seen.page.inner_text("#pp-answer")
    seen.page.close()
