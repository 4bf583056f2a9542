"""Processes of the pipeline: loaded, started, supervised and ended together."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import click

from stream.pipeline.ending import END_S, as_child, stopping

if TYPE_CHECKING:
    import asyncio
    import subprocess
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

PARTS: Mapping[str, str] = {
    "ingest": "raw topics to validated frames",
    "worker": "frames to stays, slices, shares, alerts and reports",
    "web": "the live page and the API",
}
"""What ``patrol up`` and ``patrol demo`` run, each a command and a process of its own, and what it does."""


def in_words(names: Iterable[str]) -> str:
    """``ingest, worker and web``."""
    *most, last = names
    return f"{', '.join(most)} and {last}"


COLLECT_AFTER = 50_000
"""New objects, less those that are gone, after which the garbage collector looks for cycles.

Messages and rows are none, and looking at them more often took a twentieth of the processor time.
"""

OF_THE_PIPELINE = ("ingest", "worker")
"""The parts that answer on PATROL_HEALTH_PORT; ``patrol web`` does on its own."""

NO_OPTIONS: Mapping[str, Sequence[str]] = {}
"""Each part as its command alone starts it."""

FAREWELL_S = END_S + 0.5
"""So long a part that was told to end is waited for: it ends by itself before."""


ABSENT = ("rich", "yaml")
"""What structlog and Faust import where it is there: for terminals, and for a codec that nothing asks for."""

HTTP_CLIENT = "aiohttp.client"
"""What Faust imports for one name of a type, and uses when asked for a web server or client, which it is not.

It takes as long as all of Faust: it reads every certificate that the system trusts.
"""


@contextmanager
def loading() -> Iterator[None]:
    """While the block imports the parts of a process that runs for long, what it never uses stays out.

    Modules that were imported before stay, and those that stay out can be imported as ever after the block.
    For the main thread, before others import anything.

    The garbage collector rests meanwhile, and then passes over what it found: modules are no garbage, and
    looking at them again and again took a tenth of a worker's start.
    """
    absent: dict[str, ModuleType | None] = {
        name: module
        for name, module in (*dict.fromkeys(ABSENT).items(), (HTTP_CLIENT, _client()))
        if name not in sys.modules
    }
    collects = gc.isenabled()
    gc.disable()
    # None is how Python notes that a module cannot be found.
    sys.modules.update(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
        gc.freeze()
        if collects:
            gc.enable()


def _client() -> ModuleType:
    module = ModuleType(HTTP_CLIENT)
    module.ClientSession = type("ClientSession", (), {})  # type: ignore[attr-defined]
    return module


def until_told(work: Callable[[asyncio.Event], Awaitable[object]], *, limit_s: float = END_S) -> None:
    """Runs something until it is done, or SIGINT or SIGTERM asks it to end cleanly.

    Args:
        work: given the event that is set when it is asked to.
        limit_s: so long it may then take; after that the process ends as it is.

    The garbage collector passes over the program itself.
    """
    import asyncio

    gc.freeze()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        with stopping(lambda: loop.call_soon_threadsafe(stop.set), limit_s):
            await work(stop)

    asyncio.run(run())


async def supervise(
    parts: Iterable[str],
    stop: asyncio.Event,
    health_port: int = 0,
    options: Mapping[str, Sequence[str]] = NO_OPTIONS,
) -> None:
    """Keeps processes of this program running; asks them to end, and waits for them, when told.

    Where a part that counts cannot run as it is set up, all end; counting goes on without the pages.

    Args:
        parts: the commands, each a process.
        stop: set it to end.
        health_port: where the first of those that count answers on its health; the next one on the port that
            follows. 0: none does.
        options: of a part's command.

    Raises:
        click.ClickException: a part that counts cannot run as it is set up.
    """
    import asyncio

    from stream.pipeline.waiting import Backoff, first_of

    parts = list(parts)
    log = logging.getLogger(__name__)
    refused: list[str] = []
    with_port = [part for part in parts if part in OF_THE_PIPELINE] if health_port else []
    ports = {part: {"PATROL_HEALTH_PORT": str(health_port + at)} for at, part in enumerate(with_port)}

    async def keep(part: str) -> None:
        backoff = Backoff(0.5, 30.0)
        while not stop.is_set():
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command(part, *options.get(part, ())), env=as_child({**os.environ, **ports.get(part, {})})
            )
            ended = asyncio.ensure_future(process.wait())
            await first_of([ended], stop)
            if not stop.is_set() and ended.result() == 2 and part != "web":
                refused.append(part)
                stop.set()
            if not stop.is_set():
                log.error("%s ended with exit code %s; starting it again", part, ended.result())
                if time.monotonic() - began > backoff.last_s:
                    backoff.reset()
                await backoff.pause(stop)
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                if not (await asyncio.wait([ended], timeout=FAREWELL_S))[0]:
                    process.kill()
                await ended

    await asyncio.gather(*(keep(part) for part in parts))
    if refused:
        raise click.ClickException(f"{refused[0]} cannot run as it is set up: it said why above")


def command(*words: str) -> list[str]:
    """This program with other arguments, for a process of its own."""
    return [sys.executable, "-m", "stream", *words]


def start(*words: str, environment: dict[str, str], output: int | None = None) -> subprocess.Popen[bytes]:
    """Starts this program with other arguments in a process of its own."""
    import subprocess

    # In a session of its own, so that Ctrl-C reaches it through us, once what it holds is settled.
    return subprocess.Popen(
        command(*words),
        env=as_child(environment),
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
