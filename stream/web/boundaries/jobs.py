"""Checks and publications of boundary files that run while the page waits."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from geo.areas import AreaSet, Kind
from geo.boundaries.apart import check_apart
from geo.boundaries.diffs import diff
from geo.boundaries.findings import Acceptance, Severity, findings_geojson
from geo.boundaries.layer import AreaFileError
from geo.matching.history import FOREVER
from stream.core.json_types import Count, Part
from stream.files.recorded import DiffJson, FindingJson, diff_json, findings_json
from stream.store.records import in_force_at, touched
from stream.store.schema import connect, require
from stream.web.answering import ShapeJson, written
from stream.web.boundaries.parameters import CRS84
from stream.web.boundaries.published import Shapes
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from geo.boundaries.findings import Checked
    from stream.clock import Clock
    from stream.settings import Settings
    from stream.store.pool import Pool
    from stream.store.schema import Connection


MOST_JOBS = 20
"""How many jobs are kept; the oldest gives way."""

MOST_WAITING = 4
"""How many may wait for their turn."""

KEPT_S = 3600.0
"""For how long a job is kept once it is done, seconds."""

RUNNING, DONE, FAILED = "running", "done", "failed"


class FindingFeatureJson(msgspec.Struct, tag_field="type", tag="Feature"):
    """A finding on the map; its geometry is any of GeoJSON's, null where it is nowhere."""

    properties: FindingJson
    geometry: dict[str, Any] | None


class FindingFeaturesJson(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    """Findings as GeoJSON."""

    features: list[FindingFeatureJson]


class CheckedAreaJson(msgspec.Struct):
    """An area of a file that was checked."""

    id: str
    name: str
    kind: Kind


class CheckedFeatureJson(msgspec.Struct, tag_field="type", tag="Feature"):
    """An area of a file as GeoJSON."""

    id: str
    geometry: ShapeJson
    properties: CheckedAreaJson


class CheckedFeaturesJson(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    """The areas of a file that was checked."""

    features: list[CheckedFeatureJson]


class CheckSummaryJson(msgspec.Struct):
    """How many findings of each severity, areas, and differences from what is published."""

    error: Count
    warning: Count
    note: Count
    areas: Count
    kinds: list[Kind]
    added: Count | UnsetType = UNSET
    removed: Count | UnsetType = UNSET
    renamed: Count | UnsetType = UNSET
    moved: Count | UnsetType = UNSET
    changed: Count | UnsetType = UNSET


class CheckResultJson(msgspec.Struct):
    """What a check amounts to; the difference is null, and not counted, where the file gave no areas."""

    may_be_published: bool
    findings: list[FindingJson]
    findings_geojson: FindingFeaturesJson
    areas_geojson: CheckedFeaturesJson
    diff: DiffJson | None
    summary: CheckSummaryJson


class JobJson(msgspec.Struct):
    """How far a check has come; its result when it is done."""

    job: str
    file: str
    state: Annotated[str, Meta(extra_json_schema={"enum": [RUNNING, DONE, FAILED]})]
    progress: Part
    step: str
    error: str | None
    result: CheckResultJson | None


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
    result: CheckResultJson | None = None
    checked: Checked | None = None
    reaching: list[str] = field(default_factory=list)

    def goes(self, progress: float, step: str) -> None:
        """Notes how far it has come."""
        self.progress, self.step = progress, step

    def json(self) -> JobJson:
        """As the page has it."""
        return JobJson(self.name, self.file, self.state, self.progress, self.step, self.error, self.result)


class Jobs:
    """The jobs, and the one thread in which they are done.

    Args:
        settings: where the database is.
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
            with self.connection() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def ask(self, question: Callable[[Connection], Any]) -> Any:
        """Reads something at once, whatever is being done meanwhile, and does not wait for ever."""
        return await asyncio.to_thread(self.pool.ask, question)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for what takes its time."""
        limit = self.settings.database_connect_s
        with connect(self.settings.database, name="patrol web boundaries", connect_s=limit) as connection:
            require(connection)
            yield connection

    def start(self, work: Callable[[], None]) -> None:
        """Does something when its turn comes, and nobody waits for it."""
        going = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._open.add(going)
        going.add_done_callback(self._open.discard)

    def close(self) -> None:
        """Lets what waits go, and waits for what is being done."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def checking(
    desk: Jobs, job: Job, path: Path, options: dict[str, Any], accept: dict[str, Acceptance]
) -> None:
    """The whole of a check, in the desk's thread."""
    try:
        job.goes(0.1, "looking at what is published")
        with desk.connection() as connection:
            now = desk.now()
            published = in_force_at(connection, now)
            job.goes(0.2, "reading and checking the file")
            checked = check_apart(path, against=published, accept=accept, **options)
            job.goes(0.7, "comparing it with what is published")
            job.checked = checked
            job.result = result_of(connection, job, checked, published, now)
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


def result_of(
    connection: Connection, job: Job, checked: Checked, published: AreaSet, now: int
) -> CheckResultJson:
    """What a check amounts to: findings, the areas themselves, and how they differ from what is published."""
    counts = Counter(item.severity for item in checked.findings)
    features: list[CheckedFeatureJson] = []
    summary = CheckSummaryJson(
        error=counts[Severity.ERROR],
        warning=counts[Severity.WARNING],
        note=counts[Severity.NOTE],
        areas=0 if checked.areas is None else len(checked.areas),
        kinds=[],
    )
    difference = None
    if checked.areas is not None:
        shapes = Shapes(checked.areas)
        features = [
            CheckedFeatureJson(
                area.area_id,
                shapes.geojson(CRS84, at),
                CheckedAreaJson(area.area_id, area.name, area.kind),
            )
            for at, area in enumerate(shapes.areas)
        ]
        kinds = set(checked.areas.kind)
        found = diff(AreaSet.of(area for area in published.areas() if area.kind in kinds), checked.areas)
        job.reaching = found.reaching
        reached = touched(connection, found.reaching, now, FOREVER, now=now) if found.reaching else []
        difference = diff_json(found, reached)
        summary.kinds = [kind for kind in Kind if kind in kinds]
        for name in ("added", "removed", "renamed", "moved", "changed"):
            setattr(summary, name, len(getattr(found, name)))
    return CheckResultJson(
        may_be_published=not checked.stops and checked.areas is not None,
        findings=findings_json(checked.findings),
        findings_geojson=written(findings_geojson(checked.findings)),
        areas_geojson=CheckedFeaturesJson(features),
        diff=difference,
        summary=summary,
    )
