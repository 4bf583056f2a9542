"""The weekly pages and their API: the force's week, a neighbourhood's, what every number is made of; files.

A shell: it reads a request, asks the shelf and writes the answer. Everything is made on the server, and no
page has a script. A published summary is shown from its document; what is not published is counted now, and
says so. What a number is made of is always counted now; where that is no longer what was published, the page
says both.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from stream.core.calendar import Period
from stream.core.explaining.wording import Named as Names
from stream.core.shares import NEIGHBOURHOOD
from stream.core.summaries.details import crewed_hours, team_list, visit_list
from stream.core.summaries.model import FormError
from stream.core.summaries.parts import answer as parts_answer
from stream.core.summaries.parts import explained, names_of
from stream.reports import force
from stream.store.schema import SchemaError
from stream.web import description as api
from stream.web import schemas
from stream.web import weekly_schemas as form
from stream.web.answering import JSON, answer
from stream.web.problems import ProblemError, bad, known
from stream.web.weeks import duty_page, pages, strip
from stream.web.weeks.answers import force_json, week_json
from stream.web.weeks.links import WeekLinks
from stream.web.weeks.paths import Which, week_path
from stream.web.weeks.questions import asked
from stream.web.weeks.shelf import reached
from stream.web.weeks.strip import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import ParamSpec

    from stream.core.summaries.counting import SummaryFacts
    from stream.core.summaries.model import Summary
    from stream.core.teams import Teams
    from stream.store.reports import Entry
    from stream.web.weeks.shelf import Sheet, Shelf

    Given = ParamSpec("Given")

HTML = "text/html; charset=utf-8"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No script at all runs on these pages; their style is written in them."""

FILES = {
    "html": HTML,
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}
"""What a summary can be taken home as; ``zip`` holds the CSV files."""


def week_of(name: str) -> Period:
    """The week that an address names.

    Raises:
        ProblemError: there is no such week.
    """
    if not re.fullmatch(r"[0-9]{4}-W[0-9]{2}", name):
        raise bad(f"{name!r} is no ISO week: write it like 2026-W47")
    return reached_or_refused(Period.week, name)


def reached_or_refused(make: Callable[[str], Period], name: str) -> Period:
    """A period by its name.

    Raises:
        ProblemError: there is none, or nothing can be known of it.
    """
    try:
        period = make(name)
    except ValueError as error:
        raise ProblemError(404, "NotFound", str(error)) from error
    if not reached(period):
        raise ProblemError(404, "NotFound", f"nothing can be on record of {name}")
    return period


def number_of(given: Mapping[str, str]) -> int | None:
    """The number of a published report that a request asks for.

    Raises:
        ProblemError: it is no number.
    """
    text = given.get("number")
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text) or int(text) >= 2**31:
        raise bad(f"number={text} is no whole number from 1 on")
    return int(text)


def tagged(request: Request, body: bytes, media: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with the SHA-256 of its content as its tag; nothing but that for who has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    said = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=said)
    return Response(body, media_type=media, headers=said)


def router(shelf: Shelf) -> APIRouter:
    """The paths of the weekly summaries.

    Args:
        shelf: reads them.
    """
    routes = APIRouter()
    _answers(routes, shelf)
    _pages(routes, shelf)
    return routes


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


def _answers(routes: APIRouter, shelf: Shelf) -> None:
    @routes.get(
        "/api/v1/neighbourhoods/{areaId:path}/weeks/{week}",
        tags=["weekly"],
        **api.operation(
            "week",
            "The weekly summary's figures",
            form.SUMMARY,
            [schemas.AREA_ID, form.WEEK, form.NUMBER],
        ),
    )
    def week(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("number",))
        period = week_of(request.path_params["week"])
        sheet = _sheet(shelf, period, request.path_params["areaId"], number_of(given))
        return tagged(request, answer(week_json(sheet)).body, JSON)  # type: ignore[arg-type]

    @routes.get(
        "/api/v1/weeks/{week}",
        tags=["weekly"],
        **api.operation("force_week", "The week of all neighbourhoods", form.FORCE, [form.WEEK]),
    )
    def force_week(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        period = week_of(request.path_params["week"])
        lines, complete = shelf.lines(period)
        body = answer(force_json(period.name, period.start, period.end, lines, complete=complete)).body
        return tagged(request, bytes(body), JSON)


def _sheet(shelf: Shelf, period: Period, area_id: str, number: int | None) -> Sheet:
    try:
        found = shelf.sheet(period, area_id, number)
    except FormError as error:
        raise ProblemError(409, "Conflict", str(error)) from error
    if found is None:
        what = f"no report number {number} of" if number is not None else "no neighbourhood"
        raise ProblemError(404, "NotFound", f"there is {what} {area_id!r} in {period.name}")
    return found


# ── Pages ─────────────────────────────────────────────────────────────────────────────────────────────────


def html_answer(request: Request, text: str) -> Response:
    """A page, on which no script may run."""
    return tagged(request, text.encode(), HTML, {"Content-Security-Policy": POLICY})


def paged(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Says what went wrong as a page with a way on; where nobody reads HTML, as a problem."""

    def guarded(request: Request) -> Response:
        try:
            return handler(request)
        except (ProblemError, SchemaError, psycopg.Error) as error:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            status, heading, text = _trouble(error)
            body = strip.notice(heading, text, [("All weeks", "/weeks"), ("The live page", "/")])
            headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
            return Response(body, status, media_type=HTML, headers=headers)

    return guarded


def _trouble(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, ProblemError):
        heading = "There is nothing here" if error.status == 404 else "That cannot be answered"
        return error.status, heading, f"{error.description[:1].upper()}{error.description[1:]}."
    if isinstance(error, SchemaError):
        return 503, "Not ready yet", f"{error}."
    if isinstance(error, psycopg.DataError):
        return 400, "That cannot be answered", "The address has a character that no name has."
    return 503, "Not to be had now", "The database cannot be reached now. Try again in a moment."


def _pages(routes: APIRouter, shelf: Shelf) -> None:
    def page(path: str) -> Callable[[Callable[[Request], Response]], Any]:
        return lambda handler: routes.get(path, include_in_schema=False)(paged(handler))

    @page("/weeks")
    def weeks(_request: Request) -> Response:
        """The last week that is over, where there is anything in it, else the present one."""
        present, begun = shelf.present(), shelf.begun()
        [last] = present.before(1)
        shown = last if begun is None or begun < last.end else present
        return RedirectResponse(week_path(shown.name), 302, headers={"Cache-Control": "no-store"})

    @page("/weeks/{week}")
    def side_by_side(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("sort",))
        sort = given.get("sort", "share")
        period = week_of(request.path_params["week"])
        return html_answer(request, _force(shelf, period, sort))

    @page("/weeks/{week}/duties/{dutyId:path}")
    def duty(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("from", "to"))
        period, duty_id = week_of(request.path_params["week"]), request.path_params["dutyId"]
        sheet = shelf.duty(period, duty_id)
        if sheet is None:
            raise ProblemError(404, "NotFound", f"there is no duty {duty_id!r} in {period.name}")
        names = Names(shelf.area_names(period))
        return html_answer(
            request, duty_page.duty_page(sheet, period, names, marked=_marked(given), kind=NEIGHBOURHOOD)
        )

    @page("/weeks/{week}/{areaId:path}/parts")
    def parts(request: Request) -> Response:
        question = asked(request.query_params.multi_items())
        period, area_id = _place(request)
        record = _record(shelf, period, area_id)
        names = names_of(record, period)
        try:
            found = explained(record, shelf.policies, area_id, period, question)
        except ValueError as error:
            raise bad(str(error)) from None
        return html_answer(
            request,
            pages.parts_page(
                parts_answer(found, question, names),
                period,
                area_id,
                names.name(NEIGHBOURHOOD, area_id),
                published=_published(shelf, period, area_id),
                until=record.until,
            ),
        )

    @page("/weeks/{week}/{areaId:path}/visits/{priorityId:path}")
    def visits(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("length", "others", "in_hours"))
        which = _which(given)
        period, area_id = _place(request)
        priority = request.path_params["priorityId"]
        record = _record(shelf, period, area_id)
        names = names_of(record, period)
        name = names.names.get(("priority", priority))
        if name is None:
            raise ProblemError(404, "NotFound", f"there is no priority area {priority!r} in {period.name}")
        return html_answer(
            request,
            pages.visits_page(
                visit_list(record, period, shelf.policies, priority, names),
                which,
                period,
                area_id,
                names.name(NEIGHBOURHOOD, area_id),
                (priority, name),
                published=_published(shelf, period, area_id),
            ),
        )

    @page("/weeks/{week}/{areaId:path}/crewing")
    def crewing(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("hour",))
        hour = given.get("hour")
        if hour is not None and not re.fullmatch(r"[01]?[0-9]|2[0-3]", hour):
            raise bad(f"hour={hour} must be from 0 to 23")
        period, area_id = _place(request)
        names = _known(shelf, period, area_id)
        found = crewed_hours(shelf.vehicles(period, area_id), period, area_id)
        return html_answer(
            request,
            pages.crewing_page(
                found,
                None if hour is None else int(hour),
                period,
                area_id,
                names.name(NEIGHBOURHOOD, area_id),
                published=_published(shelf, period, area_id),
            ),
        )

    @page("/weeks/{week}/{areaId:path}/team")
    def team(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        period, area_id = _place(request)
        record = _record(shelf, period, area_id)
        names = names_of(record, period)
        found = team_list(record, period, shelf.policies)
        months = shelf.policies.at(found.as_of).team_months
        return html_answer(
            request,
            pages.team_page(
                found,
                _teams_of(record, found, period, area_id),
                months,
                period,
                area_id,
                names.name(NEIGHBOURHOOD, area_id),
            ),
        )

    for ending, media in FILES.items():

        def take(request: Request, ending: str = ending, media: str = media) -> Response:
            given = known(request.query_params.multi_items(), ("number",))
            period, area_id = _place(request)
            sheet = _sheet(shelf, period, area_id, number_of(given))
            name, body = _file(sheet.summary, ending)
            said = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
            if ending == "html":
                said["Content-Security-Policy"] = POLICY
            return tagged(request, body, media, said)

        page(f"/weeks/{{week}}/{{areaId:path}}.{ending}")(take)

    @page("/weeks/{week}/{areaId:path}")
    def neighbourhood(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("number",))
        period, area_id = _place(request)
        sheet = _sheet(shelf, period, area_id, number_of(given))
        return html_answer(request, _summary(shelf, sheet, period, area_id))


def _place(request: Request) -> tuple[Period, str]:
    return week_of(request.path_params["week"]), request.path_params["areaId"]


def _record(shelf: Shelf, period: Period, area_id: str) -> SummaryFacts:
    record = shelf.record(period, area_id)
    if record is None:
        raise ProblemError(404, "NotFound", f"there is no neighbourhood {area_id!r} in {period.name}")
    return record


def _known(shelf: Shelf, period: Period, area_id: str) -> Names:
    return names_of(_record(shelf, period, area_id), period)


def _published(shelf: Shelf, period: Period, area_id: str) -> tuple[Entry, Summary] | None:
    try:
        found = shelf.published(period, area_id)
    except FormError:
        return None  # nothing can be compared with what cannot be read
    return None if found is None or found.entry is None else (found.entry, found.summary)


def _marked(given: Mapping[str, str]) -> tuple[int, int] | None:
    """From when to when stretches are to be marked, microseconds."""
    for name in ("from", "to"):
        if not re.fullmatch(r"-?[0-9]{0,15}", given.get(name, "")):
            raise bad(f"{name}={given[name]} is no time in milliseconds since 1970")
    low, high = given.get("from"), given.get("to")
    return (int(low) * 1000, int(high) * 1000) if low and high else None


def _which(given: Mapping[str, str]) -> Which:
    length = given.get("length")
    if length is not None and not re.fullmatch(r"[0-3]", length):
        raise bad(f"length={length} must be from 0 (under 5 minutes) to 3 (20 minutes and over)")
    for name in ("others", "in_hours"):
        if given.get(name, "1") != "1":
            raise bad(f"{name}={given[name]} must be 1, or be left out")
    return Which(None if length is None else int(length), "others" in given, "in_hours" in given)


def _teams_of(record: SummaryFacts, found: Teams, period: Period, area_id: str) -> list[str]:
    """The teams that the neighbourhood's officers of the week are in."""
    mine = {
        duty.officer_id
        for duty in record.duties
        if area_id in duty.patch
        and not duty.cancelled
        and duty.start < period.end
        and (duty.end is None or duty.end > period.start)
    }
    return sorted({item.team for item in found.members if item.officer_id in mine and item.team})


def _file(summary: Summary, ending: str) -> tuple[str, bytes]:
    """A summary's file and its name."""
    from stream.reports.bundle import files

    [(name, body)] = files(summary, ["csv" if ending == "zip" else ending]).items()
    return name, body


def _summary(shelf: Shelf, sheet: Sheet, period: Period, area_id: str) -> str:
    """A neighbourhood's page with the strip above it."""
    from stream.reports.page import html

    summary, entry = sheet.summary, sheet.entry
    path = week_path(period.name, area_id)
    number = f"?number={entry.number}" if entry and sheet.newest and entry != sheet.newest else ""
    later = [] if entry is None else shelf.later(period, area_id, entry)
    [before] = period.before(1)
    top = strip.bar(
        [
            (f"All neighbourhoods, {period.name}", week_path(period.name)),
            (f"‹ {before.name}", week_path(before.name, area_id)),
            (f"{period.next.name} ›", week_path(period.next.name, area_id)),
            ("PDF", f"{path}.pdf{number}"),
            ("Spreadsheet", f"{path}.xlsx{number}"),
            ("CSV", f"{path}.zip{number}"),
            ("HTML", f"{path}.html{number}"),
        ],
        strip.provenance(summary, entry, sheet.newest, later, path),
        "This summary",
    )
    return strip.under_bar(html(summary, WeekLinks(period.name, area_id)), top)


def _force(shelf: Shelf, period: Period, sort: str) -> str:
    try:
        lines, complete, published = shelf.side_by_side(period)
    except FormError as error:
        raise ProblemError(409, "Conflict", str(error)) from error
    [before] = period.before(1)
    top = strip.bar(
        [
            (f"‹ {before.name}", week_path(before.name)),
            (f"{period.next.name} ›", week_path(period.next.name)),
        ],
        [
            Told("Published.")
            if published and lines
            else Told("Not yet published: counted now; the visits stand on the neighbourhoods' own pages.")
        ],
        "Weeks",
    )
    try:
        page = force.html(
            lines,
            period,
            complete=complete,
            sort=sort,
            link=lambda order: week_path(period.name, sort=order),
            leads=lambda area_id: week_path(period.name, area_id),
        )
    except ValueError as error:
        raise bad(str(error)) from error
    return strip.under_bar(page, top)
