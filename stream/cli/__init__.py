"""The ``patrol`` command: options, help texts and exit codes; what each command does is in the folders below.

Exit codes: 0 done, 1 the answer is no, 2 wrong use (or an unusable file), 3 a server could not be reached.
"""

from __future__ import annotations

import gc
import logging
import sys

import click

from stream.cli.areas import areas
from stream.cli.audit import audit
from stream.cli.bridge import bridge
from stream.cli.dead_letters import dead_letters
from stream.cli.demo import demo
from stream.cli.doctor import doctor
from stream.cli.explain import explain, teams
from stream.cli.files import account, replay
from stream.cli.people import people
from stream.cli.person import person
from stream.cli.policy import policy
from stream.cli.public import postcode, public
from stream.cli.publish import publish
from stream.cli.recompute import recompute
from stream.cli.report import report
from stream.cli.restated import restatements
from stream.cli.retain import hold, retain
from stream.cli.roster import roster
from stream.cli.serve import export, ingest, init, timers, up, worker
from stream.cli.simulate import simulate
from stream.cli.status import status
from stream.cli.web import web
from stream.pipeline.ending import exit_code as ending_code
from stream.pipeline.ending import heed_signals, interrupted, leave_in_peace
from stream.pipeline.failures import WRONG_USE, exit_code, told
from stream.pipeline.processes import COLLECT_AFTER


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="patrol-visibility", prog_name="patrol")
def patrol() -> None:
    """How much of their booked-on time officers spend on their patch.

    Servers and secrets are given as PATROL_* variables or in a file named by PATROL_CONFIG; `patrol up
    --help` lists them. Each command's --help has an example.
    """


for command in (
    demo,
    up,
    init,
    ingest,
    worker,
    timers,
    web,
    areas,
    policy,
    people,
    doctor,
    account,
    simulate,
    replay,
    roster,
    bridge,
    status,
    dead_letters,
    export,
    recompute,
    restatements,
    report,
    postcode,
    explain,
    teams,
    audit,
    retain,
    hold,
    publish,
    person,
):
    patrol.add_command(command)

report.add_command(public)


def main() -> None:
    """Runs the command and turns failures into one line and an exit code."""
    for client in ("aiokafka", "kafka"):
        # Without a log of its own, Python would print a client's errors beside the one line below.
        logging.getLogger(client).addHandler(logging.NullHandler())
    heed_signals()
    gc.set_threshold(COLLECT_AFTER)  # modules are no cycles: looking at them took a fifth of a worker's start
    try:
        code = _run()
    except BaseException as error:
        if not interrupted() and not isinstance(error, click.Abort | KeyboardInterrupt):
            raise
        code = ending_code()
    leave_in_peace()
    sys.exit(code)


def _run() -> int | None:
    """The command's exit code, or None for 0."""
    try:
        # Without its standalone mode click hands an exit code back in place of leaving with it.
        code: int | None = patrol(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except Exception as error:
        if interrupted() or isinstance(error, click.Abort):
            raise
        if (code := exit_code(error)) is None:
            raise
        click.echo(f"patrol: {told(error)}", err=True)
    return code
