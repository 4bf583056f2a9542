"""The public page and the finder as people see them, and the commands that make them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from stream.cli.public import postcode, public
from stream.core.calendar import parse_time
from stream.core.policy import Policies
from stream.core.summaries.disclosure import publish
from stream.files.account import read
from stream.files.postcode_file import read_postcodes
from stream.reports.public import css, finder_fragment, fragment, html
from stream.settings import Settings, SettingsError
from stream.simulate import demo_force, simulate, write
from tests.publics import GOOD, answers, finder, pages, summary
from tests.shell.screen import DESK, PHONE, Visitor
from tests.shell.stored import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click import Command
    from click.testing import Result
    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase

PAGE = publish(summary(GOOD))


# ── Seen ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody(browser: Browser, scheme: str) -> None:
    """Each state of the page and of the finder, in both languages, passes the checker and fits a phone."""
    made = [html(page, language) for page in pages() for language in ("en", "ro")]
    made += [finder(answer, language) for answer in [None, *answers()] for language in ("en", "ro")]
    seen = Visitor(browser.new_page(viewport=PHONE, color_scheme="dark" if scheme == "dark" else "light"))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    for number, text in enumerate(made):
        seen.page.set_content(text)
        seen.accessible()
        seen.fits()
        if number in (0, 1, 2 * len(pages())):
            seen.shot(f"public-{scheme}-{number}")
    seen.page.close()
    assert seen.asked == []


def test_pieces_sit_in_another_page_as_they_are(browser: Browser) -> None:
    """Two pieces and the finder in a page with a style of its own: neither changes the other."""
    other = "<p class='theirs'>Theirs</p>"
    pieces = fragment(PAGE, top=2) + finder_fragment(None, action="/find", link=lambda name: f"/{name}")
    around = (
        "<!doctype html><html lang='en'><head><title>Force</title><style>"
        "body {{ margin: 0; font: 20px serif; color: #00f }} .theirs {{ color: #070 }}"
        "</style></head><body><main><h1>A force</h1>{}{}</main></body></html>"
    )
    page = browser.new_page(viewport=DESK)
    look = (
        "() => { const s = getComputedStyle(document.querySelector('.theirs')); return [s.color, s.font]; }"
    )
    page.set_content(around.format(other, ""))
    alone = page.evaluate(look)
    page.set_content(around.format(other, pieces))
    assert page.evaluate(look) == alone
    font = "() => getComputedStyle(document.querySelector('.patrol-public')).fontFamily"
    assert "system-ui" in page.evaluate(font)
    Visitor(page).accessible()
    page.close()
    assert css() in pieces


def test_the_page_prints_on_two_sheets(browser: Browser) -> None:
    """A usual month is no more than two sheets of A4."""
    from io import BytesIO

    from pypdf import PdfReader

    page = browser.new_page()
    page.set_content(html(PAGE))
    printed = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
    page.close()
    assert len(printed.pages) <= 2
    assert "We kept our promise." in printed.pages[0].extract_text()
    width, height = printed.pages[0].mediabox.width, printed.pages[0].mediabox.height
    assert (round(width), round(height)) == (595, 842)


# ── Made ──────────────────────────────────────────────────────────────────────────────────────────────────


def run(command: Command, *words: str | Path, database: str = "") -> Result:
    """Runs a command in this process, with the database or none."""
    given = {name: None for name in os.environ if name.startswith("PATROL_")}
    return CliRunner().invoke(
        command,
        [str(word) for word in words],
        env={**given, "PATROL_DATABASE": database or None},
        catch_exceptions=False,
    )


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated shift in October."""
    folder = tmp_path_factory.mktemp("shift")
    write(
        simulate(
            demo_force(1),
            officers=16,
            start=parse_time("2026-10-15T08:00:00Z"),
            hours=4.0,
            interval_s=30.0,
            seed=1,
        ),
        folder,
    )
    return folder


@pytest.fixture(scope="module")
def database(database_server: EmbeddedDatabase, shift: Path) -> Iterator[str]:
    """A database that holds the shift."""
    facts = read(
        [str(shift / "areas.geojson")],
        [shift / "positions.jsonl"],
        shift / "duties.jsonl",
        shift / "states.jsonl",
        Policies(),
    )
    with counted(database_server, "made_public", facts) as dsn:
        yield dsn


def test_a_month_of_all_neighbourhoods_is_written_without_names(
    database: str, shift: Path, tmp_path: Path
) -> None:
    """A file a neighbourhood and language, the same each time, in none of which an officer is named."""
    words = ("--month", "2026-10", "--language", "en", "--language", "ro", "--now", "2026-11-02")
    done = run(public, *words, "--out", tmp_path / "one", "--json", database=database)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert {item["state"] for item in told} & {"shown", "few", "nobody"}
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(written) == 2 * len(told)
    booked = [json.loads(line) for line in (shift / "duties.jsonl").read_text("utf-8").splitlines()]
    for text in written.values():
        for duty in booked:
            for name in (duty["officer_id"], duty.get("name"), duty.get("team"), duty["duty_id"]):
                assert not name or f">{name}<" not in text.decode()
                assert not name or len(name) < 5 or name not in text.decode()
    again = run(public, *words, "--out", tmp_path / "two", database=database)
    assert again.exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == written
    assert again.stdout.startswith(f"2026-10: {len(told)} neighbourhoods")


def test_one_neighbourhood_as_a_piece(database: str, tmp_path: Path) -> None:
    """One can be asked for, as a piece; its file is the only one."""
    everything = json.loads(
        run(
            public, "--month", "2026-10", "--now", "2026-11-02", "--out", tmp_path / "all", "--json",
            database=database,
        ).stdout
    )  # fmt: skip
    wanted = everything[0]["area_id"]
    words = ("--area", wanted, "--month", "2026-10", "--fragment", "--now", "2026-11-02")
    done = run(public, *words, "--out", tmp_path / "one", database=database)
    assert done.exit_code == 0
    [path] = (tmp_path / "one").iterdir()
    assert path.name == f"{wanted}_2026-10.en.part.html"
    text = path.read_text("utf-8")
    assert text.startswith("<style>")
    assert "<html" not in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--month", "2026-13"), 2, "'2026-13' is not a month"),
        (("--month", "2026-11", "--now", "2026-11-30"), 2, "2026-11 is not over"),
        (("--month", "2026-10", "--language", "xx"), 2, "the languages are en, ro"),
        (("--month", "2026-10", "--officers", "2"), 2, "2 is not in the range x>=3"),
        (("--month", "2026-10", "--area", "N99", "--now", "2026-11-02"), 1, "N99"),
    ],
)
def test_what_cannot_be_made_public_is_refused(
    database: str, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    """One line that says why, and no file."""
    done = run(public, *words, "--out", tmp_path / "out", database=database)
    assert done.exit_code == code
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory, shift: Path) -> Path:
    """A file of three postcodes: in the first neighbourhood, far away, and nowhere."""
    import shapely

    path = tmp_path_factory.mktemp("codes") / "codes.csv"
    areas = json.loads((shift / "areas.geojson").read_text("utf-8"))["features"]
    first = next(item for item in areas if item["properties"]["kind"] == "neighbourhood")
    point = shapely.point_on_surface(shapely.geometry.shape(first["geometry"]))
    path.write_text(
        f"pcds,lat,long\nAB1 1AA,{point.y:.6f},{point.x:.6f}\nAB1 1AB,58.0,-6.0\nAB1 1AC,,0.0\n", "utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("typed", "code", "text"),
    [
        (("ab1", "1aa"), 0, "AB1 1AA is in "),
        (("AB11AB",), 1, "AB1 1AB is in none of the neighbourhoods"),
        (("AB1 1AC",), 1, "AB1 1AC is known, but no position is published for it"),
        (("AB1 1ZZ",), 1, "AB1 1ZZ is not a known postcode"),
        (("ABI IAA",), 1, "did you mean AB1 1AA?"),
        (("AB1",), 1, "AB1 is only the first part of postcodes"),
        (("nowhere",), 1, "'nowhere' does not look like a postcode"),
    ],
)
def test_a_postcode_is_answered(
    database: str, codes: Path, typed: tuple[str, ...], code: int, text: str
) -> None:
    """In words, by the boundaries in force, with 0 where there is a neighbourhood and 1 where not."""
    done = run(postcode, *typed, "--postcodes", codes, database=database)
    assert done.exit_code == code
    assert text in done.stdout


def test_a_postcode_is_answered_from_files_and_as_json(codes: Path, shift: Path, tmp_path: Path) -> None:
    """Without a database the boundaries may come from a file; programs get JSON."""
    areas = json.loads((shift / "areas.geojson").read_text("utf-8"))
    areas["features"] = [item for item in areas["features"] if item["properties"]["kind"] == "neighbourhood"]
    for item in areas["features"]:
        del item["properties"]["kind"]
    path = tmp_path / "areas.geojson"
    path.write_text(json.dumps(areas), "utf-8")
    done = run(postcode, "AB1 1AA", "--postcodes", codes, "--areas", path, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["outcome"], told["postcode"]) == ("found", "AB1 1AA")
    assert told["area_id"]


def test_a_file_of_postcodes_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Neither set, nor there, nor what it should be: one line says which."""
    with pytest.raises(SettingsError, match="set PATROL_POSTCODES"):
        read_postcodes(None, Settings())
    with pytest.raises(SettingsError, match=r"gone\.csv"):
        read_postcodes(tmp_path / "gone.csv", Settings())
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"place\nhere\n")
    with pytest.raises(SettingsError, match=r"bad\.csv: no column for the postcode"):
        read_postcodes(bad, Settings())
