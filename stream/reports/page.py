"""A summary as one HTML document: the sergeant's page, and an annex with the details.

Pure: the same summary and links, the same text. Style and drawings stand in it; there is no script and
nothing is loaded. Printed, the part before the annex takes one page of A4.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stream.reports import charts, listing, view
from stream.reports.colours import painted, variables
from stream.reports.grid import PART, SHARE, TEXT, TIME, Table, for_people, texts
from stream.reports.links import Links, href

if TYPE_CHECKING:
    from stream.core.summaries.model import Summary

HERE = Path(__file__).parent

__all__ = ["Links", "html", "laid", "style", "templates"]


@cache
def templates() -> Environment:
    """The templates of summaries."""
    return environment()


def environment(folder: Path = HERE, *extensions: str) -> Environment:
    """An environment for the templates of a folder; whatever comes from outside is escaped."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=extensions,
    )


@cache
def style(name: str = "page.css") -> Markup:
    """The style of a page: the colours, the drawings' classes, the page's own rules."""
    return Markup(variables() + painted(variable=True) + (HERE / name).read_text("utf-8"))


def laid(table: Table, links: Links | None) -> dict[str, Any]:
    """A table as the templates take it: each cell its text, whether it is a number, and where it leads."""
    table = for_people(table)
    numbers = [column.kind != TEXT for column in table.columns]
    rows = []
    for row, said in zip(table.rows, texts(table), strict=True):
        cells = []
        for at, (column, text) in enumerate(zip(table.columns, said, strict=True)):
            leads = href(links, table, row, column, first=not at) if text != "–" else ""
            if column.kind in (TIME, PART, SHARE) and not row.cells[at]:
                leads = ""  # no parts to show
            cells.append((text, numbers[at], leads))
        if links is not None and table.name == "duties":
            text, number, _ = cells[1]
            cells[1] = (text, number, links.duty(row.of[1]))
        rows.append(cells)
    return {
        "name": table.name,
        "title": table.title,
        "heads": [(column.heading, number) for column, number in zip(table.columns, numbers, strict=True)],
        "rows": rows,
        "note": table.note,
        "empty": table.empty,
    }


def html(summary: Summary, links: Links | None = None) -> str:
    """A summary as an HTML document.

    Args:
        summary: the values.
        links: where numbers lead; None in a file.
    """
    found = view.reading(summary.figures, summary.basis.target)
    parts = view.parts(summary)
    by_part = {"off": "off_patch"}
    return (
        templates()
        .get_template("page.html.jinja")
        .render(
            listing.first_page(summary),
            style=style(),
            summary=summary,
            period=view.period_title(summary),
            reading=found,
            verdict_class=charts.CLASSES[found.verdict],
            duty=view.duty_words(summary),
            dense=view.dense(summary),
            compared=view.compared(summary),
            turning=view.turning(summary),
            no_share=view.no_share(summary),
            bar=Markup(charts.share_bar(found).inline()),
            trend=Markup(charts.trend([view.step(past) for past in summary.past]).inline()),
            trend_table=laid(listing.trend_table(summary), links),
            time=Markup(charts.time_bar(parts).inline()),
            parts=[
                (
                    part,
                    Markup(charts.swatch(part.key)),
                    links.time(by_part.get(part.key, part.key)) if links and part.time else "",
                )
                for part in parts
            ],
            heat=Markup(charts.heat(summary.hours, view.days(summary), found.target).inline()),
            hour_names=view.hour_names(summary),
            hour_rows=[
                (day, [(text, _hour_link(links, hour)) for hour, text in cells])
                for day, cells in view.hour_rows(summary)
            ],
            heat_key=HEAT_KEY,
            area_links=[
                (bool(area.figures.visits), links.visits(area) if links else "")
                for area in view.first_areas(summary)[0]
            ],
            crewing=Markup(
                charts.crewing(summary.crewed.single_by_hour, summary.crewed.double_by_hour).inline()
            ),
            crewed=bool(summary.crewed.single or summary.crewed.double),
            annex=[laid(table, links) for table in listing.annex(summary)],
            links=links,
        )
    )


HEAT_KEY = (
    ("heat-1", "under half the target"),
    ("heat-2", "under four fifths of the target"),
    ("heat-3", "below the target"),
    ("heat-open", "unknown time could decide it either way"),
    ("heat-4", "target reached"),
    ("heat-5", "more than halfway from the target to 100%"),
)
"""The colours of the hours in words (``charts.heat_class``)."""


def _hour_link(links: Links | None, hour: Any) -> str:
    return links.hour(hour) if links is not None and hour is not None and hour.duty else ""
