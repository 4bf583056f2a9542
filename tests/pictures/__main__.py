"""``python -m tests.pictures``: the live page and a weekly summary as people see them, for README.md."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image, ImageOps

from geo.areas import Kind
from stream.core.calendar import parse_time
from stream.core.facts import SECOND
from stream.core.policy import Policies
from stream.core.stays import take
from stream.embedded import EmbeddedDatabase
from stream.pipeline.watcher import Watcher
from stream.reports.pdf import pdf
from stream.settings import Settings
from stream.simulate import demo_force, simulate
from stream.store import areas
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect, migrate
from tests.pictures import weeks
from tests.shell.screen import DESK, built, chromium, serving_alone, visiting
from tests.simulated import fixes_of

if TYPE_CHECKING:
    from stream.store.schema import Connection

OUT = Path(__file__).resolve().parents[2] / "deploy" / "pictures"
MINUTE = 60 * SECOND

SHIFT = "2026-11-20T14:00:00Z"
WATCHED_H, TOLD_H = 5.0, 7.0
"""The shift is watched minute by minute from the first, and told up to the second."""

UNVISITED_S = 1800.0
SETTLED_MS = 4000
"""The map has faded in."""

COLOURS = 128
SHEET_WIDTH = 1000
EDGE, GREY = 3, "#c4c9cf"
"""A white sheet on a white page needs an edge."""

AREA = "DN01"


def live_page(database: EmbeddedDatabase) -> Image.Image:
    """The live page on a desk, some hours into the demonstration's shift."""
    with connect(database.dsn) as server:
        server.execute("create database live template template0")
    dsn = database.dsn_of("live")
    with connect(dsn) as connection:
        _play(connection, dsn)
    unvisited = str(UNVISITED_S)
    with (
        serving_alone(dsn, alert_priority_unvisited_s=unvisited) as web,
        chromium() as browser,
        visiting(browser, web.address, size=DESK, color_scheme="light") as visitor,
    ):
        visitor.until("() => document.querySelectorAll('#list a.row').length > 10", "its figures")
        visitor.until(
            "() => patrol.map.map.getLayer('units') && patrol.map.map.areTilesLoaded()", "drawn its map"
        )
        visitor.page.wait_for_timeout(SETTLED_MS)
        return _read(visitor.page.screenshot())


def _play(connection: Connection, dsn: str) -> None:
    """Tells the shift as a worker would, and looks for alerts meanwhile."""
    migrate(connection)
    force = demo_force(weeks.SEED)
    for kind in Kind:
        areas.publish(connection, force, kind, 0, file="demonstration", sha256="-", by="make pictures")
    start = parse_time(SHIFT)
    simulation = simulate(force, officers=60, start=start, hours=10, interval_s=10, seed=weeks.SEED)
    fixes = fixes_of(simulation)
    ledger = Ledger(connection)
    now = start - 30 * MINUTE
    settings = replace(Settings(database=dsn), clock="events", alert_priority_unvisited_s=UNVISITED_S)
    watcher = Watcher(settings, wall=lambda: now, steady=lambda: now / SECOND)
    while now < start + int(TOLD_H * 60 * MINUTE):
        before, now = now, now + (MINUTE if now >= start + int(WATCHED_H * 60 * MINUTE) else 10 * MINUTE)
        ledger.bookings(
            [duty for sent, duty in simulation.bookings if before <= sent < now],
            [state for state in simulation.states if before <= state.time < now],
        )
        ledger.positions(take(fixes, (fixes.time >= before) & (fixes.time < now)))
        watcher.changed()
    watcher.close()


def weekly_sheet(database: EmbeddedDatabase) -> Image.Image:
    """The first page of a neighbourhood's weekly summary."""
    with connect(database.dsn) as server:
        server.execute("create database weeks template template0")
    with connect(database.dsn_of("weeks")) as connection:
        now = weeks.fill(connection)
        [summary] = summaries(connection, Policies(), weeks.period(), area_ids=[AREA], now=now)
    page = pypdfium2.PdfDocument(pdf(summary))[0]
    found = page.render(scale=SHEET_WIDTH / page.get_width()).to_pil()
    assert isinstance(found, Image.Image)
    return ImageOps.expand(found, EDGE, GREY)


def _read(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def _save(picture: Image.Image, name: str) -> None:
    """Writes it with few colours: the pages have no photographs, and a repository keeps every version."""
    path = OUT / f"{name}.png"
    OUT.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(OUT.parents[1])}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Makes both pictures."""
    try:
        built()
        with EmbeddedDatabase() as database:
            _save(live_page(database), "live")
            _save(weekly_sheet(database), "week")
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
