"""What the weekly pages share: the template environment, the header, bars."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from stream.core.calendar import Period, local_day
from stream.core.explaining.wording import (
    day_words,
    moment_words,
    period_words,
)
from stream.core.summaries.parts import clock_s, exact_words
from stream.reports import view
from stream.reports.page import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from stream.store.reports import Reported
    from stream.web.weeks.paths import Link


HERE = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the strip above a page."""

    text: str
    links: tuple[Link, ...] = ()
    warn: bool = False


@cache
def _templates() -> Environment:
    """The pages' templates; ``exact`` is a time to the second in words."""
    found = environment(HERE)
    found.filters["exact"] = lambda time: exact_words([time])[0]
    return found


@cache
def _style() -> Markup:
    return Markup((HERE / "style.css").read_text("utf-8"))


def bar(links: Sequence[Link] = (), told_: Sequence[Told] = (), name: str = "This page") -> Markup:
    """The strip above a page.

    Args:
        links: what belongs to this page.
        told_: what has to be known about it.
        name: of the links, for those who do not see them.
    """
    template = _templates().get_template("bar.html.jinja")
    return Markup(template.render(links=links, told=told_, links_name=name))


def under_bar(document: str, strip: Markup) -> str:
    """A whole document with the strip at the top of its body."""
    if 'rel="icon"' not in document:
        document = document.replace("<head>", '<head>\n<link rel="icon" href="data:,">', 1)
    found = re.search(r"<body[^>]*>", document)
    at = found.end() if found else 0
    return f"{document[:at]}\n{strip}{document[at:]}"


def render(
    name: str,
    *,
    links: Sequence[Link] = (),
    told_: Sequence[Told] = (),
    trail: Sequence[Link] = (),
    **said: Any,
) -> str:
    """A page made from a template, with the header that all weekly pages share."""
    template = _templates().get_template(f"{name}.html.jinja")
    return template.render(style=_style(), bar=bar(links, told_), trail=trail, **said)


def notice(heading: str, text: str, ways: Sequence[Link]) -> str:
    """A page that says what is not there, or cannot be, and where to go instead."""
    return render("notice", heading=heading, text=text, ways=ways)


def provenance(found: Reported, path: str) -> list[Told]:
    """Which report it is, or that it is none; what has changed since.

    Args:
        found: what is shown.
        path: the page's address without a number.
    """
    summary, entry, newest = found.summary, found.entry, found.newest
    if entry is None:
        so_far = "" if summary.complete else " The period still runs: so far."
        return [Told(f"Not yet published: counted now from what is on record.{so_far}")]
    lines = []
    when = f"published {moment_words(entry.published_at)} by {entry.published_by}"
    earlier = tuple((f"number {at}", f"{path}?number={at}") for at in range(1, entry.number))
    if newest is not None and newest.number != entry.number:
        lines.append(
            Told(
                f"This is number {entry.number}, {when}. What counts is number {newest.number}:",
                ((f"see number {newest.number}", path),),
                warn=True,
            )
        )
    elif entry.number > 1:
        lines.append(
            Told(f"Number {entry.number}, {when}; restated since it was first published. Before:", earlier)
        )
    else:
        lines.append(Told(f"Number 1, {when}."))
    if found.later:
        last = found.later[-1]
        before, after = (
            view.change_words(view.reading(item, summary.basis.target)) for item in (last.before, last.after)
        )
        why = f" ({last.why})" if last.why else ""
        lines.append(
            Told(
                f"Restated {moment_words(last.recorded_at)}, after this was published: {last.cause}{why}: "
                f"{before} before, {after} after.",
                warn=True,
            )
        )
    return lines


def period_title(period: Period) -> str:
    """A period in a heading."""
    return period_words(period.start, period.end).replace(f"week {period.name}, ", f"{period.name}, ")


def span_words(start: int, end: int) -> str:
    """A span of time within a day, microseconds, in words."""
    return f"{day_words(local_day(start), year=False)} {clock_s(start)}–{clock_s(end)}"
