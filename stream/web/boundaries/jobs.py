"""Checks and publications of boundary files that run while the page waits."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from geo.areas import Kind
from geo.boundaries.apart import check_apart
from geo.boundaries.diffs import diff
from geo.boundaries.findings import Acceptance, Severity, findings_geojson, findings_rows
from geo.boundaries.layer import AreaFileError
from geo.matching.history import FOREVER
from stream.store.records import in_force_at, touched
from stream.store.schema import connect, require
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from geo.areas import AreaSet
    from geo.boundaries.findings import Checked
    from stream.clock import Clock
    from stream.settings import Settings
    from stream.store.pool import Pool
    from stream.store.schema import Connection
    from stream.web.description import Json


MOST_JOBS = 20
"""How many jobs are kept; the oldest gives way."""


MOST_WAITING = 4
"""How many may wait for their turn."""


KEPT_S = 3600.0
"""For how long a job is kept once it is done, seconds."""


RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(slots=True, eq=False)
class Job:
    """One file on its way through the checks."""

    name: str
    file: str
    sha256: str
    began: float
    state: str = RUNNING
    progress: float = 0.0
    step: str = "waiting for its turn"
    error: str | None = None
    result: Json | None = None
    checked: Checked | None = None
    reaching: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def goes(self, progress: float, step: str) -> None:
        """Notes how far it has come."""
        self.progress, self.step = progress, step

    def json(self) -> Json:
        """As the page has it."""
        return {
            "job": self.name,
            "file": self.file,
            "state": self.state,
            "progress": self.progress,
            "step": self.step,
            "error": self.error,
            "result": self.result,
        }


class Jobs:
    """The jobs, and the one thread in which they are done.

    Args:
        settings: database and policies.
        pool: connections for what is only read.
        now: the clock, microseconds since 1970.
    """

    def __init__(self, settings: Settings, pool: Pool, now: Clock) -> None:
        self.settings = settings
        self.pool = pool
        self.now = now
        self.jobs: dict[str, Job] = {}
        self._thread = ThreadPoolExecutor(1, "boundaries")
        self._open: set[asyncio.Future[Any]] = set()

    def take(self, file: str, sha256: str) -> Job:
        """A new job.

        Raises:
            ProblemError: too many wait already.
        """
        moment = time.monotonic()
        for name, job in list(self.jobs.items()):
            if job.state != RUNNING and moment - job.began > KEPT_S:
                del self.jobs[name]
        if sum(job.state == RUNNING for job in self.jobs.values()) >= MOST_WAITING:
            raise ProblemError(409, "Busy", "other files are being checked: try again in a minute")
        while len(self.jobs) >= MOST_JOBS:
            del self.jobs[next(name for name, job in self.jobs.items() if job.state != RUNNING)]
        job = Job(secrets.token_hex(8), file, sha256, moment)
        self.jobs[job.name] = job
        return job

    def job(self, name: str) -> Job:
        """A job by its name.

        Raises:
            ProblemError: there is none.
        """
        if name not in self.jobs:
            raise ProblemError(404, "NotFound", f"there is no job {name!r} (any more): send the file again")
        return self.jobs[name]

    async def do(self, work: Callable[[Connection], Any]) -> Any:
        """Does something with a connection, when its turn comes."""

        def run() -> Any:
            with connect(
                self.settings.database,
                name="patrol web boundaries",
                connect_s=self.settings.database_connect_s,
            ) as connection:
                require(connection)
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def ask(self, question: Callable[[Connection], Any]) -> Any:
        """Reads something at once, whatever is being done meanwhile, and does not wait for ever."""

        def run() -> Any:
            with self.pool.connection() as connection:
                return question(connection)

        return await asyncio.to_thread(run)

    def start(self, work: Callable[[], None]) -> None:
        """Does something when its turn comes, and nobody waits for it."""
        going = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._open.add(going)
        going.add_done_callback(self._open.discard)

    def close(self) -> None:
        """Lets what waits go, and waits for what is being done."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def checking(desk: Jobs, job: Job, path: Path, options: Json, accept: dict[str, Acceptance]) -> None:
    """The whole of a check, in the desk's thread."""
    try:
        job.goes(0.1, "looking at what is published")
        with connect(
            desk.settings.database, name="patrol web check", connect_s=desk.settings.database_connect_s
        ) as connection:
            require(connection)
            now = desk.now()
            published = in_force_at(connection, now)
            job.goes(0.2, "reading and checking the file")
            checked = check_apart(path, against=published, accept=accept, **options)
            job.goes(0.7, "comparing it with what is published")
            job.checked, job.rows = checked, list(findings_rows(checked.findings))
            job.reaching = reaching(checked, published)
            job.result = result_of(connection, checked, job.rows, published, now)
        job.state = DONE
        job.goes(1.0, "done")
    except (AreaFileError, ValueError) as error:
        job.state, job.error = FAILED, str(error)
    except Exception:
        job.state = FAILED
        job.error = "the check could not be finished; the program's log says why"
        raise
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)


def reaching(checked: Checked, published: AreaSet) -> list[str]:
    """The neighbourhoods whose ground changes with a file: duties in them are counted anew."""
    if checked.areas is None:
        return []
    kinds = set(checked.areas.kind)
    found = diff(type(published).of(area for area in published.areas() if area.kind in kinds), checked.areas)
    moved = {*found.added, *found.removed, *((item.kind, item.area_id) for item in found.moved)}
    return sorted(area_id for kind, area_id in moved if kind is Kind.NEIGHBOURHOOD)


def result_of(
    connection: Connection, checked: Checked, rows: list[dict[str, Any]], published: AreaSet, now: int
) -> Json:
    """What a check amounts to: findings, the areas themselves, and how they differ from what is published."""
    from stream.store.records import diff_json

    counts = {kind.value: sum(item.severity is kind for item in checked.findings) for kind in Severity}
    result: Json = {
        "may_be_published": not checked.stops and checked.areas is not None,
        "findings": rows,
        "findings_geojson": msgspec.Raw(findings_geojson(checked.findings).encode()),
        "areas_geojson": {"type": "FeatureCollection", "features": []},
        "diff": None,
        "summary": {**counts, "areas": 0 if checked.areas is None else len(checked.areas), "kinds": []},
    }
    if checked.areas is None:
        return result
    from stream.web.boundaries.parameters import CRS84
    from stream.web.boundaries.published import Shapes

    shapes = Shapes(checked.areas)
    result["areas_geojson"]["features"] = [
        {
            "type": "Feature",
            "id": area.area_id,
            "geometry": shapes.geojson(CRS84, at),
            "properties": {"id": area.area_id, "name": area.name, "kind": area.kind.value},
        }
        for at, area in enumerate(shapes.areas)
    ]
    kinds = set(checked.areas.kind)
    old = type(published).of(area for area in published.areas() if area.kind in kinds)
    found = diff(old, checked.areas)
    ids = reaching(checked, published)
    reached = touched(connection, ids, now, FOREVER, now=now) if ids else []
    result["diff"] = diff_json(found, reached)
    result["summary"] |= {
        "kinds": [kind.value for kind in Kind if kind in kinds],
        **{name: len(getattr(found, name)) for name in ("added", "removed", "renamed", "moved", "changed")},
    }
    return result
