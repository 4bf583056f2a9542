"""Summaries in a real browser: on a desk, on a phone, in the dark, and printed."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pypdfium2  # type: ignore[import-untyped]
import pytest

from stream.reports import force, page
from stream.reports.pdf import pdf
from tests.shell.screen import DESK, PHONE, ROOT, SHOTS, Visitor
from tests.summaries import AUTUMN, MONTH, ODD_NAMES, WEEK, Odd, alone, believable, empty, running

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


pytestmark = pytest.mark.slow

CASES = {
    "believable": believable(changes=3),
    "alone": alone(),
    "empty": empty(),
    "running": running(),
    "autumn": believable(AUTUMN, on=0.7),
    "month": believable(MONTH),
}
POM = ROOT / "tests" / "shell" / "verapdf" / "pom.xml"
JARS = ROOT / "build" / "verapdf" / "jars"


def forces() -> str:
    """The force's page."""
    found = [believable(seed=at, on=0.6 + at / 20, name=f"Ward {at}", area_id=f"E{at}") for at in range(7)]
    return force.html(
        [force.line(summary) for summary in (*found, empty(name="Zed"))],
        WEEK,
        link=lambda sort: f"?sort={sort}",
        leads=lambda area: f"#{area}",
    )


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*CASES, "force"])
def test_a_page_is_accessible_and_needs_no_sideways_scrolling(
    browser: Browser, tmp_path: Path, name: str, scheme: str, size: dict[str, int]
) -> None:
    """At any size, light or dark, a page meets WCAG 2.2 AA by axe, asks for nothing, and fits its window."""
    path = tmp_path / f"{name}.html"
    path.write_text(forces() if name == "force" else page.html(CASES[name]), encoding="utf-8")
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    try:
        shown = context.new_page()
        visitor = Visitor(shown)
        shown.on("request", lambda request: visitor.asked.append(request.url))
        shown.on("console", lambda said: visitor.complaints.append(said.text))
        shown.goto(path.as_uri())
        visitor.fits()
        visitor.accessible()
        visitor.shot(f"reports-{name}-{scheme}-{size['width']}")
        assert [url for url in visitor.asked if not url.startswith("data:")] == [path.as_uri()]
        assert not visitor.complaints
    finally:
        context.close()


@pytest.mark.parametrize("name", CASES)
def test_printed_the_first_sheet_is_one_page_and_nothing_of_it_is_cut(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    """In Chromium's print the annex begins on page two, and what is last on page one is on it whole."""
    summary = CASES[name]
    path = tmp_path / f"{name}.html"
    path.write_text(page.html(summary), encoding="utf-8")
    shown = browser.new_page()
    try:
        shown.goto(path.as_uri())
        printed = shown.pdf(prefer_css_page_size=True, print_background=True)
    finally:
        shown.close()
    document = pypdfium2.PdfDocument(printed)
    SHOTS.mkdir(parents=True, exist_ok=True)
    document[0].render(scale=1.5).to_pil().save(SHOTS / f"reports-{name}-print.png")
    width, height = document[0].get_size()
    assert (round(width), round(height)) == (595, 842)
    texts = [re.sub(r"\s+", " ", sheet.get_textpage().get_text_range()) for sheet in document]
    document.close()
    assert "Annex: " not in texts[0]
    assert texts[1].lstrip().startswith("Annex: ")
    last = "Restated" if summary.changes else "Target 80%, under the policy in force"
    assert last in texts[0]


def test_the_first_sheet_holds_all_of_its_text_whatever_the_names(browser: Browser) -> None:
    """Long names and lists are set smaller or cut with a sign; nothing runs over the printed sheet's end."""
    shown = browser.new_page(viewport={"width": 711, "height": 1043})  # A4 less its margins
    shown.emulate_media(media="print")
    try:
        odd = {
            f"{name[:9]!r}": Odd(AUTUMN, "full", name, 27, 1, 1, 0.825, False).summary for name in ODD_NAMES
        }
        for name, summary in (CASES | odd).items():
            shown.set_content(page.html(summary))
            over = shown.evaluate(
                "() => (({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)"
                "(document.querySelector('.sheet'))"
            )
            assert over <= 0, name
    finally:
        shown.close()


def validator_missing() -> str | None:
    """Why the validator of PDF/UA cannot be run here; None where it can."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        return "no Java or Maven found (install a JDK 17 and Maven)"
    if not any(JARS.glob("validation-model-*.jar")):
        done = subprocess.run(
            ["mvn", "-B", "-q", "-f", str(POM), "package"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return "Maven could not resolve the validator (try: mvn -f tests/shell/verapdf/pom.xml package)"
    return None


def test_files_keep_to_pdf_ua(tmp_path: Path) -> None:
    """VeraPDF finds nothing against PDF/UA-1 in any of them."""
    reason = validator_missing()
    if reason is not None:
        pytest.skip(f"needs veraPDF: {reason}")
    paths = []
    for name, summary in CASES.items():
        paths.append(tmp_path / f"{name}.pdf")
        paths[-1].write_bytes(pdf(summary))
    check = POM.parent / "Check.java"
    done = subprocess.run(
        ["java", "-cp", f"{JARS}/*", str(check), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith(str(tmp_path))] == [
        "true"
    ] * len(paths), done.stdout
