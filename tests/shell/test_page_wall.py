"""The live page with many neighbourhoods: the wall cuts no row without a sign, the phone no label."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from playwright.sync_api import expect

from geo.areas import Area, AreaSet, Kind
from stream.core.explaining.wording import percent
from stream.core.facts import SECOND, Allocation, Duty
from stream.store import areas as tables
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.shell.screen import (
    DESK,
    PHONE,
    WALL,
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.stored import database_called
from tests.shell.town import MINUTE, NOON
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ViewportSize

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

COLUMNS, ROWS = 5, 8
MANY = COLUMNS * ROWS
SIDE = 0.01
WEST, SOUTH = -1.0, 52.5
TOLD_MIN = 60


def vertex(at: int) -> tuple[float, float]:
    """South-west vertex of a neighbourhood."""
    row, column = divmod(at, COLUMNS)
    return WEST + column * SIDE, SOUTH + row * SIDE


def county() -> AreaSet:
    """Forty neighbourhoods with long names, a priority area in each."""
    made = []
    for at in range(MANY):
        west, south = vertex(at)
        ground = shapely.box(west, south, west + SIDE, south + SIDE)
        made.append(Area(Kind.NEIGHBOURHOOD, f"N{at:02}", f"Humberstone and Hamilton {at}", ground))
        spot = shapely.box(west + 0.002, south + 0.002, west + 0.003, south + 0.003)
        made.append(Area(Kind.PRIORITY, f"P{at:02}", f"Shops at Uppingham Road {at}", spot))
    return AreaSet.of(made)


@dataclass(slots=True)
class County:
    """The county's database, its web process and a browser."""

    ledger: Ledger
    address: str
    browser: Browser
    now: int

    def tell(self, at: int, *, home: bool, minutes: int = 1) -> None:
        """An officer's radio tells where it is, at home or in the next neighbourhood."""
        west, south = vertex(at if home else (at + 1) % MANY)
        times = range(self.now + 10 * SECOND, self.now + minutes * MINUTE + 1, 10 * SECOND)
        self.ledger.positions(
            fix_columns([(f"R{at:02}", time, west + 0.006, south + 0.006, 8.0) for time in times])
        )


@pytest.fixture(scope="module")
def county_page(database_server: EmbeddedDatabase, browser: Browser) -> Iterator[County]:
    """An hour of forty officers, each with a neighbourhood, and each less on patch than the one before."""
    with database_called(database_server, "page_wall") as dsn, connect(dsn) as connection:
        migrate(connection)
        made = county()
        for kind in (Kind.NEIGHBOURHOOD, Kind.PRIORITY):
            tables.publish(connection, made, kind, 0, file="county", sha256="-", by="test")
        ledger = Ledger(connection)
        ledger.bookings(
            [
                Duty(
                    f"D{at}",
                    1,
                    f"O{at}",
                    NOON,
                    NOON + 480 * MINUTE,
                    (f"N{at:02}",),
                    (Allocation(f"R{at:02}", "radio"),),
                    name=f"PC {at}",
                    role="npt",
                )
                for at in range(MANY)
            ],
            (),
        )
        rows = []
        for minute in range(TOLD_MIN + 1):
            for at in range(MANY):
                # The last minutes are at home for all of them but the first.
                gone = minute >= TOLD_MIN - 1 - at if at else minute > 5
                west, south = vertex((at + 1) % MANY if gone and minute < TOLD_MIN - (at > 0) else at)
                rows.append((f"R{at:02}", NOON + minute * MINUTE, west + 0.006, south + 0.006, 8.0))
        ledger.positions(fix_columns(rows))
        with serving_alone(dsn) as web:
            yield County(ledger, web.address, browser, NOON + TOLD_MIN * MINUTE)


def names_on_page(visitor: Visitor, listed: str) -> list[str]:
    """The rows of a list that are wholly to be seen."""
    found: list[str] = visitor.value(
        f"""() => {{ const box = document.querySelector('{listed}').closest('[data-paged]')
                       .getBoundingClientRect();
                     return [...document.querySelectorAll('{listed} > li')]
                       .filter((one) => one.offsetParent)
                       .map((one) => {{ const {{ top, bottom }} = one.getBoundingClientRect();
                                        const cut = top < box.top - 1 || bottom > box.bottom + 1;
                                        const name = one.querySelector('.name, .words').textContent;
                                        return (cut ? 'cut: ' : '') + name; }}); }}"""
    )
    return found


@pytest.mark.parametrize("listed", ["list", "areas"])
def test_lists_on_the_wall_come_page_by_page(county_page: County, listed: str) -> None:
    """What does not fit comes page by page, no row is cut, and which of how many they are is said."""
    with visiting(
        county_page.browser, county_page.address, "/?wall", size=WALL, reduced_motion="reduce"
    ) as visitor:
        page = visitor.page
        expect(page.locator(f"#{listed} > li")).to_have_count(MANY)
        head = page.locator(f"#{listed}-head")
        words = head.locator(".pager-words")
        expect(words).to_have_text(re.compile(rf"^1–\d+ of {MANY}$"))
        seen: list[str] = []
        while True:
            first, last = map(int, re.findall(r"\d+", words.text_content() or "")[:2])
            now = names_on_page(visitor, f"#{listed}")
            assert len(now) == last - first + 1
            assert not [name for name in now if name.startswith("cut")]
            seen += now
            if last == MANY:
                break
            head.get_by_role("button", name=re.compile("^Next page")).click()
            expect(words).to_have_text(re.compile(rf"^{last + 1}–"))
        assert len(set(seen)) == len(seen) == MANY
        visitor.elsewhere()
        visitor.shot(f"wall-{listed}")
        visitor.fits()
        visitor.accessible()


def test_pages_turn_by_themselves_but_not_under_a_hand(county_page: County) -> None:
    """The pages of a list turn by themselves, and stand still where the pointer is."""
    with visiting(county_page.browser, county_page.address, "/?wall", size=WALL, hurried=True) as visitor:
        page = visitor.page
        mine, other = (page.locator(f"#{name}-head .pager-words") for name in ("list", "areas"))
        expect(mine).to_have_text(re.compile(r"^1–"))
        page.locator("#list a.row:visible").first.hover()
        held = mine.text_content() or ""  # a slow machine may have turned a page before the pointer came
        for _ in range(2):
            shown = other.text_content() or ""
            page.clock.fast_forward(20_000)
            expect(other).not_to_have_text(shown)
        expect(mine).to_have_text(held)
        visitor.elsewhere()
        page.clock.fast_forward(20_000)
        expect(mine).not_to_have_text(held)


def test_motion_that_is_not_wanted_is_not_made(county_page: County) -> None:
    """Where less motion is asked for, pages turn only when they are told to."""
    with visiting(
        county_page.browser, county_page.address, "/?wall", size=WALL, reduced_motion="reduce"
    ) as visitor:
        head = visitor.page.locator("#list-head")
        expect(
            head.get_by_role("button", name="Turn the pages of neighbourhoods automatically")
        ).to_be_visible()
        head.get_by_role("button", name="Turn the pages").click()
        expect(head.get_by_role("button", name="Stop turning the pages of neighbourhoods")).to_be_visible()


def labels_cut(visitor: Visitor) -> list[str]:
    """Labels of the map that its edge cuts, as they are drawn."""
    found: list[str] = visitor.value(
        """() => { const map = patrol.map.map;
             const { clientWidth: width, clientHeight: height } = map.getContainer();
             const pen = document.createElement('canvas').getContext('2d');
             const cut = [];
             const sizes = { names: [[8, 10.5], [11, 13], [14, 15]], waits: [[8, 9.5], [12, 11.5]] };
             const size = (stops) => {
               const zoom = map.getZoom();
               const at = stops.findIndex(([stop]) => stop >= zoom);
               if (at <= 0) return at === 0 ? stops[0][1] : stops.at(-1)[1];
               const [[low, small], [high, large]] = stops.slice(at - 1, at + 1);
               return small + ((large - small) * (zoom - low)) / (high - low);
             };
             for (const [layer, kind] of [['names', 'names'], ['waits', 'waits'], ['waits-other', 'waits']]) {
               const em = size(sizes[kind]);
               for (const { geometry, properties } of map.queryRenderedFeatures({ layers: [layer] })) {
                 const { x, y } = map.project(geometry.coordinates);
                 const words = kind === 'names' ? properties.figure.split('\\n')[0] : properties.wait;
                 pen.font = `${kind === 'names' ? 0.86 * em : em}px "Inter Variable"`;
                 const half = pen.measureText(words).width / 2;
                 const { shift } = properties;
                 const middle = x + (typeof shift === 'string' ? JSON.parse(shift) : shift)[0] * em;
                 if (middle + half < 0 || middle - half > width || y < 0 || y > height) continue;
                 if (middle - half < -1 || middle + half > width + 1) cut.push(`${words} at ${x}`);
               }
             }
             return cut; }"""
    )
    return found


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desk", DESK)])
def test_no_label_of_the_map_is_cut(county_page: County, name: str, size: ViewportSize) -> None:
    """At the edge of the map labels are moved in, over the whole force and nearer."""
    with visiting(county_page.browser, county_page.address, size=size) as visitor:
        if name == "phone":
            visitor.page.locator("#tabs").get_by_role("button", name="Map").click()
        drawn = """() => patrol.map.map.getLayer('names')
                         && patrol.map.map.queryRenderedFeatures({ layers: ['names'] }).length > 5"""
        visitor.until(drawn, "labels")
        visitor.eventually(lambda: not labels_cut(visitor), "moved all labels in")
        visitor.shot(f"labels-{name}")
        # So near that the middle of a neighbourhood stands at the very edge.
        visitor.value(
            """() => { const map = patrol.map.map;
                       map.jumpTo({ zoom: 13 });
                       const [lon, lat] = patrol.map.points.get('neighbourhood:N12');
                       map.jumpTo({ center: [lon, lat] });
                       map.panBy([map.getContainer().clientWidth / 2 - 3, 0], { duration: 0 }); }"""
        )
        moved = "() => patrol.map.data.names.features.some((one) => one.properties.shift[0] > 2)"
        visitor.until(moved, "moved the label in")
        # The letters follow when the map has been drawn again.
        visitor.eventually(lambda: not labels_cut(visitor), "moved the letters in")


# ── One rounding, one order ───────────────────────────────────────────────────────────────────────────────


def test_every_share_is_said_in_one_way(county_page: County) -> None:
    """A neighbourhood's share is the same words in the list, on the map, and in what it opens to."""
    with visiting(county_page.browser, county_page.address, "/#/n/N20") as visitor:
        page = visitor.page
        said = page.locator("#detail .summary .figure")
        expect(said).to_have_text(re.compile(r"^\d+\.\d%$"))
        share = visitor.value("() => patrol.state.neighbourhoods.get('N20').share")
        words = percent(Fraction(share), Fraction(4, 5))
        expect(said).to_have_text(words)
        visitor.until(
            f"""() => patrol.map.data.names.features
                       .find((one) => one.properties.area_id === 'N20')
                       ?.properties.figure.startsWith('{words} ')""",
            "a label with the same words",
        )
        page.keyboard.press("Escape")
        row = page.locator("#list a.row", has=page.get_by_text("Humberstone and Hamilton 20", exact=True))
        expect(row.locator(".percent")).to_have_text(words)


def test_rounding_is_that_of_the_reports(county_page: County) -> None:
    """The page rounds as tables and reports do: never to the wrong side of the promise, of 0 or of 1."""
    rng = np.random.default_rng(1)
    targets = [0.8, 0.75, 0.805, 1 / 3]
    shares = [0.0, 1.0, 1e-6, 0.999999, 0.7999, 0.79995, 0.8, 0.80004, 0.805, 0.00049, 0.0005, 0.12345]
    shares += [round(float(value), 6) for value in rng.uniform(0, 1, 400)]
    shares += [round(float(value), 6) for value in rng.uniform(0.798, 0.802, 100)]
    pairs = [(share, target) for share in shares for target in targets[:3]]
    with visiting(county_page.browser, county_page.address) as visitor:
        visitor.until("() => typeof window.patrol?.percent === 'function'", "its tools")
        said = visitor.value(f"() => {[list(pair) for pair in pairs]}.map(([a, b]) => patrol.percent(a, b))")
    for (share, target), words in zip(pairs, said, strict=True):
        exact = percent(Fraction(str(share)), Fraction(str(target)))
        assert words == exact, (share, target)


def test_list_follows_need_and_stands_still_under_a_hand(county_page: County) -> None:
    """The list by need follows the figures by itself; under the pointer it stands, and says that it does."""
    with visiting(county_page.browser, county_page.address) as visitor:
        page = visitor.page
        names = page.locator("#list a.row .name")
        expect(names).to_have_count(MANY)
        visitor.elsewhere()
        worst = "Humberstone and Hamilton 30"
        assert names.first.text_content() != worst
        county_page.tell(30, home=False)
        county_page.now += MINUTE
        expect(names.first).to_have_text(worst)  # nobody is on patch there now
        page.locator("#list a.row").first.hover()
        before = names.all_text_contents()
        assert before[0] == worst
        county_page.tell(30, home=True)
        county_page.now += MINUTE
        expect(page.locator("#list-held")).to_be_visible()
        assert names.all_text_contents() == before
        visitor.elsewhere()
        expect(page.locator("#list-held")).to_be_hidden()
        expect(names.first).not_to_have_text(worst)
