"""Boundaries over HTTP: a file checked, compared with what is published, published with a date, taken back.

A shell: what is wrong with a file is said by ``geo.checks``, what differs by ``geo.diffs``, and what follows
from a publication by ``stream.store.publications``. A check is a *job*: it goes on while the page asks how
far it has come. Jobs live in this process, a few at a time, for an hour; what is published stands in the
database.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from geo.areas import Kind
from geo.checks import Acceptance, Severity, check_apart, findings_geojson, findings_rows
from geo.diffs import diff
from geo.files import AreaFileError
from geo.history import FOREVER
from stream.calendar import parse_time, rfc3339
from stream.store import areas as tables
from stream.store.publications import PublicationError, publish, withdraw
from stream.store.records import in_force_at, records, touched
from stream.store.schema import connect, require
from stream.web import description as api
from stream.web import schemas
from stream.web.features import answer
from stream.web.noticed import body_of
from stream.web.pages import refuse_foreign
from stream.web.parameters import ProblemError, bad, known

if TYPE_CHECKING:
    from collections.abc import Callable

    from geo.areas import AreaSet
    from geo.checks import Checked
    from stream.settings import Settings
    from stream.store.publications import Outcome
    from stream.store.schema import Connection
    from stream.web.shown import Json

LARGEST = 200_000_000
"""Bytes of a file that is sent, at most."""

MOST_JOBS = 20
"""How many jobs are kept; the oldest gives way."""

MOST_WAITING = 4
"""How many may wait for their turn."""

KEPT_S = 3600.0
"""For how long a job is kept once it is done, seconds."""

FIELDS = frozenset(
    {"file", "kind", "layer", "id_column", "name_column", "crs", "encoding", "accept", "by", "why"}
)
"""What a request for a check may say."""

RUNNING, DONE, FAILED = "running", "done", "failed"


Why = Annotated[str, msgspec.Meta(max_length=2000)] | None
"""A reason, or none."""


class Publish(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """Which checked file to publish, from when on, who says so and why."""

    job: str
    start: str
    by: str
    why: Why = None


class TakeBack(msgspec.Struct, forbid_unknown_fields=True):
    """Which kind's newest version to take back, who says so and why."""

    by: str
    kind: Kind | None = None
    why: Why = None


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


class Desk:
    """The jobs, and the one thread in which they are done.

    Args:
        settings: database and policies.
        now: the clock, microseconds since 1970.
    """

    def __init__(self, settings: Settings, now: Callable[[], int]) -> None:
        self.settings = settings
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
            limits = self.settings
            with connect(
                limits.database,
                name="patrol web history",
                connect_s=limits.database_connect_s,
                statement_s=limits.database_answer_s,
            ) as connection:
                require(connection)
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


def checking(desk: Desk, job: Job, path: Path, options: Json, accept: dict[str, Acceptance]) -> None:
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
    from stream.cli.boundary_files import diff_json

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
    from stream.web.boundaries import Shapes
    from stream.web.parameters import CRS84

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


def router(desk: Desk) -> APIRouter:
    """The paths of the boundary page."""
    routes = APIRouter(prefix="/api/v1/boundaries", tags=["publishing"])

    @routes.post(
        "/check",
        **api.operation(
            "checkBoundaries",
            "A file is checked",
            schemas.JOB_NAME,
            content=schemas.FILE,
            content_media="multipart/form-data",
            status=202,
            problems=(409,),
        ),
    )
    async def check(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        refuse_foreign(request.headers, json=False)
        path, name, said, accept = await received(request)
        try:
            digest = await asyncio.to_thread(lambda: hashlib.sha256(path.read_bytes()).hexdigest())
            job = desk.take(name, digest)
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        desk.start(lambda: checking(desk, job, path, said, accept))
        return answer({"job": job.name}, status=202)

    @routes.get(
        "/jobs/{jobId}",
        **api.operation("boundaryJob", "How far a check has come", schemas.JOB, [schemas.JOB_ID]),
    )
    async def job(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        return answer(desk.job(request.path_params["jobId"]).json())

    @routes.get(
        "/jobs/{jobId}/touched",
        **api.operation(
            "boundaryTouched",
            "Whose duties a publication from a date would reach",
            schemas.TOUCHED_FROM,
            [schemas.JOB_ID, schemas.FROM_DATE],
            problems=(409,),
        ),
    )
    async def touched_(request: Request) -> Response:
        known(request.query_params.multi_items(), ("from",))
        job = desk.job(request.path_params["jobId"])
        try:
            start = parse_time(request.query_params.get("from", ""))
        except ValueError as error:
            raise bad(f"from: {error}") from error
        if job.state == RUNNING or job.checked is None:
            raise ProblemError(409, "NotReady", "the file has not been checked to the end")
        ids, now = job.reaching, desk.now()
        found = await desk.ask(lambda connection: touched(connection, ids, start, FOREVER, now=now))
        rows = [
            {"area_id": item.area_id, "officers": list(item.officers), "weeks": list(item.weeks)}
            for item in found
        ]
        return answer({"from": rfc3339(start), "touched": rows})

    @routes.post(
        "/publish",
        **api.operation(
            "publishBoundaries",
            "A checked file is published",
            schemas.OUTCOME,
            content=schemas.PUBLISH,
            status=201,
            problems=(409,),
        ),
    )
    async def publish_(request: Request) -> Response:
        said = await body_of(request, Publish)
        job = desk.job(said.job)
        checked = job.checked
        try:
            start = parse_time(said.start)
        except ValueError as error:
            raise bad(f"from: {error}") from error
        if job.state == RUNNING or checked is None:
            raise ProblemError(409, "NotReady", "the file has not been checked to the end")
        if checked.stops or checked.areas is None:
            raise ProblemError(
                409, "Errors", "errors stand against it: mend the file, or accept them and say why"
            )
        found = checked.areas

        def work(connection: Connection) -> Outcome:
            job.step = "publishing: what was counted under it is counted anew"
            return publish(
                connection,
                desk.settings.policies(),
                found,
                start,
                file=job.file,
                sha256=job.sha256,
                by=said.by.strip(),
                why=said.why or None,
                findings=job.rows,
                now=desk.now(),
            )

        try:
            outcome = await refusing(desk.do(work))
        finally:
            job.step = "done"
        return answer({"version": outcome.versions[0], **outcome_json(outcome)}, status=201)

    @routes.get("/history", **api.operation("boundaryHistory", "What was published", schemas.HISTORY))
    async def history(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        found = await desk.ask(records)
        standing = [item.version for item in found if item.withdrawn_at is None]
        current = {item.version for item in tables.in_force(standing, desk.now())}
        from stream.cli.areas import record_json

        return answer({"versions": [record_json(item, current) for item in reversed(found)]})

    @routes.post(
        "/take-back",
        **api.operation(
            "takeBackBoundaries",
            "The newest version is taken back",
            schemas.OUTCOME,
            content=schemas.TAKE_BACK,
            problems=(409,),
        ),
    )
    async def take_back(request: Request) -> Response:
        said = await body_of(request, TakeBack)

        def work(connection: Connection) -> Outcome:
            return withdraw(
                connection,
                desk.settings.policies(),
                said.kind,
                by=said.by.strip(),
                why=said.why or None,
                now=desk.now(),
            )

        outcome = await refusing(desk.do(work))
        return answer({"version": outcome.versions[0], **outcome_json(outcome)})

    return routes


async def refusing(work: Any) -> Outcome:
    """The same work; what cannot be becomes an answer.

    Raises:
        ProblemError: it was refused.
    """
    try:
        outcome: Outcome = await work
    except PublicationError as error:
        text = str(error).partition(": say why with")
        raise ProblemError(409, "Refused", text[0] + (": say why" if text[1] else "")) from error
    return outcome


def outcome_json(outcome: Outcome) -> Json:
    """What a publication, or taking one back, amounted to."""
    return {
        "versions": list(outcome.versions),
        "counted_anew_from": rfc3339(outcome.since),
        "devices": outcome.devices,
        "restatement": outcome.restatement,
        "figures_changed": len(outcome.restated),
    }


async def received(request: Request) -> tuple[Path, str, Json, dict[str, Acceptance]]:
    """The file that was sent, in a folder of its own, its name, and what was said of it.

    Raises:
        ProblemError: it is no form with a file, is too large, or says what makes no sense.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "multipart/form-data":
        raise ProblemError(415, "UnsupportedMediaType", "send the file as multipart/form-data")
    size = request.headers.get("content-length", "")
    if not (size.isascii() and size.isdigit()):
        raise bad("say how large the content is (Content-Length)")
    if int(size[:18]) > LARGEST:
        raise ProblemError(413, "TooLarge", f"the file has more than {LARGEST // 1_000_000} MB")
    try:
        form = await request.form(max_files=1, max_fields=200)
    except MultiPartException as error:
        raise bad(f"the form cannot be read: {error.message}") from error
    except Exception as error:  # starlette makes an HTTPException of it where it can
        raise bad("the form cannot be read") from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise bad("the form has no file in its field 'file'")
        texts = {
            name: value for name, value in form.multi_items() if isinstance(value, str) and value.strip()
        }
        if unknown := sorted(set(form.keys()) - FIELDS):
            raise bad(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(FIELDS))}")
        options: Json = {
            name: texts[name].strip()
            for name in ("layer", "id_column", "name_column", "crs", "encoding")
            if name in texts
        }
        if (kind := texts.get("kind")) is not None:
            if kind not in tuple(Kind):
                raise bad(f"kind={kind!r}: choose one of {', '.join(Kind)}")
            options["kind"] = Kind(kind)
        codes = [value for name, value in form.multi_items() if name == "accept" and isinstance(value, str)]
        if codes and not (texts.get("by") and texts.get("why")):
            raise bad("to accept an error, say by whom and why")
        accept = {
            code: Acceptance(texts["by"].strip(), texts["why"].strip()) for code in codes if code.strip()
        }
        folder = Path(tempfile.mkdtemp(prefix="patrol-boundaries-"))
        # Only what tells the format is kept of the name: it becomes a path here.
        name = re.sub(r"[^A-Za-z0-9._ ()-]+", "_", Path(file.filename).name).lstrip(".") or "file"
        path = folder / name[-100:]
        with path.open("wb") as target:
            await asyncio.to_thread(shutil.copyfileobj, file.file, target)
    finally:
        await form.close()
    return path, path.name, options, accept
