"""How long summaries take over a whole force's quarter: ``python -m tests.bench.bench_reports``.

2,700 officers, 171 neighbourhoods, thirteen weeks (``tests.bench.record``), filled once. Then one page, from
the question to the last byte of HTML; then a Monday's work, all neighbourhoods' summaries and their files. Of
three neighbourhoods, drawn by lot, every number is counted again by the oracle; one that differs ends the
measurement. Wall clock, the database on the same machine.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from stream.core.calendar import Period
from stream.core.policy import Policies
from stream.core.summaries.model import encode
from stream.embedded import EmbeddedDatabase
from stream.reports import page, pdf, tables, workbook
from stream.store.reading.summaries import summaries
from stream.store.schema import connect
from tests.bench import Row, show
from tests.bench.record import fill
from tests.oracle.reading import differences, parts_that_do_not_add_up
from tests.oracle.summaries import recount

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.core.summaries.model import Summary
    from stream.store.schema import Connection

OFFICERS, WEEKS = 2_700, 13
WEEK, MONTH = "2026-W47", "2026-10"
PAGES = 12
NOW = Period.week(WEEK).end

FILES: dict[str, Callable[[Summary], bytes | str | dict[str, bytes]]] = {
    "stored form": encode,
    "HTML": page.html,
    "PDF": pdf.pdf,
    "XLSX": workbook.xlsx,
    "CSV": tables.tables,
}


def counted(connection: Connection, name: str, area_ids: list[str] | None = None) -> list[Summary]:
    """Summaries of a period."""
    period = Period.named("week" if "W" in name else "month", name)
    return list(summaries(connection, Policies(), period, area_ids=area_ids, now=NOW))


def one_page(connection: Connection, wards: list[str]) -> list[Row]:
    """A week of one neighbourhood, again and again, another each time."""
    took = []
    for ward in wards:
        began = time.monotonic()
        [found] = counted(connection, WEEK, [ward])
        middle = time.monotonic()
        page.html(found)
        took.append((time.monotonic() - began, middle - began))
    whole, count = np.array(took).T * 1000
    note = f"{len(wards)} neighbourhoods one by one; {np.median(count):.0f} ms of it counting"
    return [
        Row("one weekly page, median", float(np.median(whole)), "ms", note),
        Row("  the slowest", float(whole.max()), "ms"),
    ]


def everything(connection: Connection) -> list[Row]:
    """All neighbourhoods of a month, and of a week with their files."""
    rows = []
    for name in (MONTH, WEEK):
        began = time.monotonic()
        found = counted(connection, name)
        spent = time.monotonic() - began
        rows.append(
            Row(
                f"{len(found)} summaries of {name}",
                spent,
                "s",
                f"{each(spent, found)}, the database's work in it",
            )
        )
    whole = spent
    for kind, make in FILES.items():
        began, busy = time.monotonic(), time.process_time()
        made = [make(item) for item in found]
        spent, busy = time.monotonic() - began, time.process_time() - busy
        whole += spent
        size = sum(len(part) for one in made for part in (one.values() if isinstance(one, dict) else (one,)))
        note = f"{busy:.1f} s of processor time, {each(busy, found)}, {size / 1e6:.1f} MB"
        rows.append(Row(f"  as {kind}", spent, "s", note))
    return [*rows, Row("  the week's summaries and all files", whole, "s", "one process")]


def each(spent: float, found: list[Summary]) -> str:
    """How long one takes."""
    return f"{spent / len(found) * 1000:.0f} ms each"


def checked(connection: Connection, name: str, wards: list[str]) -> None:
    """Holds summaries against the oracle."""
    for ward in wards:
        [found] = counted(connection, name, [ward])
        past, before = len(found.past) - 1, 4 if found.period == "week" else 1
        rules = recount(connection, Policies(), name, ward, now=NOW, past=past, before=before)
        if lines := differences(rules, found) + parts_that_do_not_add_up(found):
            told = "\n".join(line[:200] for line in lines[:20])
            sys.exit(f"{name} {ward} differs from the oracle:\n{told}")


def run(officers: int = OFFICERS) -> list[Row]:
    """Fills a database of its own, and measures."""
    chance = np.random.default_rng(7)
    with EmbeddedDatabase() as server, connect(server.dsn, name="bench") as connection:
        began = time.monotonic()
        where, wards = fill(connection, officers=officers, weeks=WEEKS)
        filled = time.monotonic() - began
        [(duties, slices, stays)] = connection.execute(
            "select (select count(*) from duty), (select count(*) from slice), (select count(*) from stay)"
        ).fetchall()
        note = f"{where}, {officers:,} officers, {duties:,} duties, {slices:,} slices, {stays:,} stays"
        rows = [Row("filling the record", filled, "s", note)]
        drawn = chance.choice(sorted(wards), PAGES, replace=False).tolist()
        rows += one_page(connection, drawn)
        rows += everything(connection)
        print(show(rows), flush=True)  # what was measured is worth showing even if the comparison fails
        began = time.monotonic()
        checked(connection, WEEK, drawn[:3])
        checked(connection, MONTH, drawn[:1])
    return [Row("the oracle on four of them: all numbers equal", time.monotonic() - began, "s")]


if __name__ == "__main__":
    print(show(run(*(int(word) for word in sys.argv[1:]))))
