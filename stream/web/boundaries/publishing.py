"""Boundaries over HTTP: a file checked, compared with what is published, published with a date, taken back.

What is wrong with a file is said by ``geo.boundaries.checks``, what differs by ``geo.boundaries.diffs``,
and what follows from a publication by ``stream.store.publications``. A check is a *job*: it goes on while the
page asks how far it has come. Jobs live in this process, a few at a time, for an hour; what is published
stands in the database.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import UNSET, Meta, UnsetType
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from geo.areas import Kind
from geo.boundaries.findings import Acceptance, findings_rows
from geo.matching.history import FOREVER
from stream.core.calendar import parse_time, rfc3339
from stream.core.json_types import Count, Time
from stream.files.recorded import TouchedJson, VersionJson, record_json, touched_json
from stream.store import areas as tables
from stream.store.publications import PublicationError, publish, withdraw
from stream.store.records import records, touched
from stream.web import description as api
from stream.web.access.consulted import consulted
from stream.web.access.reach import name_of, reach_of
from stream.web.answering import answer
from stream.web.boundaries.jobs import RUNNING, JobJson, Jobs, checking
from stream.web.pages import refuse_foreign
from stream.web.people import By, Why, body_of
from stream.web.problems import ProblemError, bad, known

if TYPE_CHECKING:
    from stream.store.publications import Publication
    from stream.store.record import Detail
    from stream.store.schema import Connection

JOB_ID = api.in_path("jobId", "The job's id.")
FROM_DATE = api.in_query("from", "A local date, from its midnight on, or a time.", required=True)

LARGEST = 200_000_000
"""Bytes of a file that is sent, at most."""

Start = Annotated[
    str,
    Meta(
        description="A local date, from its midnight on, or a time.",
        extra_json_schema={"anyOf": [{"type": "string", "format": item} for item in ("date", "date-time")]},
    ),
]


class CheckForm(msgspec.Struct, forbid_unknown_fields=True):
    """A file to check, and how to read it."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    kind: Kind | UnsetType = UNSET
    layer: str | UnsetType = UNSET
    id_column: str | UnsetType = UNSET
    name_column: str | UnsetType = UNSET
    crs: str | UnsetType = UNSET
    encoding: str | UnsetType = UNSET
    accept: Annotated[list[str] | UnsetType, Meta(description="Codes of errors to accept.")] = UNSET
    by: Annotated[str | UnsetType, Meta(description="Who accepts them.")] = UNSET
    why: str | UnsetType = UNSET


class JobNameJson(msgspec.Struct):
    """Which job to ask for."""

    job: str


class TouchedFromJson(msgspec.Struct):
    """Whose duties a publication would reach."""

    start: Time = msgspec.field(name="from")
    touched: list[TouchedJson]


class OutcomeJson(msgspec.Struct):
    """The result of a publication, or of taking one back."""

    version: int
    versions: list[int]
    counted_anew_from: Time
    devices: Count
    restatement: int | None
    figures_changed: Count


class HistoryJson(msgspec.Struct):
    """All versions, the newest first."""

    versions: list[VersionJson]


class Publish(By):
    """Which checked file to publish, from when on, who says so and why."""

    job: str
    start: Start = msgspec.field(name="from")
    why: Why = None


class TakeBack(By):
    """Which kind's newest version to take back, who says so and why."""

    kind: Kind | None = None
    why: Why = None


def router(desk: Jobs) -> APIRouter:
    """The paths of the boundary page."""
    routes = APIRouter(prefix="/api/v1/boundaries", tags=["publishing"])

    @routes.post(
        "/check",
        **api.operation(
            "checkBoundaries",
            "A file is checked",
            JobNameJson,
            content=CheckForm,
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
        return answer(JobNameJson(job.name), status=202)

    @routes.get(
        "/jobs/{jobId}",
        **api.operation("boundaryJob", "How far a check has come", JobJson, [JOB_ID]),
    )
    async def job(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        found = desk.job(request.path_params["jobId"]).json()
        return answer(_without_officers(found) if reach_of(request).persons is not None else found)

    @routes.get(
        "/jobs/{jobId}/touched",
        **api.operation(
            "boundaryTouched",
            "Whose duties a publication from a date would reach",
            TouchedFromJson,
            [JOB_ID, FROM_DATE],
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
            raise ProblemError(409, "NotReady", "the check of the file has not finished")
        ids, now = job.reaching, desk.now()
        found = await desk.ask(lambda connection: touched(connection, ids, start, FOREVER, now=now))
        told = touched_json(found)
        if reach_of(request).persons is not None:
            told = _counted(told)
        return answer(TouchedFromJson(rfc3339(start), told))

    @routes.post(
        "/publish",
        **api.operation(
            "publishBoundaries",
            "A checked file is published",
            OutcomeJson,
            content=Publish,
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
            raise ProblemError(409, "NotReady", "the check of the file has not finished")
        if checked.stops or checked.areas is None:
            raise ProblemError(409, "Errors", "the file has errors: correct it, or accept them and say why")
        found = checked.areas
        details: dict[str, Detail] = {"file": job.file, "sha256": job.sha256, "from": said.start}
        details["by"] = name_of(request, said.by)
        await consulted(request).changes(request, "boundaries published", said.why or None, details)

        def work(connection: Connection) -> Publication:
            job.step = "publishing: recounting what it affects"
            return publish(
                connection,
                found,
                start,
                file=job.file,
                sha256=job.sha256,
                by=name_of(request, said.by),
                why=said.why or None,
                findings=findings_rows(checked.findings),
                now=desk.now(),
            )

        try:
            outcome = await refusing(desk.do(work))
        finally:
            job.step = "done"
        return answer(outcome_json(outcome), status=201)

    @routes.get("/history", **api.operation("boundaryHistory", "What was published", HistoryJson))
    async def history(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        found = await desk.ask(records)
        standing = [item.version for item in found if item.withdrawn_at is None]
        current = {item.version for item in tables.in_force(standing, desk.now())}
        return answer(HistoryJson([record_json(item, current) for item in reversed(found)]))

    @routes.post(
        "/take-back",
        **api.operation(
            "takeBackBoundaries",
            "The newest version is taken back",
            OutcomeJson,
            content=TakeBack,
            problems=(409,),
        ),
    )
    async def take_back(request: Request) -> Response:
        said = await body_of(request, TakeBack)
        details: dict[str, Detail] = {"kind": said.kind or "any", "by": name_of(request, said.by)}
        await consulted(request).changes(request, "boundaries taken back", said.why or None, details)

        def work(connection: Connection) -> Publication:
            return withdraw(
                connection,
                said.kind,
                by=name_of(request, said.by),
                why=said.why or None,
                now=desk.now(),
            )

        outcome = await refusing(desk.do(work))
        return answer(outcome_json(outcome))

    return routes


def _counted(touched: list[TouchedJson]) -> list[TouchedJson]:
    """How many officers a difference reaches, for whoever is not to see which."""
    return [msgspec.structs.replace(item, officers=[]) for item in touched]


def _without_officers(job: JobJson) -> JobJson:
    if job.result is None or job.result.diff is None:
        return job
    diff = msgspec.structs.replace(job.result.diff, touched=_counted(job.result.diff.touched))
    return msgspec.structs.replace(job, result=msgspec.structs.replace(job.result, diff=diff))


async def refusing(work: Any) -> Publication:
    """The same work; what cannot be becomes an answer.

    Raises:
        ProblemError: it was refused.
    """
    try:
        outcome: Publication = await work
    except PublicationError as error:
        text = str(error).partition(": say why with")
        raise ProblemError(409, "Refused", text[0] + (": say why" if text[1] else "")) from error
    return outcome


def outcome_json(outcome: Publication) -> OutcomeJson:
    """The result of a publication, or of taking one back."""
    return OutcomeJson(
        version=outcome.versions[0],
        versions=list(outcome.versions),
        counted_anew_from=rfc3339(outcome.since),
        devices=outcome.devices,
        restatement=outcome.restatement,
        figures_changed=len(outcome.restated),
    )


async def received(request: Request) -> tuple[Path, str, dict[str, Any], dict[str, Acceptance]]:
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
        if unknown := sorted(set(form.keys()) - set(CheckForm.__struct_fields__)):
            raise bad(
                f"unknown field {unknown[0]!r}; known: {', '.join(sorted(CheckForm.__struct_fields__))}"
            )
        options: dict[str, Any] = {
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
            code: Acceptance(name_of(request, texts["by"]), texts["why"].strip())
            for code in codes
            if code.strip()
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
