"""The record for the auditor, and for an officer the part of it that is about themselves: API and pages.

It reads a request, asks the record and writes the answer. Reading the record is consultation, too, and stands
in it. Nobody's position is in it.
"""

from __future__ import annotations

import re
import threading
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from stream.core.calendar import parse_time
from stream.core.explaining.wording import moment_words
from stream.core.json_types import Count, Time
from stream.files.recorded import EntryJson, entry_json
from stream.store import record
from stream.store.record import ANYBODY, Kind, Outcome, Search
from stream.web.access.consulted import consulted, whoever
from stream.web.access.reach import reach_of
from stream.web.answering import answer
from stream.web.description import in_query, operation
from stream.web.problems import ProblemError, bad, known
from stream.web.weeks import strip
from stream.web.weeks.routes import html_answer, paged
from stream.web.weeks.strip import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stream.store.pool import Pool
    from stream.store.record import Recorded, Verified

MOST: Final = 1000
USUAL: Final = 100
MOST_ENTRY: Final = 2**53
"""No entry has a higher number: more than any client can count exactly."""

KINDS: Final = tuple(item.value for item in Kind)

ASKED: Final = ("about", "account", "kind", "what", "outcome", "text", "from", "to")
"""What may be asked for, of the API and the page alike."""


def _one_of(names: Sequence[str]) -> Any:
    return Annotated[str, Meta(extra_json_schema={"enum": list(names)})]


FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2099, 12, 31)
_TIME = "A local day like 2026-11-23, or a time with offset."
_DAY = Annotated[str, Meta(extra_json_schema={"format": "date"})]

BEFORE = in_query("before", "The `next` of the answer before.", Annotated[int, Meta(ge=1, le=MOST_ENTRY)])
LIMIT = in_query("limit", "The most entries of one answer.", Annotated[int, Meta(ge=1, le=MOST)])
PARAMETERS: Final = [
    in_query("about", "Only entries about this officer; those about anybody (`*`) are among them."),
    in_query("account", "Only entries of this account."),
    in_query("kind", "Only entries of this kind.", _one_of(KINDS)),
    in_query("what", "Only this page, path, command or event."),
    in_query("outcome", "Only entries with this outcome.", _one_of(tuple(Outcome))),
    in_query("text", "Only entries with this in what was done, the purpose or the details."),
    in_query("from", f"From here on. {_TIME}", _DAY),
    in_query("to", f"Up to here, exclusive. {_TIME}", _DAY),
    LIMIT,
    BEFORE,
]


Next = Annotated[
    Count | None, Meta(description="The `before` of the next answer; null: there are no more entries.")
]


class EntriesJson(msgspec.Struct, frozen=True):
    """Entries of the record, the newest first."""

    entries: list[EntryJson]
    next: Next


class LookJson(msgspec.Struct, frozen=True):
    """Somebody saw, changed or passed on what is held about an officer."""

    at: Time
    kind: Annotated[str, Meta(description="As section 62 of the Data Protection Act 2018 has it.")]
    what: Annotated[str, Meta(description="The page, path or command.")]
    outcome: str
    account: str
    why: str | None


class LookedJson(msgspec.Struct, frozen=True):
    """Who looked at an officer, the newest first."""

    looks: list[LookJson]
    next: Next


def wanted(given: Mapping[str, str]) -> Search:
    """What a request asks for.

    Raises:
        ProblemError: a parameter cannot be used.
    """
    kind, outcome = given.get("kind"), given.get("outcome")
    if kind is not None and kind not in KINDS:
        raise bad(f"kind={kind} is none of {', '.join(KINDS)}")
    if outcome is not None and outcome not in tuple(Outcome):
        raise bad(f"outcome={outcome} is none of {', '.join(Outcome)}")
    return Search(
        kind,
        _plain(given.get("what")),
        outcome,
        _plain(given.get("account")),
        _plain(given.get("about")),
        _plain(given.get("text")),
        _time("from", given),
        _time("to", given),
        _number("before", given, MOST_ENTRY),
    )


def _plain(text: str | None) -> str | None:
    """A text as it would stand on record."""
    return None if text is None else record.plain(text)


def _time(name: str, given: Mapping[str, str]) -> int | None:
    """A time or local day, microseconds; of days of which nothing can be on record the nearest of those."""
    text = given.get(name)
    if text is None:
        return None
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
            return parse_time(min(max(day, FIRST_DAY), LAST_DAY).isoformat())
        return parse_time(text)
    except ValueError as error:
        raise bad(f"{name}: {error}") from error


def _number(name: str, given: Mapping[str, str], most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) > most:
        raise bad(f"{name}={text} is not a whole number from 1 to {most}")
    return int(text)


def router(pool: Pool) -> APIRouter:
    """The paths of the record.

    Args:
        pool: connections to the database.
    """
    routes = APIRouter()
    verifying = threading.Lock()

    def search(asked: Search, limit: int) -> tuple[list[Recorded], int | None]:
        found = pool.ask(lambda connection: record.search(connection, asked, limit + 1))
        return found[:limit], found[limit - 1].entry if len(found) > limit else None

    def read(request: Request, given: Mapping[str, str]) -> tuple[list[Recorded], int | None]:
        """Entries that the auditor asks for; that is on record before they are shown."""
        asked = wanted(given)
        limit = _number("limit", given, MOST) or USUAL
        filters = {name: value for name, value in given.items() if name in ASKED and value}
        consulted(request).shown(request, "record", [asked.about or ANYBODY], details=filters)
        return search(asked, limit)

    @routes.get(
        "/api/v1/record",
        tags=["record"],
        **operation("record", "Who did what about whom", EntriesJson, PARAMETERS),
    )
    def entries(request: Request) -> Response:
        given = known(request.query_params.multi_items(), (*ASKED, "limit", "before"))
        found, following = read(request, given)
        return answer(EntriesJson([entry_json(item) for item in found], following))

    @routes.get(
        "/api/v1/me/looked",
        tags=["record"],
        **operation("looked", "Who looked at the officer who asks", LookedJson, [LIMIT, BEFORE]),
    )
    def looked(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("limit", "before"))
        found, following = looks(request, given)
        return answer(LookedJson([_look_json(item) for item in found], following))

    def looks(request: Request, given: Mapping[str, str]) -> tuple[list[Recorded], int | None]:
        """Whoever looked at the officer who asks, but the officer."""
        [own] = _own(request)
        asked = Search(about=own, before=_number("before", given, MOST_ENTRY))
        found, following = search(asked, _number("limit", given, MOST) or USUAL)
        account, _, _ = whoever(request)
        return [item for item in found if item.account != account], following

    def page(path: str) -> Callable[[Callable[[Request], Response]], Any]:
        return lambda handler: routes.get(path, include_in_schema=False)(paged(handler))

    @page("/record")
    def record_page(request: Request) -> Response:
        given = known(request.query_params.multi_items(), (*ASKED, "limit", "before"))
        # A form sends what was left empty too.
        given = {name: text for name, text in given.items() if text}
        found, following = read(request, given)
        asked = {name: given.get(name, "") for name in ASKED}
        chosen = {name: value for name, value in asked.items() if value}
        more = "" if following is None else f"/record?{urlencode({**chosen, 'before': following})}"
        text = strip.render(
            "record",
            links=[("Is the record whole?", "/record/verify")],
            asked=asked,
            chosen=bool(chosen),
            kinds=KINDS,
            outcomes=list(Outcome),
            rows=[_row(item) for item in found],
            first=f"/record?{urlencode(chosen)}" if "before" in given else "",
            more=more,
        )
        return html_answer(request, text)

    @page("/record/verify")
    def verify_page(request: Request) -> Response:
        known(request.query_params.multi_items(), ())
        if not verifying.acquire(blocking=False):
            raise ProblemError(503, "NotReady", "the record is being looked through already; try again")
        try:
            with pool.connection(patient=True) as connection:
                found = record.verify(connection)
        finally:
            verifying.release()
        return html_answer(request, _verified(found))

    @page("/looked")
    def looked_page(request: Request) -> Response:
        given = known(request.query_params.multi_items(), ("before",))
        found, following = looks(request, given)
        text = strip.render(
            "looked",
            rows=[_row(item) for item in found],
            first="/looked" if "before" in given else "",
            more="" if following is None else f"/looked?before={following}",
        )
        return html_answer(request, text)

    return routes


def _own(request: Request) -> Sequence[str]:
    own = sorted(reach_of(request).own)
    if len(own) != 1:
        raise ProblemError(404, "NotFound", "this account is no officer's")
    return own


def _look_json(item: Recorded) -> LookJson:
    said = entry_json(item)
    return LookJson(said.at, said.kind, said.what, said.outcome, said.account, said.why)


def _row(item: Recorded) -> dict[str, Any]:
    """An entry as pages show it."""
    details: dict[str, Any] = msgspec.json.decode(item.details)
    said = [f"{name}: {_text(value)}" for name, value in details.items()]
    shown = [name for name in item.about if name != ANYBODY]
    return {
        "entry": item.entry,
        "when": moment_words(item.at),
        "account": item.account,
        "source": item.source,
        "means": item.means,
        "kind": item.kind,
        "what": item.what,
        "outcome": "" if item.outcome == Outcome.DONE else item.outcome,
        "about": shown[:8],
        "others": max(0, len(shown) - 8),
        "anybody": ANYBODY in item.about,
        "why": item.why or "",
        "details": "; ".join(said),
    }


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _verified(found: Verified) -> str:
    """The page that says whether the record is whole."""
    if found.broken is not None:
        told = Told(f"The record is not whole: {found.broken}.", warn=True)
    elif found.head is None:
        told = Told("Nothing is on record yet.")
    else:
        told = Told(f"The record is whole: entries {found.first:,} to {found.head.entry:,} are chained.")
    return strip.render(
        "verified",
        trail=[("The record", "/record")],
        told=told,
        head="" if found.head is None else str(found.head),
    )
