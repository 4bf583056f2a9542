"""Processes of the pipeline: started, supervised and ended together."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

from stream.pipeline.waiting import Backoff, first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

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
"""New objects, less those that are gone, after which the garbage collector looks for cycles."""

CHILD = "PVCHILD_OF"
"""Tells a process of this program its parent, so that it ends with it."""

PR_SET_PDEATHSIG = 1
"""Linux: which signal to get when the parent is gone, prctl(2)."""


def start_logging() -> None:
    """Log lines with UTC times on standard error."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)sZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for noisy in ("kafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # Their errors come as exceptions too, and are told in our own words.
    for told in ("aiokafka", "psycopg.pool"):
        logging.getLogger(told).setLevel(logging.CRITICAL)


def until_told(work: Callable[[asyncio.Event], Awaitable[object]]) -> None:
    """Runs something until it is done, or SIGINT or SIGTERM asks it to end cleanly.

    The garbage collector passes over the program itself, and looks at what came in by the thousand: messages
    and rows are no cycles, and looking at them more often took a twentieth of the processor time.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await work(stop)

    asyncio.run(run())


async def supervise(parts: Iterable[str], stop: asyncio.Event) -> None:
    """Keeps processes of this program running; asks them to end, and waits for them, when told."""
    log = logging.getLogger(__name__)
    refused: list[str] = []

    async def keep(part: str) -> None:
        backoff = Backoff(0.5, 30.0)
        while not stop.is_set():
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command(part), env={**os.environ, CHILD: str(os.getpid())}
            )
            ended = asyncio.ensure_future(process.wait())
            await first_of([ended], stop)
            if not stop.is_set() and ended.result() == 2:
                refused.append(part)
                stop.set()
            if not stop.is_set():
                log.error("%s ended with exit code %s; starting it again", part, ended.result())
                if time.monotonic() - began > backoff.last_s:
                    backoff.reset()
                await backoff.pause(stop)
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await ended

    await asyncio.gather(*(keep(part) for part in parts))
    if refused:
        raise click.ClickException(f"{refused[0]} cannot run as it is set up: it said why above")


def command(*words: str) -> list[str]:
    """This program with other arguments, for a process of its own."""
    return [sys.executable, "-m", "stream.cli.run", *words]


def start(*words: str, environment: dict[str, str], output: int | None = None) -> subprocess.Popen[bytes]:
    """Starts this program with other arguments in a process of its own."""
    # In a session of its own, so that Ctrl-C reaches it through us, once what it holds is settled.
    return subprocess.Popen(
        command(*words),
        env={**environment, CHILD: str(os.getpid())},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def end_with_parent() -> None:
    """Asks the system to end this process when its parent is killed, so that no orphan goes on counting.

    Only Linux can; elsewhere the children of a killed parent have to be ended by hand.
    """
    parent = os.environ.pop(CHILD, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(1)  # it was gone before we asked
