"""What residents may see: a neighbourhood's month, and where a postcode lies; as pages.

It reads and keeps; what may be seen is decided in ``stream.core.summaries.disclosure``, how it looks in
``stream.reports.public``. Like everything here it answers on this machine only: it shows what ``patrol report
public`` would write for a force's own site.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from geo.areas import AreaSet, Kind
from geo.matching.places import PlaceIndex
from stream.core.calendar import MONTH, Period, local_day
from stream.core.postcodes import Finder
from stream.core.summaries.disclosure import Public, publish_all
from stream.core.summaries.model import FormError
from stream.files.postcode_file import read_postcodes
from stream.reports import public
from stream.settings import SettingsError
from stream.store import areas
from stream.store.reading.public_month import PublishedMonth, public_month, published_month
from stream.store.reading.summaries import summaries
from stream.web.problems import ProblemError, bad, known
from stream.web.weeks import strip
from stream.web.weeks.paths import month_path, restated_path
from stream.web.weeks.routes import html_answer, paged, reached_or_refused
from stream.web.weeks.strip import Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastapi import Request, Response

    from stream.store.schema import Connection
    from stream.web.weeks.shelf import Shelf

Key: TypeAlias = tuple[float, tuple[int, ...]]
"""When the file of postcodes was changed, and the versions of the neighbourhoods in force."""

KEPT_S = 600.0
"""A month that is not published is counted again after this many seconds at the earliest: that is slow."""

STATES = {
    "shown": "",
    "nobody": "no officer of its own was on duty",
    "few": "no figure: from too few officers",
    "shared": "no figure: combined with a neighbouring one it could identify officers",
    "unseen": "no figure: no position is known of any of the duty time",
}
"""What became of a neighbourhood's figure in a public month."""


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """What the public may see of all neighbourhoods.

    Attributes:
        reports: it is based on, and what was restated since; of a month that is not published none.
        made: when, on a monotonic clock, seconds.
    """

    month: str
    of: dict[str, Public]
    reports: PublishedMonth
    made: float


@dataclass(slots=True, eq=False)
class Residents:
    """Keeps the months last asked about, and the postcodes.

    Args:
        shelf: reads.
        steady: a monotonic clock, seconds.
    """

    shelf: Shelf
    steady: Callable[[], float] = time.monotonic
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _months: dict[str, Month] = field(default_factory=dict)
    _finders: dict[Key, Finder] = field(default_factory=dict)

    def last(self) -> Period:
        """The last month that is over."""
        [found] = self.shelf.ask(lambda _, now: Period.around(MONTH, self.shelf.shown(now)).before(1))
        return found

    def month(self, period: Period) -> Month:
        """What the public may see of a month.

        Raises:
            ProblemError: the month is not over.
        """

        def read(connection: Connection, now: int) -> tuple[PublishedMonth, list[Public] | None]:
            """None: what is kept still holds."""
            if not period.is_over(now):
                raise ProblemError(
                    404, "NotFound", f"{period.name} is not over: it can be made public when it is"
                )
            found = published_month(connection, period.name)
            if kept is not None and kept.reports.documents == found.documents and (found.newest or not due):
                return found, None
            if found.newest:
                return found, public_month(connection, period.name)
            return found, publish_all(summaries(connection, self.shelf.policies, period, now=now))

        with self._turn:
            kept = self._months.get(period.name)
            due = kept is not None and self.steady() - kept.made > KEPT_S
            try:
                based, made = self.shelf.ask(read)
            except FormError as error:
                raise ProblemError(409, "Conflict", str(error)) from error
            if made is not None:
                kept = Month(period.name, {item.area_id: item for item in made}, based, self.steady())
            assert kept is not None
            kept = replace(kept, reports=based)
            self._months = {period.name: kept}
            return kept

    def finder(self) -> tuple[Finder, Period]:
        """Finds postcodes within the neighbourhoods in force now; and the last month that is over.

        Raises:
            ProblemError: no file of postcodes is named, or it cannot be used.
        """

        def read(connection: Connection, now: int) -> tuple[Key, AreaSet | None, Period]:
            shown = self.shelf.shown(now)
            [last] = Period.around(MONTH, shown).before(1)
            chosen = areas.in_force(areas.versions(connection), shown)
            grounds = [item for item in chosen if item.kind is Kind.NEIGHBOURHOOD]
            key = (changed, tuple(item.version for item in grounds))
            if key in self._finders or not grounds:
                return key, None, last
            sets = [areas.read(connection, item.version, item.kind) for item in grounds]
            return key, AreaSet.union(*sets), last

        path = self.shelf.settings.postcodes
        try:
            changed = Path(path).stat().st_mtime if path else 0.0
        except OSError:
            changed = 0.0
        with self._turn:
            key, found, last = self.shelf.ask(read)
            if key not in self._finders:
                if found is None:
                    raise ProblemError(404, "NotFound", "no neighbourhoods are in force: publish boundaries")
                try:
                    postcodes = read_postcodes(None, self.shelf.settings)
                except SettingsError as error:
                    raise ProblemError(404, "NotFound", str(error)) from error
                self._finders = {key: Finder(postcodes, PlaceIndex(found))}
            return self._finders[key], last


def in_language(path: str, language: str) -> str:
    """An address in a language."""
    return path if language == public.SOURCE else f"{path}?{urlencode({'language': language})}"


def language_of(text: str) -> str:
    """The language asked for.

    Raises:
        ProblemError: there are no texts in it.
    """
    if text not in public.languages():
        raise bad(f"language={text[:40]} must be one of {', '.join(public.languages())}")
    return text


def month_of(name: str) -> Period:
    """The month that an address names.

    Raises:
        ProblemError: there is no such month.
    """
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", name):
        raise bad(f"{name!r} is not a month: write it like 2026-11")
    return reached_or_refused(Period.month, name)


def router(residents: Residents) -> APIRouter:
    """The pages for residents.

    Args:
        residents: reads and keeps.
    """
    routes = APIRouter()

    def at(path: str) -> Callable[[Callable[[Request], Response]], Any]:
        return lambda handler: routes.get(path, include_in_schema=False)(paged(handler))

    @at("/months")
    def months(_request: Request) -> Response:
        path = month_path(residents.last().name)
        return RedirectResponse(path, 302, headers={"Cache-Control": "no-store"})

    @at("/months/{month}")
    def listed(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        period = month_of(request.path_params["month"])
        found = residents.month(period)
        items = sorted(found.of.values(), key=lambda item: (item.area_name.casefold(), item.area_id))
        return html_answer(
            request,
            strip.render(
                "months",
                links=[("What has been restated", restated_path(month=period.name))],
                told_=_about(found),
                month=f"{local_day(period.start):%B %Y}",
                rows=[
                    (
                        item.area_name,
                        month_path(period.name, item.area_id),
                        STATES[item.state],
                        ", ".join(_weeks(found, item.area_id)),
                        restated_path(month=period.name, area=item.area_id),
                    )
                    for item in items
                ],
                restated=bool(found.reports.restated),
            ),
        )

    @at("/months/{month}/{areaId:path}")
    def month(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("language",))
        language = language_of(given.get("language", public.SOURCE))
        period, area_id = month_of(request.path_params["month"]), request.path_params["areaId"]
        found = residents.month(period)
        if area_id not in found.of:
            raise ProblemError(404, "NotFound", f"there is no neighbourhood {area_id!r} in {period.name}")
        top = strip.bar(
            [
                (f"All neighbourhoods, {period.name}", month_path(period.name)),
                *(
                    (other, in_language(month_path(period.name, area_id), other) if other != language else "")
                    for other in public.languages()
                ),
                ("What has been restated", restated_path(month=period.name, area=area_id)),
            ],
            _about(found, area_id),
            "This page",
        )
        return html_answer(request, strip.under_bar(public.html(found.of[area_id], language), top))

    @at("/postcode")
    def postcode(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("postcode", "language"))
        language = language_of(given.get("language", public.SOURCE))
        typed = given.get("postcode")
        if typed is None:
            answer, last = None, residents.last()
        else:
            finder, last = residents.finder()
            answer = finder.find(typed)
        text = public.finder_html(
            answer,
            language,
            action="/postcode",
            link=lambda area_id: in_language(month_path(last.name, area_id), language),
        )
        return html_answer(request, strip.under_bar(text, strip.bar()))

    return routes


def _weeks(found: Month, area_id: str = "") -> list[str]:
    """The weeks restated since the month was published, of a neighbourhood or of all."""
    restated = found.reports.restated
    chosen = [restated.get(area_id, ())] if area_id else restated.values()
    return sorted({part.week for items in chosen for item in items for part in item.restated})


def _about(found: Month, area_id: str = "") -> list[Told]:
    """Where it is from, and what was restated since: for a page of one neighbourhood, or of all."""
    if not found.reports.newest:
        return [
            Told("What residents may see of the month. The month is not published yet: counted now."),
        ]
    said = [Told("What residents may see of the month, from its published reports.")]
    weeks = _weeks(found, area_id)
    if weeks:
        many = len(found.reports.restated)
        whose = "" if area_id else f", of {many} neighbourhood{'s' if many != 1 else ''}"
        said.append(
            Told(
                f"Weeks restated since it was published{whose}: {', '.join(weeks)}. Published again, the "
                "month gets another number where its own figures changed:",
                (("what has been restated", restated_path(month=found.month, area=area_id)),),
                warn=True,
            )
        )
    return said
