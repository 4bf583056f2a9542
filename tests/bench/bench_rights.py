"""What rights add to a request: processor time with and without, in one process and turn by turn.

Without: nobody is asked who they are, the table is not asked, and nothing is cut. With: an inspector of the
force, of whom the table is asked, and a sergeant, whose answers are cut too. A town of 40 officers, an hour
of positions; ``time.process_time`` around each request, which counts the database's client and no server.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING
from unittest.mock import patch

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation

from stream.embedded import EmbeddedDatabase
from stream.settings import Settings
from stream.web.access.reach import EVERYTHING
from stream.web.access.viewer import Role
from tests.bench import Row
from tests.shell.town import MINUTE, NOON, SPOTS, duty, town_called
from tests.viewing import Asking, asking, everyone, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = 150
PATHS = {
    "live": "/api/v1/live",
    "units": "/api/v1/units",
    "a neighbourhood": "/api/v1/neighbourhoods/N1",
    "an officer": "/api/v1/officers/O1",
    "a duty's track": "/api/v1/officers/O1/duties/D-O1",
    "the areas": "/collections/neighbourhood/items/N1",
    "a weekly summary": "/api/v1/neighbourhoods/N1/weeks/2026-W47",
}


async def unruled(request: Request) -> None:
    """Lets everybody see everything."""
    request.state.reach, request.state.ground = EVERYTHING, None


def run() -> list[Row]:
    """Median milliseconds a request, and what rights add to it."""
    with EmbeddedDatabase() as server, town_called(server, "rights") as town:
        officers = [f"O{at}" for at in range(1, 41)]
        town.begin(
            *(duty(name, f"N{at % 2 + 1}", NOON, NOON + 480 * MINUTE) for at, name in enumerate(officers))
        )
        spots = list(SPOTS)
        town.put(**{f"R{name[1:]}": spots[at % len(spots)] for at, name in enumerate(officers)})
        town.go(60, 30)
        settings = Settings(database=town.dsn, clock="events")
        with asking(settings) as ruled, _unruled(settings) as free:
            return [row for what, path in PATHS.items() for row in _rows(free, ruled, what, path)]


@contextlib.contextmanager
def _unruled(settings: Settings) -> Iterator[Asking]:
    """The application as it would be without a table of rights."""
    with patch("stream.web.app.permit", unruled), patch("stream.web.app.settled", lambda _app: None):
        made = asking(settings)
        site = made.__enter__()
    with contextlib.ExitStack() as stack:
        stack.push(made)
        yield site


def _rows(free: Asking, ruled: Asking, what: str, path: str) -> list[Row]:
    inspector = everyone()[Role.INSPECTOR]
    ways = {
        "without": (free, inspector),
        "whole": (ruled, inspector),
        "cut": (ruled, somebody(Role.SERGEANT, ["N1"])),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REQUESTS):
        # Whoever comes first in a round meets cold caches: each does in turn.
        order = [*ways][turn % len(ways) :] + [*ways][: turn % len(ways)]
        for name in order:
            site, who = ways[name]
            site.entrance.who = who
            started = time.process_time()
            assert site.get(path).status_code == 200
            times[name].append((time.process_time() - started) * 1e3)
    median = {name: statistics.median(found) for name, found in times.items()}
    return [
        Row(f"{what}: without rights", median["without"], "ms", ""),
        Row(f"{what}: what rights add, an inspector", median["whole"] - median["without"], "ms", "2 ms"),
        Row(f"{what}: what rights add, a sergeant", median["cut"] - median["without"], "ms", "2 ms"),
    ]
