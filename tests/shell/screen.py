"""The pages as people see them: a real browser before the running pipeline, and a small town to look at.

The town is that of ``tests.shell.town``; here its facts come as messages, through Kafka, as from outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from geo.boundaries.writing import areas_geojson
from stream import topics
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.pipeline.processes import command
from tests.shell.pipeline import Facts, Message, Pipeline, aside
from tests.shell.town import MINUTE, SPOTS, TOWN
from tests.strategies import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize


ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "stream" / "web" / "page"
SHOTS = ROOT / "build" / "screens"
"""Where pictures of the pages are kept, to be looked at."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
DRAWN_BY_SOFTWARE = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
WALL: ViewportSize = {"width": 1920, "height": 1080}
PATIENCE_MS = 45_000
expect.set_options(timeout=PATIENCE_MS)
MARKUP = '<img src=x onerror="document.title=1">'
"""A name that a page must show as it is."""

NOON = micros("2026-01-26T12:00:00+00:00")
"""A Monday, when the town's market has its hours; long enough ago that it is in nobody's future."""

OFFICERS = {"1001": "N1", "1002": "N1", "2001": "N2", "2002": "N2"}
NAMES = {"1001": "PC Adeyemi", "1002": "PC Brown", "2001": f"PC {MARKUP}", "2002": "PCSO Clarke"}


def browser_path() -> str:
    """The system's Chromium.

    Raises:
        pytest.skip.Exception: there is none.
    """
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium on this machine (Debian: apt-get install chromium)")
    return found


def axe_source() -> str:
    """The checker of accessibility, from the pages' own libraries."""
    path = PAGE / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip("needs the pages' libraries: make install")
    return path.read_text("utf-8")


def built() -> None:
    """Fails where the pages that would be tested are not those of the sources."""
    from stream.web.page.build import up_to_date

    assert up_to_date(), "the pages are not built from these sources: run make install"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path(), args=list(DRAWN_BY_SOFTWARE))
        yield browser
        browser.close()


@dataclass(slots=True)
class Web:
    """The web process: it can be ended and started again at the same address."""

    environment: dict[str, str]
    address: str = ""
    _process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it, and returns its address."""
        port = self.address.rpartition(":")[2] or "0"
        self._process = subprocess.Popen(
            command("web", "--port", port),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip().rstrip("/")
        assert self.address.startswith("http://127.0.0.1:")
        return self.address

    def end(self) -> None:
        """Ends it, and waits until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextlib.contextmanager
def serving(pipeline: Pipeline, **settings: str) -> Iterator[Web]:
    """The web process over a pipeline's database."""
    with web_with(pipeline.environment, **settings) as web:
        yield web


@contextlib.contextmanager
def serving_alone(dsn: str, **settings: str) -> Iterator[Web]:
    """The web process over a database that no pipeline fills: now is when its newest position was told."""
    calm = {"PATROL_DATABASE": dsn, "PATROL_CLOCK": "events", "PATROL_STALE_S": "36000"}
    with web_with({**os.environ, **calm}, **settings) as web:
        yield web


@contextlib.contextmanager
def web_with(environment: dict[str, str], **settings: str) -> Iterator[Web]:
    """The web process with some settings of its own; its pages are up to date."""
    built()
    web = Web(environment | {f"PATROL_{name.upper()}": value for name, value in settings.items()})
    try:
        web.start()
        yield web
    finally:
        web.end()


@dataclass(slots=True)
class Visitor:
    """A page, and all that it asked for and complained of.

    Attributes:
        page: the page.
        asked: addresses of all requests.
        complaints: errors and refusals of the browser.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def value(self, script: str) -> Any:
        """What a piece of script gives."""
        return self.page.evaluate(script)

    def until(self, script: str, what: str) -> Any:
        """Waits until a piece of script gives something; the page's own policy lets no text be run in it."""
        return self.eventually(lambda: self.value(script), what)

    def eventually(self, seen: Callable[[], Any], what: str) -> Any:
        """Waits until something is seen: a page draws a little after it is told, a busy machine later."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not (found := seen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"the page still has not: {what}; complaints: {self.complaints}")
            self.page.wait_for_timeout(50)
        return found

    def point_at(self, unit: str, words: str) -> tuple[float, float]:
        """Points at a unit on the map until its tip has the words; returns where that is on the screen.

        A tip comes only to a pointer that moves over what has been drawn: it is moved again until then.
        """

        def pointed() -> tuple[float, float] | None:
            x, y = self.value(
                f"""() => {{ const unit = patrol.state.units.get('{unit}');
                             const {{ x, y }} = patrol.map.map.project([unit.lon, unit.lat]);
                             const box = document.querySelector('#map').getBoundingClientRect();
                             return [x + box.left, y + box.top]; }}"""
            )
            self.page.mouse.move(x + 1, y)
            self.page.mouse.move(x, y)
            tip = self.page.locator("#tip")
            return (x, y) if tip.is_visible() and words in (tip.text_content() or "") else None

        spot: tuple[float, float] = self.eventually(pointed, f"told of {unit} under the pointer")
        return spot

    def shot(self, name: str) -> None:
        """Keeps a picture."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Where the first such element stands on the screen: left, top, right, bottom."""
        found = self.page.locator(selector).first.bounding_box()
        assert found is not None, f"{selector} is not to be seen"
        return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]

    def elsewhere(self) -> None:
        """Takes the pointer and the focus to where nobody works: the bar at the top."""
        self.page.mouse.move(400, 8)
        self.value("() => document.activeElement.blur()")

    def fits(self) -> None:
        """Fails where the page has to be scrolled sideways; names what sticks out."""
        out = self.value(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] :
                 [...document.querySelectorAll("body *")]
                   .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                   .map((one) => one.outerHTML.slice(0, 120))"""
        )
        assert not out, "\n".join(out)

    def accessible(self) -> None:
        """Fails for anything that the checker finds against WCAG 2.2 AA."""
        found = self.value(
            f"""async () => {{
              {axe_source()};
              const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
              const found = await axe.run(document, {{ runOnly: {{ type: "tag", values: tags }} }});
              return found.violations.map(({{ id, help, nodes }}) =>
                `${{id}}: ${{help}}: ${{nodes.map((node) => node.html.slice(0, 200)).join(" | ")}}`);
            }}"""
        )
        assert not found, "\n".join(found)

    def undisturbed(self, address: str) -> None:
        """Fails where the page asked another machine for anything, or the browser complained."""
        foreign = [
            url for url in self.asked if not url.startswith((f"{address}/", "data:", f"blob:{address}/"))
        ]
        assert not foreign, foreign
        assert not self.complaints, self.complaints


@contextlib.contextmanager
def visiting(
    browser: Browser,
    address: str,
    path: str = "/",
    *,
    size: ViewportSize = DESK,
    hurried: bool = False,
    **options: Any,
) -> Iterator[Visitor]:
    """A page that has just been opened; ``hurried``: its clock can be put on (``page.clock``)."""
    context: BrowserContext = browser.new_context(
        viewport=size, timezone_id="Asia/Tokyo", locale="en-GB", **options
    )
    context.set_default_timeout(PATIENCE_MS)
    if hurried:
        context.clock.install()
    page = context.new_page()
    visitor = Visitor(page)
    page.on("request", lambda request: visitor.asked.append(request.url))
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: visitor.complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.goto(f"{address}{path}")
    try:
        yield visitor
    finally:
        context.close()


# ── The town, told from outside ───────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Outside:
    """Trackers and bookings of the town, as messages.

    Attributes:
        pipeline: takes them.
        now: how far the story is told, microseconds.
    """

    pipeline: Pipeline
    now: int = NOON
    _where: dict[str, str] = field(default_factory=dict)
    _waiting: list[Message] = field(default_factory=list)

    def areas(self, folder: Path) -> None:
        """Publishes the town's boundaries."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for kind in sorted(set(TOWN.kind)):
            path = folder / f"{kind}.geojson"
            path.write_bytes(areas_geojson(TOWN.only(kind)))
            files.append((path, str(kind)))
        self.pipeline.load_areas(Facts(tuple(files), (), 0))

    def _say(self, topic: str, at: int, /, **words: Any) -> None:
        self._waiting.append(Message(topic, json.dumps(words).encode(), at))

    def book(self, officer: str, hours: float = 8.0) -> None:
        """Books an officer on for a shift from now on, with a radio."""
        self._say(
            topics.DUTY_BOOKINGS,
            self.now,
            duty_id=f"D-{officer}",
            revision=1,
            officer_id=officer,
            name=NAMES[officer],
            role="npt",
            team=OFFICERS[officer],
            patch=[OFFICERS[officer]],
            start=rfc3339(self.now),
            end=rfc3339(self.now + int(hours * 60 * MINUTE)),
            devices=[{"device_id": f"R{officer}", "kind": "radio"}],
        )

    def key(self, officer: str, state: int) -> None:
        """An officer keys a radio status now."""
        self._say(topics.DUTY_STATES, self.now, officer_id=officer, time=rfc3339(self.now), state=state)

    def put(self, **where: str) -> None:
        """Says where radios (``r1001="west"``) are from now on; an empty word: silent."""
        self._where.update({name.upper(): spot for name, spot in where.items()})

    def go(self, minutes: float, step_s: float = 20.0) -> None:
        """Time goes on: every radio that is not silent tells its position again and again."""
        end = self.now + int(minutes * MINUTE)
        step = int(step_s * SECOND)
        for at in range(self.now + step, end + 1, step):
            for number, (radio, spot) in enumerate(sorted(self._where.items())):
                if spot:
                    lon, lat = SPOTS[spot]
                    # Nobody stands quite still, and nobody on top of another.
                    sway = ((at // step) % 7 - 3) * 2e-5
                    self._say(
                        topics.RADIO_POSITIONS,
                        at,
                        device_id=radio,
                        time=rfc3339(at),
                        lon=round(lon + sway + number * 1e-4, 7),
                        lat=round(lat + sway, 7),
                        error_m=8.0,
                        heading_deg=(number * 90) % 360,
                    )
        self.now = end

    def go_until(self, done: Callable[[], bool], *, step_min: float = 1.0, most: int = 60) -> None:
        """Time goes on step by step, each counted before the next, until something is so."""
        for _ in range(most):
            if done():
                return
            self.go(step_min)
            self.send()
        raise AssertionError(f"not so after {most * step_min:.0f} minutes of the story")

    def send(self, *, settle: bool = True) -> None:
        """Sends what has been said, and waits until it is counted."""
        told, self._waiting = self._waiting, []

        def work() -> None:
            self.pipeline.post(told)
            if settle:
                self.pipeline.settle()

        aside(work)


def _an_hour(outside: Outside) -> None:
    """From noon to one: the west is well patrolled, the east has nobody, one of its radios falls silent."""
    for officer in OFFICERS:
        outside.book(officer)
    outside.put(r1001="west", r1002="west vertex", r2001="east", r2002="east")
    outside.go(20)
    outside.put(r2001="west")
    outside.key("2001", 6)
    outside.go(10)
    outside.put(r2002="")
    outside.go(30)
    outside.send()


@contextlib.contextmanager
def an_hour_in_town(bootstrap: str, dsn: str, folder: Path, **settings: Any) -> Iterator[Outside]:
    """Ingest and worker over an hour in the town, as long as they are wanted.

    Args:
        bootstrap: the broker's address.
        dsn: an empty database.
        folder: for files.
        settings: other than usual.
    """
    with Pipeline(bootstrap, dsn, folder, **settings) as pipeline:
        outside = Outside(pipeline)
        outside.areas(folder / "areas")
        _an_hour(outside)
        yield outside
