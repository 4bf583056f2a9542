"""``patrol demo``: the whole pipeline on this machine, with an invented force and a simulated shift."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import asyncio
    import subprocess
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from geo.areas import AreaSet
    from stream.core.live.overview import LiveShare
    from stream.settings import Settings
    from stream.simulate import Simulation
    from stream.store.schema import Connection

DEFAULT_FOR_S = 600.0
SETTLE_S = 8.0
"""Kept free at the end of ``--for``, so that the last messages are counted too."""
PATIENCE_S = 60.0
"""How long what was sent may wait without any of it being counted."""
LIMIT_S = 9.5
"""So long it may take to end when told to: a little longer than its processes."""
TOLD_S = 1.5
"""How long it goes on counting then, and how long its processes may take; they hold nothing that is kept."""
SHIFT = "2026-11-20T14:00:00Z"
"""A late turn on a Friday: the hours of all priority areas begin or end in it."""
HOURS = 10.0
UNVISITED_S = 1800.0
"""The simulated officers visit priority areas often: they are held to more than the usual setting."""
BAR = 20
ROLL_S = 1.0


@click.command(epilog="Example: patrol demo --for 60")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(20),
    help="Play the whole shift in about this many seconds once the servers are up (a busy machine may need "
    "longer); with --speed: end after them, however much of it was played.",
)
@click.option("--officers", type=click.IntRange(16, 20_000), default=60, show_default=True)
@click.option(
    "--speed",
    type=click.FloatRange(1),
    help="How many times faster than real time (default: so that the shift fits).",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another town, another shift.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The live page's port (default, and where it is taken: any).",
)
def demo(seconds: float | None, officers: int, speed: float | None, seed: int, port: int | None) -> None:
    """Runs the whole pipeline on this machine: embedded broker and database, a simulated shift as input.

    Everything is in a temporary folder and is removed at the end. Ctrl-C ends it cleanly.
    """
    from rich.console import Console

    from stream.pipeline.processes import until_told

    console = Console()
    where = page_port(console, port)
    began = time.monotonic()
    with ExitStack() as stack:
        stage = _Stage(console, stack, began)
        stage.prepare(seed, officers, where)
        until_told(lambda stop: stage.play(stop, seconds, speed), limit_s=LIMIT_S)


def page_port(console: Console, wanted: int | None) -> int:
    """The live page's port: the one that is wanted, and any where that is taken.

    Raises:
        click.ClickException: the port is not allowed.
    """
    from stream.cli.web import PortTakenError, listening_on
    from stream.embedded import free_port

    if wanted is None:
        return free_port()
    try:
        listening_on("127.0.0.1", wanted).close()
    except PortTakenError:
        found = free_port()
        console.print(
            f"another program uses port {wanted}: the live page is on port {found}; --port chooses another",
            highlight=False,
            soft_wrap=True,
        )
        return found
    return wanted


class _Stage:
    settings: Settings
    force: AreaSet
    simulation: Simulation
    connection: Connection
    processes: list[subprocess.Popen[bytes]]
    log: Path

    def __init__(self, console: Console, stack: ExitStack, began: float) -> None:
        self.console = console
        self._stack = stack
        self._began = began
        self._reached = 0
        self._sent = 0

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/]  {text}", highlight=False)

    def prepare(self, seed: int, officers: int, port: int) -> None:
        """Starts the servers and the pipeline's processes, publishes the areas, simulates the shift."""
        from stream.cli.serve import initialise
        from stream.core.calendar import parse_time
        from stream.embedded import EmbeddedBroker, EmbeddedDatabase
        from stream.pipeline.processes import PARTS, start
        from stream.settings import DEMONSTRATION, Settings
        from stream.simulate import demo_force, simulate
        from stream.store import areas
        from stream.store.schema import connect

        self.console.print(f"http://127.0.0.1:{port}/", highlight=False)
        broker = self._stack.enter_context(EmbeddedBroker())
        database = self._stack.enter_context(EmbeddedDatabase())
        changed: dict[str, Any] = {
            "kafka": broker.bootstrap,
            "database": database.dsn,
            "clock": "events",
            "session_s": 2.0,
            "publish_s": 1.0,
            "alert_priority_unvisited_s": UNVISITED_S,
            "sign_in": DEMONSTRATION,
        }
        self.settings = Settings(**changed, partitions=4)
        initialise(self.settings)
        self._say("broker and database are up, in memory and in a temporary folder")
        # In a folder that goes even if this process is killed.
        self.log = broker.folder / "pipeline"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PATROL_")},
            **{f"PATROL_{name.upper()}": str(value) for name, value in changed.items()},
        }
        options = {"web": ("--port", str(port), "--wait")}  # it may be taken meanwhile
        output = self._stack.enter_context(self.log.open("wb"))
        self.processes = [
            start(part, *options.get(part, ()), environment=environment, output=output.fileno())
            for part in PARTS
        ]
        self._stack.callback(_end, self.processes)
        self.connection = self._stack.enter_context(connect(self.settings.database, name="patrol demo"))
        self.force = demo_force(seed)
        for kind in sorted(set(self.force.kind)):
            areas.publish(
                self.connection, self.force, kind, 0, file="demonstration", sha256="-", by="patrol demo"
            )
        self.simulation = simulate(
            self.force, officers=officers, start=parse_time(SHIFT), hours=HOURS, interval_s=5, seed=seed
        )
        self._say(
            f"an invented force: {sum(kind == 'neighbourhood' for kind in self.force.kind)} neighbourhoods, "
            f"{officers} officers, {len(self.simulation.trackers.device_id)} trackers"
        )

    async def play(self, stop: asyncio.Event, seconds: float | None, speed: float | None) -> None:
        """Sends the shift and shows the figures until it is over, the time is up, or told to stop."""
        import asyncio

        from rich.live import Live as RichLive

        from stream.files.replay import send_simulation

        shift_s = (self.simulation.end - self.simulation.start) / 1e6
        left = max((DEFAULT_FOR_S if seconds is None else seconds) - SETTLE_S, 5.0)
        # A busy machine plays the whole shift too, only later: a part of it would not be what was asked for.
        cut = seconds is not None and speed is not None
        # Late reports trail behind the shift's end by some minutes of shift time.
        speed = speed or (shift_s + 900) / left
        self._say(
            f"a shift of {shift_s / 3600:.0f} h from {_clock(self.simulation.start)}, "
            f"{speed:,.0f} times faster than real time"
        )

        def heard(sent: int, reached: int) -> None:
            self._sent, self._reached = sent, reached

        over = asyncio.Event()  # told to stop, or the time is up
        told = asyncio.ensure_future(stop.wait())
        told.add_done_callback(lambda _: over.set())
        sending = asyncio.create_task(
            send_simulation(self.simulation, self.settings.brokers, speed=speed, stop=over, on_progress=heard)
        )
        timer = asyncio.get_running_loop().call_later(left + SETTLE_S / 2, over.set) if cut else None
        rates, due = _Rates(self._began), 0.0
        # In a terminal the table is redrawn; elsewhere it is printed now and then.
        screen = RichLive(console=self.console, auto_refresh=False, transient=True)
        with screen if self.console.is_terminal else nullcontext():

            async def show() -> None:
                nonlocal due
                self._check_processes()
                shown = await asyncio.to_thread(_look, self.connection)
                if not shown.on_duty:
                    return
                table = self._table(shown, rates, speed)
                if self.console.is_terminal:
                    screen.update(table, refresh=True)
                elif time.monotonic() >= due:
                    self.console.print(table)
                    due = time.monotonic() + 10

            while True:
                await show()
                if sending.done():
                    break
                await asyncio.wait([sending], timeout=ROLL_S)
            complete = not over.is_set()
            await sending
            await self._settle(show, stop)
        if timer:
            timer.cancel()
        told.cancel()
        self._summary(complete and not stop.is_set())

    def _check_processes(self) -> None:
        if failed := [process for process in self.processes if process.poll() is not None]:
            raise click.ClickException(
                f"{failed[0].args[-1]!s} ended with exit code {failed[0].returncode}:\n"  # type: ignore[index]
                f"{self.log.read_text(errors='replace')[-2000:]}"
            )

    async def _settle(self, show: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Waits until everything sent is counted; not for long when told to stop."""
        import asyncio

        from stream.pipeline.lag import LagMeter

        meter = await asyncio.to_thread(LagMeter, self.settings)
        waiting, deadline, last = None, 0.0, math.inf
        try:
            while not (lag := await asyncio.to_thread(meter.measure, self.connection)).none:
                if stop.is_set():
                    last = min(last, time.monotonic() + TOLD_S)
                if time.monotonic() > last:
                    return
                if lag != waiting:
                    waiting, deadline = lag, time.monotonic() + PATIENCE_S
                if time.monotonic() > deadline:
                    raise click.ClickException(
                        f"{lag.raw:,} messages wait, and none was counted for {PATIENCE_S:.0f} s"
                    )
                await show()
                await asyncio.sleep(ROLL_S / 5)
        finally:
            await asyncio.to_thread(meter.close)

    def _table(self, shown: _Shown, rates: _Rates, speed: float) -> Table:
        from rich import box
        from rich.table import Table

        rate = rates.of(shown.fixes)
        now = f"{_clock(shown.newest)}" if shown.newest > 0 else "--:--:--"
        age = max(0.0, (self._reached - shown.newest) / 1e6 / speed) if shown.newest > 0 else 0.0
        table = Table(
            title=f"{now}   {rate:,.0f} events/s   newest event {age:.1f} s old   {shown.fixes:,} counted",
            caption=f"┃ the promise: {shown.target:.0%} of duty time on patch. Unknown time is not credited.",
            box=box.SIMPLE_HEAD,
            title_style="bold",
        )
        table.add_column("neighbourhood", no_wrap=True)
        table.add_column("share of duty on patch", no_wrap=True)
        for name in ("", "on patch", "unknown"):
            table.add_column(name, justify="right", no_wrap=True)
        for item in sorted(shown.figures, key=_by_need):
            if item.figures.scope != "officer":
                table.add_row(*_row(item), style="bold" if item.figures.scope == "force" else None)
        return table

    def _summary(self, complete: bool) -> None:
        """The figures of the whole shift beside the simulator's own truth."""
        from rich import box
        from rich.table import Table

        from stream.core.shares import shares
        from stream.store.doubts import judge_due
        from stream.store.policies import in_force
        from stream.store.reading.exports import derived
        from stream.store.reading.live import newest_event
        from stream.store.reading.progress import positions

        judge_due(self.connection)
        found = derived(self.connection)
        start, end = self.simulation.start, self.simulation.end
        if not complete:
            # The part that was not played is not unknown.
            end = max(start, min(end, newest_event(self.connection)))
        figures = shares(found.slices, found.duties, found.places, start, end, doubts=found.doubts)
        rejected = _dead_letters(self.settings)
        self._say(
            f"{self._sent:,} messages sent, {positions(self.connection):,} positions counted, "
            f"{rejected:,} unusable ones kept in dead.letters; the rest repeat one or are bookings and states"
        )
        truth = self.simulation.truth()
        patch = {duty.duty_id: duty.patch for duty in self.simulation.duties}
        names = {area.area_id: area.name for area in self.force.areas()}
        target = in_force(self.connection).at(start).target
        title = "The shift, and the truth that only a simulator knows" if complete else "The shift so far"
        table = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for name in (
            "neighbourhood",
            "counted",
            "between",
            "truth",
            "off by",
            "unknown",
            "verdict",
        ):
            table.add_column(name, justify="left" if name == "neighbourhood" else "right", no_wrap=True)
        for item in sorted(figures, key=lambda item: (item.scope == "force", item.share or 0.0)):
            if item.scope == "officer" or item.share is None:
                continue
            rows = [
                number
                for number, duty_id in enumerate(truth.duty_id)
                if patch[duty_id] and (item.scope == "force" or item.id in patch[duty_id])
            ]
            true = truth.share(rows)
            table.add_row(
                names.get(item.id, "the force"),
                f"{item.share:.1%}",
                f"{item.share_low:.1%}–{item.share_high:.1%}",
                f"{true:.1%}" if complete else "–",
                f"{abs(item.share - true) * 100:.1f} pt" if complete else "–",
                f"{item.unknown / item.duty:.1%}",
                item.verdict(target),
                style="bold" if item.scope == "force" else None,
            )
        self.console.print(table)
        self.console.print(
            "counted: seconds on patch ÷ seconds on duty; unknown time is not credited."
            if complete
            else "Ended before the shift did: figures up to the last event; the truth is of the whole shift.",
            highlight=False,
        )


@dataclass(frozen=True, slots=True)
class _Shown:
    figures: list[LiveShare]
    newest: int
    fixes: int
    target: float

    @property
    def on_duty(self) -> bool:
        """Whether there is anything to show: positions are counted, and somebody with a patch is on duty."""
        return self.fixes > 0 and any(item.officers.on_duty for item in self.figures)


def _look(connection: Connection) -> _Shown:
    from stream.store.policies import in_force
    from stream.store.reading.live import live, newest_event
    from stream.store.reading.progress import positions

    newest, policies = newest_event(connection), in_force(connection)
    figures = live(connection, newest, policies) if newest > 0 else []
    return _Shown(figures, newest, positions(connection), policies.at(newest).target)


class _Rates:
    """Events a second over the last seconds."""

    def __init__(self, began: float) -> None:
        self._seen = [(began, 0)]

    def of(self, count: int) -> float:
        now = time.monotonic()
        self._seen = [*self._seen[-8:], (now, count)]
        first = self._seen[0]
        return (count - first[1]) / max(now - first[0], 1e-3)


def _by_need(item: LiveShare) -> tuple[bool, bool, float]:
    share = item.figures.share
    return (item.figures.scope == "force", share is None, 0.0 if share is None else share)


def _row(item: LiveShare) -> Iterator[str]:
    from stream.core.explaining.wording import no_share_words

    share = item.figures.share
    yield item.name
    if share is None:
        yield f"[dim]{no_share_words(item.figures)}[/]"
        yield "–"
    else:
        mark = round(item.target * BAR)
        full = round(share * BAR)
        cells = ["█" if n < full else "░" if n < mark else " " for n in range(BAR)]
        cells.insert(mark, "┃")
        colour = "green" if share >= item.target else "yellow" if share >= item.target - 0.1 else "red"
        yield f"[{colour}]{''.join(cells)}[/]"
        yield f"{share:.1%}"
    yield f"{item.officers.on_patch} of {item.officers.on_duty}"
    yield f"{item.figures.unknown / item.figures.duty:.1%}" if item.figures.duty else "–"


def _clock(time_us: int) -> str:
    from stream.core.calendar import LOCAL, moment

    return f"{moment(time_us).astimezone(LOCAL):%H:%M:%S}"


def _dead_letters(settings: Settings) -> int:
    from stream.pipeline.lag import LagMeter

    meter = LagMeter(settings)
    try:
        return sum(each.end for each in meter.dead_letters().values())
    finally:
        meter.close()


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    import subprocess

    until = time.monotonic() + TOLD_S
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
