"""The command that recounts settled figures: options, output, and the processes that share the work.

The work itself stands in ``stream.store.recompute``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import database, local_minute, moment_option, print_json
from stream.cli.on_record import username
from stream.clock import wall
from stream.pipeline.ending import begin_in_pool, exit_code, stopping
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from stream.core.policy import Policies
    from stream.store.ledger import Chunk, Ledger
    from stream.store.policies import Outdated
    from stream.store.recompute import Recounted, Run
    from stream.store.schema import Connection
    from stream.store.settled import Recomputed

SHOWN = 20
"""How many changed figures are listed; --json has all."""

TOLD = 10
"""So many times it says how far it is where nobody looks on."""


@click.command(
    epilog="Example: patrol recompute --from 2026-11-16 --to 2026-11-23 --jobs 2 --why 'bounds for last week'"
)
@click.option("--from", "since", required=True, help="Start: 2026-11-16 (local midnight), or RFC 3339.")
@click.option("--to", "until", required=True, help="End, not included.")
@click.option("--officer", metavar="ID", help="Only this officer's duties, and the devices they hold.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--why", default="counted again from the stored facts", help="The reason, for the records.")
@click.option("--anew", is_flag=True, help="From the beginning, although the same was stopped half-way.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def recompute(
    since: str, until: str, officer: str | None, jobs: int, why: str, *, anew: bool, as_json: bool
) -> None:
    """Recounts settled figures from stored facts.

    Counts the stays of a period, and the slices of every duty that touches it, again from fixes, bookings and
    states, while the pipeline goes on, by the policies in force for their time. Differences from the tables
    are corrected, and put on record as a restatement: its cause is the policy where another one had counted
    a duty, else the facts. A second run finds nothing to do.

    It says on standard error how far it is. Told to end (Ctrl-C, SIGTERM) it finishes the part at hand. Then,
    or where it was killed, the same command goes on from there. What it changed is put on record when all
    parts are done.
    """
    from stream.store import policies
    from stream.store import recompute as work

    settings = load()
    start, end = moment_option(since), moment_option(until)
    if start >= end:
        raise click.BadParameter("--to must be later than --from")
    began = time.monotonic()
    with database("patrol recompute", settings) as connection:
        try:
            work.hold(connection)
            run = work.start(
                connection,
                (start, end),
                officer,
                work.horizon(connection, wall()),
                by=username(),
                why=why,
                anew=anew,
            )
        except work.RecomputeError as error:
            raise click.UsageError(str(error)) from error
        counted = _count_all(connection, settings.database, run, jobs)
        outcomes = work.conclude(
            connection,
            (start, end),
            run.until,
            by=username(),
            why=why,
            edition=run.edition,
            officer_id=officer,
        )
        older, rules = policies.outdated(connection), policies.in_force(connection)
    if as_json:
        print_json(_json(counted, list(run.parts.values()), outcomes, rules, older), indent=1)
    else:
        _tell(counted, list(run.parts.values()), outcomes, rules, older, time.monotonic() - began)


# ── the processes ─────────────────────────────────────────────────────────────────────────────────────────


def _count_all(connection: Connection, dsn: str, run: Run, jobs: int) -> Recounted:
    """Counts what is left of a run, and says how far it is.

    Raises:
        click.exceptions.Exit: it was told to end.
    """
    from threading import Event

    from stream.store.recompute import Recounted

    before = run.total - len(run.parts)
    if run.begun is not None:
        click.echo(
            f"goes on with what was begun {local_minute(run.begun)}: "
            f"{before:,} of {run.total:,} parts were done",
            err=True,
        )
    counted, done, stop, screen = Recounted(), before, Event(), sys.stderr.isatty()
    with stopping(stop.set), closing(_counted(connection, dsn, run, jobs)) as parts:
        while not stop.is_set() and (found := next(parts, None)) is not None:
            counted, done = counted + found, done + 1
            words = f"{done:,} of {run.total:,} parts, {counted.fixes:,} fixes"
            if screen:
                click.echo(f"\r{words}", nl=False, err=True)
            elif done * TOLD // run.total > (done - 1) * TOLD // run.total and run.total >= TOLD:
                click.echo(words, err=True)
    if screen and done > before:
        click.echo(err=True)
    if stop.is_set() and done < run.total:
        click.echo(
            f"stopped after {done:,} of {run.total:,} parts: the same command goes on from there, "
            "and then puts on record what changed",
            err=True,
        )
        raise click.exceptions.Exit(exit_code())
    return counted


def _counted(connection: Connection, dsn: str, run: Run, jobs: int) -> Generator[Recounted, None, None]:
    """Counts the parts that are left, in this process or in several."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from stream.store.ledger import Ledger
    from stream.store.recompute import count, finish

    if jobs == 1:
        ledger = Ledger(connection)
        for number, part in run.parts.items():
            found = count(ledger, part, run.until)
            finish(connection, number)
            yield found
        return
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_enter, initargs=(dsn, run.until, os.getpid())
    )
    try:
        yield from pool.map(_count, *zip(*run.parts.items(), strict=True)) if run.parts else ()
    except BrokenProcessPool as error:
        raise click.ClickException(
            "one of the processes was killed; what it had done stays: run the same command again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_mine: dict[str, Any] = {}
"""What a process of the pool keeps: its ledger, and the horizon."""


def _enter(dsn: str, horizon: int, parent: int) -> None:
    """Begins a process of the pool; it ends with its parent, and leaves Ctrl-C to it."""
    from stream.store.ledger import Ledger
    from stream.store.schema import connect

    begin_in_pool(parent)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    _mine["connection"] = connect(dsn, name="patrol recompute")
    _mine["ledger"] = Ledger(_mine["connection"])
    _mine["horizon"] = horizon


def _count(number: int, part: Chunk) -> Recounted:
    from stream.store.recompute import count, finish

    ledger: Ledger = _mine["ledger"]
    found = count(ledger, part, _mine["horizon"])
    finish(_mine["connection"], number)
    return found


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────────


def _looked_at(parts: Sequence[Chunk]) -> tuple[int, int]:
    """How many devices and duties."""
    devices = {device for part in parts for device in part.devices.tolist()}
    return len(devices), len({duty for part in parts for duty in part.duties})


def _tell(
    counted: Recounted,
    parts: Sequence[Chunk],
    outcomes: Sequence[Recomputed],
    rules: Policies,
    older: Sequence[Outdated],
    seconds: float,
) -> None:
    from stream.cli.policy import tell_outdated
    from stream.cli.restated import row

    devices, duties = _looked_at(parts)
    click.echo(
        f"{counted.fixes:,} fixes of {devices:,} devices and {duties:,} duties "
        f"counted again in {seconds:,.1f} s"
    )
    if not outcomes:
        click.echo("no figure changed")
    for outcome in outcomes:
        click.echo(
            f"restatement {outcome.restatement}: {len(outcome.restated):,} figures changed, "
            f"because of the {outcome.cause} "
            "(on patch, and share of duty less breaks with its bounds, before → after)"
        )
        for item in outcome.restated[:SHOWN]:
            week, whose, hours, hours_after, share, share_after = row(item, rules)
            click.echo(f"  {week} {whose}: {hours}, {share} → {hours_after}, {share_after}")
        if len(outcome.restated) > SHOWN:
            click.echo(f"  and {len(outcome.restated) - SHOWN:,} more: --json lists them all")
    tell_outdated(older)


def _json(
    counted: Recounted,
    parts: Sequence[Chunk],
    outcomes: Sequence[Recomputed],
    rules: Policies,
    older: Sequence[Outdated],
) -> dict[str, object]:
    from stream.cli.policy import outdated_json
    from stream.files.restated import figure_before_and_after

    devices, duties = _looked_at(parts)
    return {
        "fixes": counted.fixes,
        "devices": devices,
        "duties": duties,
        "restatement": outcomes[-1].restatement if outcomes else None,
        "restated": [
            figure_before_and_after(item, rules) for outcome in outcomes for item in outcome.restated
        ],
        "restatements": [
            {
                "restatement": outcome.restatement,
                "cause": outcome.cause,
                "restated": [figure_before_and_after(item, rules) for item in outcome.restated],
            }
            for outcome in outcomes
        ],
        "outdated": outdated_json(older),
    }
