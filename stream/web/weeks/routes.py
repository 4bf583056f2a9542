"""The weekly pages and their API: the force's week, a neighbourhood's, what every number is made of; files.

It reads a request, asks the shelf and writes the answer. Everything is made on the server, and no page has
a script. A published summary is shown from its document; what is not published is counted now, and says so.
What a number is made of is always counted now; where that is no longer what was published, the page says
both.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from msgspec import Meta

from geo.areas import Kind
from stream.core.calendar import Period, local_day
from stream.core.summaries.counting import own_duties, team_list
from stream.core.summaries.details import visit_list
from stream.core.summaries.parts import answer as parts_answer
from stream.core.summaries.parts import explained, without_notes
from stream.reports import force
from stream.reports.bundle import files
from stream.store import record
from stream.store.record import ANYBODY
from stream.store.schema import SchemaError
from stream.web import description as api
from stream.web.access.consulted import consulted
from stream.web.access.forms import form_of
from stream.web.access.reach import ground_of, reach_of, within
from stream.web.answering import JSON
from stream.web.pages import refuse_foreign
from stream.web.problems import ProblemError, bad, known
from stream.web.weeks import duty_page, pages, strip
from stream.web.weeks.answers import ForceWeekJson, WeekJson, force_week_answer, week_answer
from stream.web.weeks.links import WeekLinks
from stream.web.weeks.paths import Which, restated_path, week_path
from stream.web.weeks.questions import asked
from stream.web.weeks.strip import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stream.core.facts import Duty
    from stream.core.summaries.reduced import Hidden
    from stream.reports.force import NeighbourhoodLine
    from stream.store.reports import Reported
    from stream.web.weeks.shelf import Shelf

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

WEEK = api.in_path(
    "week",
    "An ISO week.",
    Annotated[str, Meta(pattern="^(19[789][0-9]|20[0-9]{2})-W(0[1-9]|[1-4][0-9]|5[0-3])$")],
)
"""Of the years of which anything may be known."""

NUMBER = api.in_query(
    "number",
    "Which published report; without it the newest, or, where none is published, the week as it is counted "
    "now.",
    Annotated[int, Meta(ge=1, le=2**31 - 1)],
)


def week_of(name: str) -> Period:
    """The week that an address names.

    Raises:
        ProblemError: there is no such week.
    """
    if not re.fullmatch(r"[0-9]{4}-W[0-9]{2}", name):
        raise bad(f"{name!r} is not an ISO week: write it like 2026-W47")
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
    if not 0 <= local_day(period.start).year - 1971 < 129:
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
        raise bad(f"number={text} is not a whole number from 1 on")
    return int(text)


def tagged(request: Request, body: bytes, media: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with the SHA-256 of its content as its tag; only the tag where the client has it."""
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
        **api.operation("week", "The weekly summary's figures", WeekJson, [api.AREA_ID, WEEK, NUMBER]),
    )
    def week(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("number",))
        found = _seen(shelf, request, number_of(given), "weekly summary")
        return tagged(request, msgspec.json.encode(week_answer(found)), JSON)

    @routes.get(
        "/api/v1/weeks/{week}",
        tags=["weekly"],
        **api.operation("force_week", "The week of all neighbourhoods", ForceWeekJson, [WEEK]),
    )
    def force_week(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        period = week_of(request.path_params["week"])
        lines, complete = shelf.force(period, whole=False)
        lines = _own(lines, request)
        found = force_week_answer(period, lines, complete=complete)
        return tagged(request, msgspec.json.encode(found), JSON)


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
            if (said := notice(request, error)) is None:
                raise
            return said

    PAGED.add(guarded)
    return guarded


PAGED: set[Any] = set()
"""The endpoints that are pages."""


def notice(request: Request, error: Exception) -> Response | None:
    """What went wrong with a page, as a page; None where nobody reads HTML, or where it is no such page."""
    reads = "text/html" in request.headers.get("accept", "")
    if not reads or request.scope.get("endpoint") not in PAGED:
        return None
    status, heading, text = _trouble(error)
    body = strip.notice(heading, text, [("All weeks", "/weeks"), ("The live page", "/")])
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return Response(body, status, media_type=HTML, headers=headers)


def _trouble(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, ProblemError):
        heading = "There is nothing here" if error.status == 404 else "That cannot be answered"
        return error.status, heading, f"{error.description[:1].upper()}{error.description[1:]}."
    if isinstance(error, SchemaError):
        return 503, "Not ready yet", f"{error}."
    if isinstance(error, psycopg.DataError):
        return 400, "That cannot be answered", "The address contains a character that is not allowed."
    return 503, "Not available now", "The database cannot be reached now. Try again in a moment."


def _pages(routes: APIRouter, shelf: Shelf) -> None:
    def page(path: str) -> Callable[[Callable[[Request], Response]], Any]:
        return lambda handler: routes.get(path, include_in_schema=False)(paged(handler))

    @page("/weeks")
    def weeks(_request: Request) -> Response:
        """The last week that is over, where there is anything in it, else the present one."""
        return RedirectResponse(week_path(shelf.last().name), 302, headers={"Cache-Control": "no-store"})

    @page("/weeks/{week}")
    def side_by_side(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("sort",))
        period = week_of(request.path_params["week"])
        lines, complete = shelf.force(period, whole=True)
        lines = _own(lines, request)
        sort = given.get("sort", "share")
        return html_answer(request, _side_by_side(period, lines, complete=complete, sort=sort))

    def duty_told(request: Request, why: str | None) -> Response:
        given = known(request.query_params.multi_items(), ("from", "to"))
        period = week_of(request.path_params["week"])
        found, names = shelf.duty(period, request.path_params["dutyId"], reach_of(request))
        looking = consulted(request)
        if looking.wanting(why):
            trail = [(f"All neighbourhoods, {period.name}", week_path(period.name))]
            return html_answer(request, strip.render("purpose", trail=trail))
        details = {"duty": found.duty.duty_id, "week": period.name}
        looking.shown(request, "duty", [found.duty.officer_id], why=why, details=details)
        return html_answer(request, duty_page.duty_page(found, period, names, marked=_marked(given)))

    @page("/weeks/{week}/duties/{dutyId:path}")
    def duty(request: Request) -> Response:
        return duty_told(request, consulted(request).said(request))

    answered = paged(lambda request: duty_told(request, request.state.why or None))

    @routes.post("/weeks/{week}/duties/{dutyId:path}", include_in_schema=False)
    async def duty_with_purpose(request: Request) -> Response:
        refuse_foreign(request.headers, json=False)
        request.state.why = (await form_of(request)).one("why").strip()
        return await asyncio.to_thread(answered, request)

    PAGED.add(duty_with_purpose)

    @page("/weeks/{week}/{areaId:path}/parts")
    def parts(request: Request) -> Response:
        question = asked(request.query_params.multi_items())
        week, facts = shelf.behind(*_place(request))
        try:
            found = explained(facts, shelf.policies, week.area_id, week.period, question)
        except ValueError as error:
            raise bad(str(error)) from None
        _about(request, "parts of a figure", facts.duties)
        answer = without_notes(parts_answer(found, question, week.names), _hidden(shelf, request))
        return html_answer(request, pages.parts_page(answer, week, until=facts.until))

    @page("/weeks/{week}/{areaId:path}/visits/{priorityId:path}")
    def visits(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("length", "others", "in_hours"))
        which = _which(given)
        week, facts = shelf.behind(*_place(request))
        priority = request.path_params["priorityId"]
        name = week.names.names.get((Kind.PRIORITY.value, priority))
        if name is None:
            raise ProblemError(
                404, "NotFound", f"there is no priority area {priority!r} in {week.period.name}"
            )
        found = visit_list(facts, week.period, shelf.policies, priority, week.names)
        _about(request, "visits", facts.duties)
        found = pages.visits_without(found, _hidden(shelf, request))
        return html_answer(request, pages.visits_page(found, which, week, (priority, name)))

    @page("/weeks/{week}/{areaId:path}/crewing")
    def crewing(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("hour",))
        hour = given.get("hour")
        if hour is not None and not re.fullmatch(r"[01]?[0-9]|2[0-3]", hour):
            raise bad(f"hour={hour} must be from 0 to 23")
        week, found = shelf.crewing(*_place(request))
        consulted(request).shown(request, "crewing", [ANYBODY], details=_named(request))
        found = pages.crewing_without(found, _hidden(shelf, request))
        return html_answer(request, pages.crewing_page(found, None if hour is None else int(hour), week))

    @page("/weeks/{week}/{areaId:path}/team")
    def team(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        week, facts = shelf.behind(*_place(request))
        found = team_list(facts, week.period, shelf.policies)
        mine = {duty.officer_id for duty in own_duties(facts.duties, week.period, week.area_id)}
        chosen = {item.team for item in found.members if item.officer_id in mine}
        months = shelf.policies.at(found.as_of).team_months
        shown = None if reach_of(request).persons is None else mine
        members = {item.officer_id for item in found.members} if shown is None else shown
        consulted(request).shown(request, "teams", members, details=_named(request))
        return html_answer(request, pages.team_page(found, chosen, months, week, shown))

    for ending, media in FILES.items():

        def take(request: Request, ending: str = ending, media: str = media) -> Response:
            given = known(request.query_params.multi_items(), ("number",))
            what = f"weekly summary as {ending}"
            found = _seen(shelf, request, number_of(given), what, record.Kind.DISCLOSURE)
            [(name, body)] = files(found.summary, ["csv" if ending == "zip" else ending]).items()
            said = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
            if ending == "html":
                said["Content-Security-Policy"] = POLICY
            return tagged(request, body, media, said)

        page(f"/weeks/{{week}}/{{areaId:path}}.{ending}")(take)

    @page("/weeks/{week}/{areaId:path}")
    def neighbourhood(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("number",))
        period, area_id = _place(request)
        found = _seen(shelf, request, number_of(given), "weekly summary")
        linked = reach_of(request).named(area_id)
        return html_answer(request, _summary(found, period, area_id, linked=linked))


def _about(request: Request, what: str, duties: Iterable[Duty]) -> None:
    """Puts on record that something is shown of the officers of duties, of those whom whoever asks sees."""
    reach = reach_of(request)
    officers = {duty.officer_id for duty in duties if reach.duty(duty)}
    consulted(request).shown(request, what, officers, details=_named(request))


def _named(request: Request) -> dict[str, str]:
    """Which week, neighbourhood and priority area an address names, for the record."""
    names = {"week": "week", "areaId": "neighbourhood", "priorityId": "priority area"}
    return {said: request.path_params[name] for name, said in names.items() if name in request.path_params}


def _place(request: Request) -> tuple[Period, str]:
    return week_of(request.path_params["week"]), request.path_params["areaId"]


def _marked(given: Mapping[str, str]) -> tuple[int, int] | None:
    """From when to when stretches are to be marked, microseconds."""
    for name in ("from", "to"):
        if not re.fullmatch(r"-?[0-9]{0,15}", given.get(name, "")):
            raise bad(f"{name}={given[name]} is not a time in milliseconds since 1970")
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


def _seen(
    shelf: Shelf,
    request: Request,
    number: int | None,
    what: str,
    kind: record.Kind = record.Kind.CONSULTATION,
) -> Reported:
    """The summary that a request asks for, as whoever asks may see it; on record before it is shown.

    On record stand the officers themselves also where pseudonyms stand in their place.
    """
    period, area_id = _place(request)
    whole, reach = shelf.summary(period, area_id, number), reach_of(request)
    officers = {item.officer_id for item in whole.summary.officers}
    said = what if reach.named(area_id) else f"{what}, with pseudonyms"
    consulted(request).shown(request, said, officers, kind=kind, details=_named(request))
    return shelf.seen(whole, period, area_id, reach)


def _hidden(shelf: Shelf, request: Request) -> Hidden:
    """Whom whoever asks is not to see in the week of a neighbourhood."""
    return shelf.hidden(*_place(request), reach_of(request))


def _own(lines: list[NeighbourhoodLine], request: Request) -> list[NeighbourhoodLine]:
    """The neighbourhoods whose weeks whoever asks may see."""
    reached = ground_of(request)
    return [line for line in lines if within(reached, line.area_id)]


def _summary(found: Reported, period: Period, area_id: str, *, linked: bool) -> str:
    """A neighbourhood's page with the strip above it; its numbers lead on where the parts may be seen."""
    from stream.reports.page import html

    path = week_path(period.name, area_id)
    number = f"?number={found.entry.number}" if found.entry != found.newest and found.entry else ""
    [before] = period.before(1)
    top = strip.bar(
        [
            (f"All neighbourhoods, {period.name}", week_path(period.name)),
            (f"‹ {before.name}", week_path(before.name, area_id)),
            (f"{period.next.name} ›", week_path(period.next.name, area_id)),
            ("What has been restated", restated_path(week=period.name, area=area_id)),
            ("PDF", f"{path}.pdf{number}"),
            ("Spreadsheet", f"{path}.xlsx{number}"),
            ("CSV", f"{path}.zip{number}"),
            ("HTML", f"{path}.html{number}"),
        ],
        strip.provenance(found, path),
        "This summary",
    )
    return strip.under_bar(html(found.summary, WeekLinks(period.name, area_id) if linked else None), top)


def _side_by_side(period: Period, lines: list[NeighbourhoodLine], *, complete: bool, sort: str) -> str:
    """The force's page with the strip above it."""
    [before] = period.before(1)
    top = strip.bar(
        [
            (f"‹ {before.name}", week_path(before.name)),
            (f"{period.next.name} ›", week_path(period.next.name)),
            ("What has been restated", restated_path(week=period.name)),
        ],
        [
            Told("Published.")
            if lines and all(item.entry for item in lines)
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
