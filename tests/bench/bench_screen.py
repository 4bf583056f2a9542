"""What the live page costs its browser: frames, memory, and the time from a commit to the screen.

The made-up force of ``bench_pages`` and 3,400 units that move, before Chromium with its graphics drawn by the
processor (where there is a graphics card, frames are quicker). Memory is what JavaScript holds after a forced
collection, while an hour of events in which every unit moves is replayed as fast as the page takes it. From a
commit to the screen is wall clock, between a row in the database and the change of the document.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.core.calendar import moment
from stream.core.facts import SECOND, StateReport
from stream.embedded import EmbeddedDatabase
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.bench_pages import INTERVAL_S, RADIOS, UNITS, Crowd, fill, moving
from tests.shell.screen import DESK, chromium, serving_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from stream.store.ledger import Ledger
    from stream.store.schema import Connection

FRAMES_S = 12.0
PULSES = 720
"""An hour of events at one in five seconds, in each of which every unit moves."""

CHANGES = 30
WAIT_S = 20.0

FRAMES = """(seconds) => new Promise((done) => {
  const times = [];
  const end = performance.now() + 1000 * seconds;
  let last = performance.now();
  const frame = (now) => {
    times.push(now - last);
    last = now;
    if (now < end) requestAnimationFrame(frame); else done(times.slice(1));
  };
  requestAnimationFrame(frame);
})"""

PAN = """(seconds) => {
  const { map } = patrol.map;
  const end = performance.now() + 1000 * seconds;
  let turn = 0;
  const go = () => {
    if (performance.now() > end) return;
    map.panBy([turn++ % 2 ? 240 : -240, turn % 3 ? 90 : -90], { duration: 900, easing: (t) => t });
    map.once('moveend', go);
  };
  map.zoomTo(11, { duration: 0 });
  go();
}"""

RECORDED = """() => {
  const Real = window.EventSource;
  window.EventSource = class extends Real {
    constructor(...given) { super(...given); window.line = this; }
  };
}"""
"""The page's own line to the server is kept, so that a recorded hour can come down it, too."""

REPLAY = """async ([from, to]) => {
  const { state } = patrol;
  const units = [...state.units.values()];
  const shares = [...state.neighbourhoods.values()];
  const began = performance.now();
  for (let pulse = from; pulse < to; pulse++) {
    const now = Date.now() + 5000 * pulse;
    const as_of = new Date(now).toISOString();
    const columns = {
      ids: units.map((one) => one.id),
      lon: units.map((one, at) => one.lon + 2e-4 * Math.sin(pulse + at)),
      lat: units.map((one, at) => one.lat + 2e-4 * Math.cos(pulse + at)),
      t_ms: units.map(() => now),
      heading: units.map((one, at) => (pulse * 7 + at) % 360),
      activity: units.map((one, at) => (at + pulse) % 9 ? 'on_patch' : 'off_patch'),
      gone: [],
    };
    const changed = shares.map((one, at) => ({ ...one, share: 0.7 + 0.2 * Math.sin(pulse + at) }));
    const send = (event, data) => line.dispatchEvent(new MessageEvent(event, { data: JSON.stringify(data) }));
    send('share', { as_of, neighbourhoods: changed });
    send('units', columns);
    send('pulse', { as_of, fresh: state.fresh });
    await new Promise((done) => requestAnimationFrame(done));
  }
  return (performance.now() - began) / (to - from);
}"""

WATCH = """([selector, words]) => {
  const told = () => [...document.querySelectorAll(selector)].some((one) => one.textContent.includes(words));
  window.seen = new Promise((done) => {
    if (told()) return done(Date.now());
    const watch = new MutationObserver(() => { if (told()) { watch.disconnect(); done(Date.now()); } });
    watch.observe(document.body, { childList: true, characterData: true, subtree: true });
  });
}"""


@contextlib.contextmanager
def opened(browser: Browser, address: str, script: str = "") -> Iterator[Page]:
    """The page on a desk, with its figures and its map."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    if script:
        page.add_init_script(f"({script})()")
    page.goto(address)
    page.wait_for_selector("#list a.row")
    deadline = time.monotonic() + WAIT_S
    while not page.evaluate("() => patrol.map.map.getLayer('units') && patrol.map.unitsLayer.units.length"):
        if time.monotonic() > deadline:
            raise TimeoutError("the page has drawn no units")
        page.wait_for_timeout(100)
    yield page
    context.close()


def frames(page: Page) -> list[Row]:
    """Time between frames while units move, and while the map is dragged as well."""
    rows = []
    for name, script in (("standing", None), ("dragged", PAN)):
        if script:
            page.evaluate(script, FRAMES_S)
        times = np.array(page.evaluate(FRAMES, FRAMES_S))
        note = f"{UNITS:,} units at {INTERVAL_S:g} s, drawn by the processor"
        for part, value in (("p50", np.percentile(times, 50)), ("p95", np.percentile(times, 95))):
            rows.append(Row(f"frame, map {name}: {part}", float(value), "ms", note))
        rows.append(Row(f"frame, map {name}: longest", float(times.max()), "ms", f"of {len(times)}"))
    handed = np.array(page.evaluate("() => patrol.map.handed"))
    rows.append(Row("units handed to the map: p95", float(np.percentile(handed, 95)), "ms", "once a second"))
    return rows


def heap_mb(page: Page, session: Any) -> float:
    """What JavaScript holds once what nobody needs has been collected."""
    page.wait_for_timeout(1500)
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def memory(page: Page) -> list[Row]:
    """The heap at the start, in the middle and at the end of a replayed hour."""
    session = page.context.new_cdp_session(page)
    page.evaluate("() => document.querySelector('#map-tools button:last-child').click()")  # trails
    rows = [Row("heap at the start", heap_mb(page, session), "MB", "after a forced collection")]
    took = 0.0
    for at, (first, last) in enumerate(((0, 90), (90, PULSES // 2), (PULSES // 2, PULSES))):
        took += page.evaluate(REPLAY, [first, last]) * (last - first)
        name = ("after seven minutes", "in the middle", "at the end")[at]
        rows.append(Row(f"heap {name}", heap_mb(page, session), "MB", f"{last} pulses, every unit in each"))
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    rows.append(Row("elements of the document at the end", nodes, "", "no element stands for a unit"))
    rows.append(Row("a pulse, taken and drawn", took / PULSES, "ms", f"{PULSES} as fast as they are taken"))
    return rows


def seen_after(page: Page, selector: str, words: str, change: Any) -> float:
    """Seconds from the end of a change to the document's having it."""
    page.evaluate(WATCH, [selector, words])
    change()
    committed = time.time()
    return float(page.evaluate("() => window.seen")) / 1000 - committed


def latency(page: Page, connection: Connection, ledger: Ledger) -> list[Row]:
    """From a commit to the screen: an alert that rings, and an officer who keys a status."""

    def ring(number: int) -> None:
        now = moment(time.time_ns() // 1000)
        connection.execute(
            "insert into alert (alert_id, kind, scope, id, level, text, since, raised) "
            "values (%s, 'off_patch_long', 'officer', %s, 'act', %s, %s, %s)",
            [f"bench-{number}", f"O{number}", f"PC {number} rings", now, now],
        )

    alerts = []
    chance = np.random.default_rng(2)
    for number in range(CHANGES):
        time.sleep(float(chance.uniform(0, 0.3)))  # anywhere between two pulses
        alerts.append(seen_after(page, "#alerts .words", f"PC {number} rings", lambda: ring(number)))  # noqa: B023
    away = []
    for number in range(CHANGES):
        time.sleep(float(chance.uniform(0, 0.3)))
        ward = number % RADIOS
        before = page.evaluate(
            f"() => document.querySelector('#list a[href=\"#/n/N{ward:03}\"] .officers').textContent"
        )
        on = int(before.split("\u2009")[0])
        if on == 0:
            continue
        now = time.time_ns() // 1000
        key = next(
            item
            for item in range(ward, RADIOS, 169)
            if page.evaluate(f"() => patrol.state.units.get('U{item:05}')?.activity === 'on_patch'")
        )
        report = StateReport(f"O{key:05}", now - SECOND, 8)
        away.append(
            seen_after(
                page,
                f'#list a[href="#/n/N{ward:03}"] .officers',
                f"{on - 1}\u2009/",
                lambda: ledger.bookings((), [report]),  # noqa: B023
            )
        )
    rows = []
    for name, times in (("an alert that rings", alerts), ("a status that an officer keys", away)):
        note = f"of {len(times)}; 169 neighbourhoods, {UNITS:,} units"
        rows.append(Row(f"from commit to screen, {name}: median", statistics.median(times), "s", note))
        rows.append(Row(f"from commit to screen, {name}: longest", max(times), "s", note))
    return rows


def run() -> list[Row]:
    """Frames and memory under movement, then times with the units at rest."""
    crowd = Crowd()
    with EmbeddedDatabase() as server, connect(server.dsn, name="bench") as connection:
        ledger = fill(connection, crowd, time.time_ns() // 1000)
        with serving_alone(server.dsn, clock="wall") as web, chromium() as browser:
            with opened(browser, web.address) as page, moving(ledger, crowd):
                rows = frames(page)
            with opened(browser, web.address) as page:
                rows += latency(page, connection, ledger)
            with opened(browser, web.address, RECORDED) as page:
                rows += memory(page)
    return rows


if __name__ == "__main__":
    print(show(run()))
