"""What has been restated (rule 20), of all weeks, areas and causes: the API's answer and the page.

It reads a request, asks the record and writes the answer. The record is read by the function by which
``patrol restatements`` reads it, so that the three tell the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from geo.areas import Kind
from stream.core.calendar import MONTH, Period, rfc3339
from stream.core.explaining.wording import duration, moment_words, no_share_words
from stream.core.facts import SECOND
from stream.core.json_types import Count, Time
from stream.core.shares import FORCE, NEIGHBOURHOOD, OFFICER, SCOPES
from stream.files.restated import Cause, RestatementOnRecordJson, restatement_json, target_of
from stream.reports.view import reading
from stream.store import areas
from stream.store.recompute import unfinished
from stream.store.records import (
    CAUSES,
    DUTIES,
    FACTS,
    LATER,
    MONTH_AGAIN,
    POLICY,
    PUBLISHED,
    WITHDRAWN,
    RestatedPlace,
    periods_asked,
    restatement_page,
)
from stream.web import description as api
from stream.web.access.consulted import consulted
from stream.web.access.reach import EVERYTHING, ground_of, reach_of, within
from stream.web.answering import JSON
from stream.web.problems import bad, known
from stream.web.weeks import strip
from stream.web.weeks.paths import Link, month_path, restated_path, week_path
from stream.web.weeks.routes import html_answer, paged, reached_or_refused, tagged, week_of
from stream.web.weeks.strip import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.store.records import Restated, Restatement, RestatementPage
    from stream.store.schema import Connection
    from stream.web.access.reach import Ground, Reach
    from stream.web.weeks.shelf import Shelf

MOST: Final = 1000
"""So many figures are told at once at most."""
USUAL: Final = 100
"""So many where nothing is asked."""

NAMES = ("week", "month", "area", "cause", "limit", "after")
"""The parameters of the API's path, and of the page."""

WORDS = {
    LATER: "Facts arrived late",
    DUTIES: "Duties were revised, or booked late",
    PUBLISHED: "Boundaries were published",
    WITHDRAWN: "Published boundaries were taken back",
    FACTS: "Counted again from the facts",
    POLICY: "Counted again under another policy",
    MONTH_AGAIN: "A month's reports were published again",
}
"""The causes for people."""

YEAR = "^(19[789][0-9]|20[0-9]{2})"
PLACE = rf"^([1-9][0-9]{{0,8}})\.([0-9]{{4}}-W?[0-9]{{2}})\.({'|'.join(SCOPES)})\."
"""How the place of a figure in the record begins; behind it is the id."""

PARAMETERS = [
    api.in_query(
        "week",
        "Only figures of this ISO week.",
        Annotated[str, Meta(pattern=f"{YEAR}-W([0-4][0-9]|5[0-3])$")],
    ),
    api.in_query(
        "month",
        "Only figures of this month, like 2026-11, and of the weeks that it has days of.",
        Annotated[str, Meta(pattern=f"{YEAR}-(0[1-9]|1[0-2])$")],
    ),
    api.in_query(
        "area", "Only figures of the neighbourhood with this id.", Annotated[str, Meta(min_length=1)]
    ),
    api.in_query("cause", "Only restatements with this cause.", Cause),
    api.in_query("limit", "The most figures of one answer.", Annotated[int, Meta(ge=1, le=MOST)]),
    api.in_query("after", "The `next` of the answer before.", Annotated[str, Meta(pattern=PLACE)]),
]


class UnfinishedRecomputeJson(msgspec.Struct, frozen=True):
    """A recompute that has not ended: what it changed so far is not on record yet."""

    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    begun_by: str
    parts_done: Count
    parts: Count


class RestatementsJson(msgspec.Struct, frozen=True):
    """Restatements, the newest first, and in each the newest week first.

    A restatement whose figures go on in the next answer comes again there.
    """

    restatements: tuple[RestatementOnRecordJson, ...]
    next: Annotated[
        str | None, Meta(description="The `after` of the next answer; null: there are no more figures.")
    ]
    unfinished: UnfinishedRecomputeJson | None


# ── What is asked ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """Which restatements are asked for; empty: all.

    Attributes:
        week: an ISO week.
        month: a month, with the weeks that it has days of.
        area: the id of a neighbourhood.
        cause: one of ``CAUSES``.
        after: only what comes behind this figure.
        limit: of figures.
    """

    week: str = ""
    month: str = ""
    area: str = ""
    cause: str = ""
    after: RestatedPlace | None = None
    limit: int = USUAL

    @property
    def periods(self) -> tuple[str, ...] | None:
        """The weeks and months by name; None: all."""
        return periods_asked(self.week or None, self.month or None)

    @property
    def chosen(self) -> dict[str, str]:
        """What is left out by the question, as parameters."""
        said = {"week": self.week, "month": self.month, "area": self.area, "cause": self.cause}
        return {name: text for name, text in said.items() if text}

    def address(self, after: RestatedPlace | None = None) -> str:
        """The page on which this is answered, from a place on."""
        limit = "" if self.limit == USUAL else str(self.limit)
        behind = "" if after is None else place_words(after)
        return restated_path(**self.chosen, limit=limit, after=behind)

    def read(
        self, connection: Connection, reach: Reach = EVERYTHING, ground: Ground = None
    ) -> RestatementPage:
        """Reads so much of the record as somebody may see."""
        page = restatement_page(
            connection,
            periods=self.periods,
            neighbourhoods=[self.area] if self.area else [],
            cause=self.cause or None,
            after=self.after,
            limit=self.limit,
            ground=ground,
            officers=reach.persons is None,
        )
        if not reach.nobody:
            return page
        # Who corrected a figure, and the reason as typed, may name anybody.
        return replace(
            page, restatements=[replace(item, recorded_by="", why="") for item in page.restatements]
        )


def asked(given: Mapping[str, str]) -> RecordQuestion:
    """The question that a request asks.

    Raises:
        ProblemError: a parameter cannot be used.
    """
    if "week" in given:
        week_of(given["week"])
    if "month" in given:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", given["month"]):
            raise bad(f"{given['month']!r} is not a month: write it like 2026-11")
        reached_or_refused(Period.month, given["month"])
    if "cause" in given and given["cause"] not in CAUSES:
        raise bad(f"cause={given['cause']} must be one of {', '.join(CAUSES)}")
    if given.get("area") == "":
        raise bad("area= is empty: give the id of a neighbourhood, or leave it out")
    limit = given.get("limit", str(USUAL))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", limit) or int(limit) > MOST:
        raise bad(f"limit={limit} is not a whole number from 1 to {MOST}")
    return RecordQuestion(
        week=given.get("week", ""),
        month=given.get("month", ""),
        area=given.get("area", ""),
        cause=given.get("cause", ""),
        after=place_of(given["after"]) if "after" in given else None,
        limit=int(limit),
    )


def place_words(place: RestatedPlace) -> str:
    """A place in the record as a parameter."""
    return ".".join(map(str, place))


def place_of(text: str) -> RestatedPlace:
    """The same read again.

    Raises:
        ProblemError: it is no such place.
    """
    found = re.match(PLACE, text)
    if found is None:
        raise bad(f"after={text[:80]} is not the `next` of an answer")
    return RestatedPlace(int(found[1]), found[2], found[3], text[found.end() :])


# ── The answers ───────────────────────────────────────────────────────────────────────────────────────────

Run = tuple[int, int, str, int, int]
"""A recompute that has not ended, as ``unfinished`` gives it."""


def router(shelf: Shelf) -> APIRouter:
    """The paths of the record.

    Args:
        shelf: reads.
    """
    routes = APIRouter()

    @routes.get(
        "/api/v1/restatements",
        tags=["weekly"],
        **api.operation(
            "restatements", "What has been restated, the newest first", RestatementsJson, PARAMETERS
        ),
    )
    def restatements(request: Request) -> Response:
        question = asked(known(request.query_params.multi_items(), NAMES))
        reach, ground = reach_of(request), ground_of(request)
        page, run = shelf.ask(
            lambda connection, _: (
                question.read(connection, reach, ground),
                _by_whom(unfinished(connection), reach),
            )
        )
        _consulted(request, page)
        found = restatements_json(page, run, shelf.policies)
        return tagged(request, msgspec.json.encode(found), JSON)

    def listed(request: Request) -> Response:
        given = known(request.query_params.multi_items(), NAMES)
        # A form sends what was left empty too.
        question = asked({name: text for name, text in given.items() if text})
        reach, ground = reach_of(request), ground_of(request)

        def read(connection: Connection, now: int) -> tuple[RestatementPage, Run | None, dict[str, str]]:
            called = areas.names(connection, shelf.shown(now))
            grounds = {
                name: text
                for (kind, name), text in called.items()
                if kind == Kind.NEIGHBOURHOOD and within(ground, name)
            }
            found = question.read(connection, reach, ground)
            return found, _by_whom(unfinished(connection), reach), grounds

        page, run, grounds = shelf.ask(read)
        _consulted(request, page)
        return html_answer(request, record_page(question, page, run, shelf.policies, grounds))

    routes.get("/restatements", include_in_schema=False)(paged(listed))
    return routes


def _consulted(request: Request, page: RestatementPage) -> None:
    """Puts on record whose figures are shown, where there are officers among them."""
    officers = {part.id for item in page.restatements for part in item.restated if part.scope == OFFICER}
    if officers:
        consulted(request).shown(request, "restatements", officers)


def _by_whom(run: Run | None, reach: Reach) -> Run | None:
    """A recompute that has not ended, without who began it for whoever sees no names."""
    if run is None or not reach.nobody:
        return run
    start, end, _, done, parts = run
    return start, end, "", done, parts


def restatements_json(page: RestatementPage, run: Run | None, policies: Policies) -> RestatementsJson:
    """A page of the record, and the recompute that has not ended."""
    return RestatementsJson(
        tuple(restatement_json(item, policies, page.names) for item in page.restatements),
        None if page.following is None else place_words(page.following),
        None if run is None else _run(run),
    )


def _run(run: Run) -> UnfinishedRecomputeJson:
    start, end, by, done, parts = run
    return UnfinishedRecomputeJson(rfc3339(start), rfc3339(end), by, done, parts)


# ── The page ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FigureWords:
    """One side of a restated figure in words.

    Attributes:
        share: in per cent, or why there is none.
        value: of the share, exact; empty where there is none.
        verdict: empty where there is none, and of an officer.
        more: the bounds, and how much is doubtful.
    """

    share: str
    value: str
    verdict: str
    more: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A restated figure as the page shows it; ``turned``: the verdict is another."""

    of: str
    period: str
    whose: str
    href: str
    before: FigureWords
    after: FigureWords
    turned: bool


def record_page(
    question: RecordQuestion,
    page: RestatementPage,
    run: Run | None,
    policies: Policies,
    grounds: Mapping[str, str],
) -> str:
    """The page.

    Args:
        question: what is asked.
        page: what the record says.
        run: a recompute that has not ended.
        policies: the targets of weeks.
        grounds: neighbourhoods in force by id, to choose from.
    """
    called = dict(grounds)
    if question.area:
        called.setdefault(question.area, page.names.get((NEIGHBOURHOOD, question.area), question.area))
    return strip.render(
        "restatements",
        links=_ways(question, called),
        told_=[Told(_not_yet(run), warn=True)] if run else (),
        question=question,
        causes=[(cause, WORDS[cause]) for cause in CAUSES],
        areas=sorted(called.items(), key=lambda pair: (pair[1].casefold(), pair[0])),
        all_=restated_path(),
        first=question.address() if question.after else "",
        more="" if page.following is None else question.address(page.following),
        items=[_item(item, page, policies) for item in page.restatements],
        shown=sum(len(item.restated) for item in page.restatements),
    )


def _ways(question: RecordQuestion, called: Mapping[str, str]) -> list[Link]:
    """Back to the figures that were asked about."""
    ways = []
    if question.week and question.area:
        ways.append((f"{called[question.area]}, {question.week}", week_path(question.week, question.area)))
    elif question.week:
        ways.append((f"All neighbourhoods, {question.week}", week_path(question.week)))
    elif question.month:
        ways.append((f"{question.month} for residents", month_path(question.month, question.area)))
    return ways


def _not_yet(run: Run) -> str:
    start, end, by, done, parts = run
    return (
        f"Not on record yet: the recompute of {moment_words(start)} to {moment_words(end)}, begun by {by}. "
        f"{done:,} of {parts:,} parts are done."
    )


def _item(item: Restatement, page: RestatementPage, policies: Policies) -> dict[str, Any]:
    rows = [_row(item, part, page, policies) for part in item.restated]
    several = "figure" if item.figures == 1 else "figures"
    here = "" if len(rows) == item.figures else f", {len(rows):,} of them here"
    version = f", version {item.version}" if item.version is not None else ""
    return {
        "number": item.number,
        "when": moment_words(item.recorded_at),
        "cause": f"{WORDS.get(item.cause, item.cause)}{version}",
        "why": item.why,
        "by": item.recorded_by,
        "count": f"{item.figures:,} {several}{here}",
        "rows": rows,
        "turned": any(row.turned for row in rows),
    }


def _row(item: Restatement, part: Restated, page: RestatementPage, policies: Policies) -> FigureRow:
    target = target_of(part, policies)
    before, after = (figure_words(figures, part, target) for figures in (part.before, part.after))
    name = page.names.get((part.scope, part.id), part.id)
    whose = {FORCE: "The force", OFFICER: f"{name} (officer)"}.get(part.scope, name)
    return FigureRow(
        " ".join((str(item.number), part.week, part.scope, part.id)),
        part.week,
        whose,
        _href(part),
        before,
        after,
        before.verdict != after.verdict and part.bounded,
    )


def _href(part: Restated) -> str:
    """Where the figure stands today; nowhere for an officer's."""
    if part.scope == OFFICER:
        return ""
    area_id = part.id if part.scope == NEIGHBOURHOOD else ""
    of_month = Period.called(part.week).kind == MONTH
    return month_path(part.week, area_id) if of_month else week_path(part.week, area_id)


def figure_words(figures: Figures | None, part: Restated, target: float) -> FigureWords:
    """One side of a restated figure in words; no verdict on one officer."""
    if figures is None:
        return FigureWords("no figure", "", "", "nobody on duty")
    found = reading(figures, target)
    doubtful = f"{duration(-(-figures.doubtful // (60 * SECOND)))} doubtful" if figures.doubtful else ""
    if found.share is None:
        return FigureWords("no share", "", "", _listed([no_share_words(figures), doubtful]))
    between = f"{found.low_words} to {found.high_words}" if part.bounded else "bounds not counted then"
    verdict = found.verdict if part.bounded and part.scope != OFFICER else ""
    return FigureWords(found.share_words, repr(figures.share), verdict or "", _listed([between, doubtful]))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(word for word in words if word)
