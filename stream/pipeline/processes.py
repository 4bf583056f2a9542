"""Processes of the pipeline: started, supervised and ended together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


CHILD = "PVCHILD_OF"
"""Tells a process of this program who started it, so that it ends when that one is gone."""


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
    # Its errors come as exceptions too, and are told in our own words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def until_told(work: Callable[[asyncio.Event], Awaitable[object]]) -> None:
    """Runs something until it is done, or SIGINT or SIGTERM asks it to end cleanly."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await work(stop)

    asyncio.run(run())


async def supervise(parts: list[tuple[str, ...]], stop: asyncio.Event) -> None:
    """Keeps processes of this program running; asks them to end, and waits for them, when told."""
    log = logging.getLogger(__name__)
    refused: list[str] = []

    async def keep(part: tuple[str, ...]) -> None:
        backoff = 0.5
        while not stop.is_set():
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command(*part), env={**os.environ, CHILD: str(os.getpid())}
            )
            ended = asyncio.ensure_future(process.wait())
            told = asyncio.ensure_future(stop.wait())
            await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if not stop.is_set() and ended.result() == 2:
                refused.append(part[0])
                stop.set()
            if not stop.is_set():
                backoff = 0.5 if time.monotonic() - began > 30 else min(backoff * 2, 30.0)
                log.error("%s ended with exit code %s; starting it again", part[0], ended.result())
                try:
                    await asyncio.wait_for(stop.wait(), backoff)
                except TimeoutError:
                    continue
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await ended

    await asyncio.gather(*(keep(part) for part in parts))
    if refused:
        raise click.ClickException(f"{refused[0]} cannot run as it is set up: it said why above")


def command(*words: str) -> list[str]:
    """This program with other words, for a process of its own."""
    return [sys.executable, "-m", "stream.cli.run", *words]


def start(*words: str, environment: dict[str, str], output: int | None = None) -> subprocess.Popen[bytes]:
    """Starts this program with other words in a process of its own."""
    # In a session of its own, so that Ctrl-C reaches it through us, once what it holds is settled.
    return subprocess.Popen(
        command(*words),
        env={**environment, CHILD: str(os.getpid())},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
