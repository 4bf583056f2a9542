"""Summaries of all neighbourhoods, side by side: the chief inspector's page.

Pure: the same lines and links, the same text. Every share has its bounds and verdict, the small drawings have
one scale and the target in each, and a neighbourhood without a figure is listed without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from stream.core.explaining.explanation import exact
from stream.core.explaining.wording import apportion, period_words, plain_percent
from stream.reports import charts, view
from stream.reports.grid import divided, time_words
from stream.reports.page import HERE, style, templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stream.core.calendar import Period
    from stream.core.shares import Figures
    from stream.core.summaries.model import Past, Summary
    from stream.store.reports import Entry


@dataclass(frozen=True, slots=True)
class NeighbourhoodLine:
    """A neighbourhood.

    Attributes:
        figures: of the period; ``target`` in force at its start.
        past: the periods before and this one, for the small drawing.
        visits: to the priority areas that overlap it; None: not known here.
        unvisited: how many of the ``areas`` nobody visited; None: not known here.
        entry: of its published report; None: it was counted now, or written to a file.
        turning: facts that are probably wrong could turn its verdict (rule 22), as far as is known here.
    """

    area_id: str
    name: str
    figures: Figures
    target: float
    past: tuple[Past, ...]
    areas: int | None = None
    visits: int | None = None
    unvisited: int | None = None
    entry: Entry | None = None
    turning: bool = False


def line(summary: Summary, entry: Entry | None = None) -> NeighbourhoodLine:
    """The line of a summary, of a published report where it is from one."""
    return NeighbourhoodLine(
        area_id=summary.area_id,
        name=summary.area_name,
        figures=summary.figures,
        target=summary.basis.target,
        past=summary.past,
        areas=len(summary.areas),
        visits=sum(area.figures.visits for area in summary.areas),
        unvisited=view.unvisited(summary.areas),
        entry=entry,
        turning=bool(view.turning(summary)),
    )


def line_of(entry: Entry) -> NeighbourhoodLine:
    """The line of a published report, as far as is known without its document."""
    return NeighbourhoodLine(entry.area_id, entry.area_name, entry.figures, entry.target, (), entry=entry)


COLUMNS = {
    "name": "neighbourhood",
    "share": "share on patch",
    "verdict": "verdict",
    "change": "change, points",
    "on": "on patch",
    "off": "off patch",
    "hidden": "not visible",
    "unknown": "unknown",
    "visits": "visits",
    "unvisited": "areas unvisited",
}
"""The columns that can be sorted by, and their headings."""

VERDICTS = ("missed", "not proven", "met")
"""Verdicts in the order of need."""


def change(found: NeighbourhoodLine) -> int | None:
    """Tenths of a percentage point since the period before; None where either has no share."""
    before = found.past[-2].figures if len(found.past) > 1 else None
    if before is None or before.share is None or found.figures.share is None:
        return None
    now, then = (Fraction(item.on_patch, item.duty) for item in (found.figures, before))
    return round((now - then) * 1000)


def _value(found: NeighbourhoodLine, key: str) -> Any:
    """What a line is sorted by; None where it has none: those come last either way."""
    figures = found.figures
    verdict = figures.verdict(found.target)
    return {
        "name": found.name.casefold(),
        "share": figures.share,
        "verdict": None if verdict is None else (VERDICTS.index(verdict), figures.share),
        "change": change(found),
        "on": figures.on_patch,
        "off": figures.off_patch,
        "hidden": figures.not_visible,
        "unknown": figures.unknown,
        "visits": found.visits,
        "unvisited": found.unvisited,
    }[key]


def ordered(lines: Iterable[NeighbourhoodLine], sort: str) -> list[NeighbourhoodLine]:
    """Lines in an order.

    Args:
        lines: any.
        sort: one of ``COLUMNS``; with ``-`` in front for the reverse.

    Raises:
        ValueError: it is neither.
    """
    key, down = sort.removeprefix("-"), sort.startswith("-")
    if key not in COLUMNS:
        raise ValueError(
            f"sort={sort} must be one of {', '.join(COLUMNS)}, with - before it for the reverse order"
        )
    named = sorted(lines, key=lambda item: (item.name.casefold(), item.area_id))
    known = [item for item in named if _value(item, key) is not None]
    rest = [item for item in named if _value(item, key) is None]
    return sorted(known, key=lambda item: _value(item, key), reverse=down) + rest


def html(
    lines: Iterable[NeighbourhoodLine],
    period: Period,
    *,
    complete: bool = True,
    sort: str = "share",
    link: Callable[[str], str] | None = None,
    leads: Callable[[str], str] | None = None,
) -> str:
    """All neighbourhoods side by side as an HTML document.

    Args:
        lines: one a neighbourhood, in any order.
        period: the week or month.
        complete: it is over.
        sort: see ``ordered``.
        link: the address of the same page in another order; None in a file.
        leads: the address of a neighbourhood's own page by its id; None in a file.

    Raises:
        ValueError: ``sort`` is no order.
    """
    listed = ordered(lines, sort)
    key, down = sort.removeprefix("-"), sort.startswith("-")
    heads = []
    for name, words in COLUMNS.items():
        turned = name == key and not down
        heads.append(
            (
                words,
                link(f"-{name}" if turned else name) if link else "",
                ("descending" if down else "ascending") if name == key else "",
                name not in ("name", "verdict"),
            )
        )
    count = dict.fromkeys((*view.SHAPES, None), 0)
    for item in listed:
        count[item.figures.verdict(item.target)] += 1
    floor = charts.floor_of([view.step(past) for item in listed for past in item.past])
    # Where none is published the page says so once.
    some = complete and any(item.entry for item in listed)
    return (
        templates()
        .get_template("force.html.jinja")
        .render(
            style=style() + Markup((HERE / "force.css").read_text("utf-8")),
            period=period,
            when=period_words(period.start, period.end),
            complete=complete,
            heads=heads,
            rows=[_row(item, leads, floor, _standing(item, some=some)) for item in listed],
            count=count,
            shapes=view.SHAPES,
            targets=", ".join(plain_percent(exact(item)) for item in sorted({row.target for row in listed})),
            floor=plain_percent(floor),
        )
    )


def _standing(found: NeighbourhoodLine, *, some: bool) -> str:
    """Which number it is, where it is not the first; that it is none, where ``some`` are; and whether facts
    that are probably wrong could turn its verdict.
    """
    if found.entry is None:
        said = "counted now" if some else ""
    else:
        said = "" if found.entry.number == 1 else f"number {found.entry.number}"
    return ", ".join(filter(None, (said, "facts in question could turn the verdict" * found.turning)))


def _row(
    found: NeighbourhoodLine, leads: Callable[[str], str] | None, floor: Fraction, said: str
) -> dict[str, Any]:
    figures = found.figures
    reading = view.reading(figures, found.target)
    steps = [view.step(past) for past in found.past]
    [duty] = apportion([figures.duty])
    times = [figures.on_patch, figures.off_patch, figures.not_visible, figures.unknown]
    points = change(found)
    return {
        "line": found,
        "said": said,
        "name": view.short(found.name, 80) or found.area_id,
        "href": leads(found.area_id) if leads else "",
        "reading": reading,
        "verdict_class": charts.CLASSES[reading.verdict],
        "spark": Markup(charts.spark(steps, floor)),
        "times": [time_words(time, said) for time, said in zip(times, divided(times, duty), strict=True)],
        "change": "–" if points is None else f"{points / 10:+.1f}".replace("-", "−") if points else "0.0",
    }
