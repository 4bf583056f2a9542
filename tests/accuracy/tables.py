"""The results as lines of CSV and as tables for people. Nothing is measured or drawn here."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Final

from tests.accuracy.methods import METHODS, OURS
from tests.accuracy.scores import (
    BOUNDS,
    IN_AREA,
    JOINED,
    ON_PATCH,
    OUTSIDE,
    UNKNOWN,
    VISIT_TIME,
    VISITS,
    WIDTH,
    WITHIN,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

BEGIN: Final = "<!-- results, made by `make accuracy ARGS=--write` -->\n"
END: Final = "<!-- end of results -->\n"

TITLES: Final = {
    ON_PATCH: "Minutes on patch, an officer's shift",
    IN_AREA: "Minutes in a priority area 150 m across, an officer's shift",
    VISITS: "Number of visits to a priority area, an officer's shift",
    VISIT_TIME: "Minutes of visits to a priority area, an officer's shift",
}
LABELS: Final = {method.name: method.label for method in METHODS} | {
    method.name + JOINED: f"{method.label}, absences joined" for method in METHODS
}
_BOUNDS: Final = {
    WITHIN: "true share within the bounds",
    OUTSIDE: "how far outside, percentage points: mean, 95th percentile",
    WIDTH: "their width, percentage points: median, 95th percentile",
    UNKNOWN: "unknown, minutes: median, 95th percentile",
}


def to_csv(rows: Iterable[Row]) -> str:
    """One line a row under the names of its columns."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(Row))
    table.writerows(astuple(row) for row in rows)
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """What ``to_csv`` wrote."""
    return [
        Row(
            float(each["interval_s"]),
            each["figure"],
            each["method"],
            int(each["count"]),
            *(float(each[name]) for name in ("median", "mean", "p95", "bias", "exact")),
        )
        for each in csv.DictReader(io.StringIO(text))
    ]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows by figure, method and interval, as the tables have them."""
    figures, methods = [*TITLES, *BOUNDS], list(LABELS)
    return sorted(
        rows, key=lambda row: (figures.index(row.figure), methods.index(row.method), row.interval_s)
    )


def markdown(rows: Sequence[Row]) -> str:
    """The tables of a README: a line for each method, a column for each interval."""
    at = {(row.figure, row.method, row.interval_s): row for row in rows}
    intervals = sorted({row.interval_s for row in rows})
    parts = []
    for figure, title in TITLES.items():
        number = figure == VISITS
        says = "mean error, share of exact numbers" if number else "median and 95th percentile of the error"
        show = _number if number else _minutes
        names = [name for name in LABELS if any((figure, name, each) in at for each in intervals)]
        lines = [(LABELS[name], [at.get((figure, name, each)) for each in intervals]) for name in names]
        counts = [at.get((figure, names[0], each)) for each in intervals] if names else []
        parts.append(f"**{title}** ({says})\n\n{_table(intervals, lines, show, counts)}")
    lines = [
        (label, [at.get((figure, OURS, each)) for each in intervals]) for figure, label in _BOUNDS.items()
    ]
    if any(row for _, cells in lines for row in cells):
        title = "**The bounds of this project's share, an officer's shift** (rule 14)"
        parts.append(f"{title}\n\n{_table(intervals, lines, _bound, [])}")
    return "\n".join(parts)


def _table(
    intervals: Sequence[float],
    lines: Sequence[tuple[str, Sequence[Row | None]]],
    show: Callable[[Row], str],
    counts: Sequence[Row | None],
) -> str:
    head = ["", *(f"{interval:g} s" for interval in intervals)]
    body = [[label, *(show(row) if row else "" for row in cells)] for label, cells in lines]
    if counts:
        body.append(["*measured on*", *(f"*{row.count}*" if row else "" for row in counts)])
    table = [head, ["---", *("---:" for _ in intervals)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def _minutes(row: Row) -> str:
    return f"{row.median:.2f}, {row.p95:.2f}"


def _number(row: Row) -> str:
    return f"{row.mean:.2f}, {100 * row.exact:.0f}%"


def _bound(row: Row) -> str:
    if row.figure == WITHIN:
        return f"{100 * row.mean:.1f}%"
    return f"{row.mean if row.figure == OUTSIDE else row.median:.2f}, {row.p95:.2f}"


def put_in(readme: str, tables: str) -> str:
    """A README with its tables replaced.

    Raises:
        ValueError: the marks that hold them are not there.
    """
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"the README has no lines {BEGIN.strip()} and {END.strip()} to put tables between")
    before, rest = readme.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END, 1)[1]}"
