"""Published summaries: written once under a number, never changed, read again byte for byte.

What a summary holds is said in ``stream.core.summaries.model``, how it is counted elsewhere. A report is
published again, under the next number, only where what is counted in its period has changed (rule 20): not
because it was asked for again, nor because an earlier week, a name or a sentence has. What weeks change to is
on record before they are published; of months it is put there when they are published again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from stream.core.calendar import MONTH, Period, moment
from stream.core.shares import NEIGHBOURHOOD, TOTALS, Figures
from stream.core.summaries.model import FORM, FigureChange, Summary, decode, encode
from stream.store import outbox, records
from stream.store.reading.instant import fetch, us
from stream.store.schema import Lock, lock
from stream.store.settled import NAMED, record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from stream.store.outbox import Letter
    from stream.store.records import Restatement
    from stream.store.schema import Connection

LATER_FACTS = "later facts"
"""The cause of a change that was found by comparing two numbers of a report."""


class ReportError(ValueError):
    """It cannot be published; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A published report without its document.

    Attributes:
        report: its key in the database.
        kind: ``week`` or ``month``; ``period`` is its name, like ``2026-W47``.
        number: 1, and one more whenever what it counts had changed.
        published_at: microseconds since 1970.
        as_of: time of the newest fact within the period; None where there was none.
        figures: the neighbourhood's, as published.
        target: as it was in force.
        sha256: of the document.
    """

    report: int
    kind: str
    period: str
    area_id: str
    area_name: str
    number: int
    published_at: int
    published_by: str
    as_of: int | None
    figures: Figures
    target: float
    sha256: str

    @property
    def verdict(self) -> str | None:
        """``met``, ``missed``, ``not proven``; None where there is no share."""
        return self.figures.verdict(self.target)


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """A summary and where it is from.

    Attributes:
        entry: of the published report; None: it was counted now.
        newest: the newest published number; None: there is none.
        later: what is on record as restated since it was published, the oldest first.
    """

    summary: Summary
    entry: Entry | None = None
    newest: Entry | None = None
    later: tuple[FigureChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing.

    Attributes:
        written: the reports that are new, or have a new number.
        unchanged: how many are unchanged.
    """

    written: tuple[Entry, ...] = ()
    unchanged: int = 0


def counted(summary: Summary) -> str:
    """SHA-256 of what is counted in the period itself: as long as it is the same, the report stays.

    The target, the figures, hours, priority areas, abstraction, crewing and duties go in. Names, sentences,
    tenure, the weeks before, what it rests on and what was restated do not: they follow from other
    facts, or say the same in other words.
    """
    parts: list[Any] = [
        FORM,  # what cannot be read any more is published again
        [summary.period, summary.name, summary.area_id, summary.start, summary.end],
        summary.basis.target,
        times(summary.figures),
        [
            [
                *(hour.start, hour.end, hour.on_patch, hour.priority),
                *(hour.off_patch, hour.not_visible, hour.unknown, hour.on_break),
            ]
            for hour in summary.hours
        ],
        [
            [area.area_id, area.own_time, msgspec.to_builtins(area.figures)]
            for area in sorted(summary.areas, key=lambda area: area.area_id)
        ],
        sorted(
            [item.activity, item.neighbourhood, item.premises, item.state, item.time]
            for item in summary.away
            if item.time
        ),
        msgspec.to_builtins(summary.crewed),
        sorted(
            [officer.officer_id, sorted([duty.duty_id, times(duty.figures)] for duty in officer.duties)]
            for officer in summary.officers
        ),
    ]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def times(figures: Figures) -> list[int]:
    """Figures as reports keep them: as restatements do (``records.times``), but where nothing is doubtful
    that is left out, as in reports from before there was doubt.
    """
    sums = records.times(figures)
    return sums if any(sums[TOTALS:]) else sums[:TOTALS]


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────


def publish(
    connection: Connection,
    summaries: Iterable[Summary],
    *,
    by: str,
    now: int,
    letters: Callable[[Entry, Entry | None], Sequence[Letter]] = lambda *_: (),
) -> Published:
    """Publishes what is new, in one transaction: all of it or, where that fails, none.

    However many do this at once, each report is there once: they come one after another, and whoever comes
    later finds nothing changed.

    Args:
        connection: to the database; what is iterated may use it too, it is read before anything is written.
        summaries: of periods that are over.
        by: who publishes.
        now: the time of publication, microseconds.
        letters: gives for a new report, and the number before it, the letters that go with it.

    Raises:
        ReportError: a period is not over.
    """
    found = list(summaries)
    for summary in found:
        if not summary.complete:
            raise ReportError(
                f"{summary.name} is not over: only a period that is over is published; "
                "look at it without publishing"
            )
    with connection.transaction():
        lock(connection, Lock.REPORTS)
        changed: list[tuple[Summary, str, Entry | None]] = []
        for summary in found:
            digest = counted(summary)
            before = _newest(connection, summary.name, summary.area_id)
            if before is None or before[1] != digest:
                changed.append((summary, digest, None if before is None else before[0]))
        _restate_months(connection, [(summary, known) for summary, _, known in changed if known], by, now)
        written = []
        for summary, digest, known in changed:
            entry = _write(connection, summary, digest, known, by, now)
            outbox.queue(connection, entry.report, letters(entry, known), now)
            written.append(entry)
    return Published(tuple(written), len(found) - len(written))


def _restate_months(
    connection: Connection, again: Sequence[tuple[Summary, Entry]], by: str, now: int
) -> None:
    """Puts on record which figures of months their next number changes (rule 20), and after which changes."""
    months: dict[str, list[tuple[Summary, Entry]]] = defaultdict(list)
    for summary, known in again:
        if summary.period == MONTH and times(summary.figures) != times(known.figures):
            months[summary.name].append((summary, known))
    for name, found in sorted(months.items()):
        since = restated_since(connection, [known for _, known in found])
        record(
            connection,
            records.MONTH_AGAIN,
            None,
            Period.month(name).start,
            by,
            _why_again({item.number: item for items in since.values() for item in items}.values()),
            [
                records.Restated(name, NEIGHBOURHOOD, summary.area_id, known.figures, summary.figures)
                for summary, known in found
            ],
            now,
        )


def _why_again(since: Collection[Restatement]) -> str:
    """The reason of a month's restatement: those of its weeks."""
    if not since:
        return "days of a week that was not settled changed"
    said = [
        f"{item.number} ({item.cause}, {', '.join(sorted({part.week for part in item.restated}))})"
        for item in sorted(since, key=lambda item: item.number)
    ]
    more = f"; and {len(said) - NAMED:,} more" if len(said) > NAMED else ""
    return f"restatements of its weeks since it was published: {'; '.join(said[:NAMED])}{more}"


def _write(
    connection: Connection, summary: Summary, digest: str, before: Entry | None, by: str, now: int
) -> Entry:
    """Writes the next number, with all that was restated since the first on record in it."""
    if before is not None:
        restated = changes(connection, summary.name, summary.area_id, current=summary.figures, by=by, now=now)
        known = {item.number for item in summary.changes}
        new = [item for item in restated if item.number is None or item.number not in known]
        summary = replace(summary, changes=_in_order([*summary.changes, *new]))
    document, figures = encode(summary), summary.figures
    [(report,)] = connection.execute(
        "insert into report (kind, period, start_at, end_at, area_id, area_name, number, published_at, "
        "published_by, as_of, figures, target, share, share_low, share_high, verdict, figures_sha256, "
        "sha256, document) values (" + ", ".join(["%s"] * 19) + ") returning report",
        [
            *(summary.period, summary.name, moment(summary.start), moment(summary.end)),
            *(summary.area_id, summary.area_name, 1 if before is None else before.number + 1),
            *(moment(now), by, None if summary.basis.as_of is None else moment(summary.basis.as_of)),
            *(times(figures), summary.basis.target, figures.share, figures.share_low, figures.share_high),
            *(summary.verdict, digest, hashlib.sha256(document).hexdigest(), document),
        ],
    ).fetchall()
    [entry] = _entries(connection, "report = %s", [report])
    return entry


def runs(connection: Connection, due: int, weeks: Sequence[str]) -> tuple[set[str], set[str]]:
    """Which of some weeks the timer is done with: ever, and for a time that was due (microseconds)."""
    [(ever, now)] = connection.execute(
        "select array_agg(distinct week), array_agg(distinct week) filter (where due = %s) "
        "from report_run where week = any(%s)",
        [moment(due), list(weeks)],
    ).fetchall()
    return set(ever or ()), set(now or ())


def note_run(connection: Connection, due: int, week: str, now: int, published: int) -> None:
    """Notes that the timer is done with a week for a time that was due (microseconds)."""
    connection.execute(
        "insert into report_run (due, week, finished_at, published) values (%s, %s, %s, %s) "
        "on conflict do nothing",
        [moment(due), week, moment(now), published],
    )


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


def numbers(connection: Connection, period: str, area_id: str) -> list[Entry]:
    """All numbers of a report, the first first."""
    return _entries(connection, "period = %s and area_id = %s order by number", [period, area_id])


def listing(connection: Connection, period: str) -> list[Entry]:
    """The newest number of every neighbourhood's report of a period, by ``area_id``."""
    return _entries(
        connection,
        "report in (select distinct on (area_id) report from report where period = %s "
        'order by area_id, number desc) order by area_id collate "C"',
        [period],
    )


def months(connection: Connection) -> list[str]:
    """The months of which any neighbourhood's report is published, the newest first."""
    found = connection.execute(
        r"select distinct period from report where period ~ '^\d{4}-\d\d$' order by period desc"
    )
    return [str(name) for (name,) in found.fetchall()]


def editions(connection: Connection, period: str) -> list[Entry]:
    """All numbers of all neighbourhoods' reports of a period, in the order of their publication."""
    return _entries(connection, 'period = %s order by published_at, area_id collate "C", number', [period])


def restated_since(connection: Connection, entries: Sequence[Entry]) -> dict[str, list[Restatement]]:
    """Which weeks of a month were restated since its reports were published, by neighbourhood (rule 20).

    Only neighbourhoods of which any was. A week at the month's beginning or end has days of another month
    too, so the month's own figure may be as it was.

    Args:
        connection: to the database.
        entries: numbers of a month's reports, one of each neighbourhood.
    """
    if not entries:
        return {}
    recorded = records.restatements(
        connection,
        since=min(item.published_at for item in entries),
        periods=Period.called(entries[0].period).weeks,
        neighbourhoods=[item.area_id for item in entries],
    )
    found = {}
    for entry in entries:
        later = [
            replace(item, restated=mine, figures=len(mine))
            for item in recorded
            if item.recorded_at > entry.published_at
            and (mine := tuple(part for part in item.restated if part.id == entry.area_id))
        ]
        if later:
            found[entry.area_id] = later
    return found


def document(connection: Connection, period: str, area_id: str, number: int | None = None) -> bytes | None:
    """A report as it was published, byte for byte; the newest number where none is given.

    Returns:
        None where there is no such report.
    """
    row = connection.execute(
        "select document from report where period = %s and area_id = %s and (%s::int is null or number = %s) "
        "order by number desc limit 1",
        [period, area_id, number, number],
    ).fetchone()
    return None if row is None else bytes(row[0])


def read(connection: Connection, period: str, area_id: str, number: int | None = None) -> Summary | None:
    """A report as it was published; the newest number where none is given.

    Returns:
        None where there is no such report.

    Raises:
        FormError: it was published by a program with another form of summaries.
    """
    found = document(connection, period, area_id, number)
    return None if found is None else decode(found)


def reported(connection: Connection, period: str, area_id: str, number: int | None = None) -> Reported | None:
    """A report as it was published, with what became of it; the newest number where none is given.

    Returns:
        None where there is no such report.

    Raises:
        FormError: it was published by a program with another form of summaries.
    """
    published = numbers(connection, period, area_id)
    entry = next((item for item in reversed(published) if number in (None, item.number)), None)
    if entry is None:
        return None
    summary = read(connection, period, area_id, entry.number)
    assert summary is not None
    restated = changes(connection, period, area_id, published=published)
    later = tuple(item for item in restated if item.recorded_at > entry.published_at)
    return Reported(summary, entry, published[-1], later)


def changes(
    connection: Connection,
    period: str,
    area_id: str,
    *,
    published: Sequence[Entry] | None = None,
    current: Figures | None = None,
    by: str = "",
    now: int = 0,
) -> tuple[FigureChange, ...]:
    """The changes of a neighbourhood's figure since it was first published, the oldest first (rule 20).

    Restatements on record (of weeks), and every difference between one number and the next that those do
    not account for. Without a publication: what was restated after the period was over.

    Args:
        connection: to the database.
        period: its name, like ``2026-W47`` or ``2026-11``.
        area_id: the neighbourhood.
        published: all its numbers, where the caller has read them.
        current: the figure as counted now; where it differs from the newest number, that is a change too.
        by: who compares.
        now: when, microseconds.

    Raises:
        ValueError: there is no such period.
    """
    if published is None:
        published = numbers(connection, period, area_id)
    whole = Period.called(period)
    since = published[0].published_at if published else whole.end
    recorded = [
        item for item in recorded_changes(connection, whole, [area_id])[area_id] if item.recorded_at >= since
    ]
    steps = [(item.published_at, item.published_by, item.figures) for item in published]
    if published and current is not None:
        steps.append((now, by, current))
    compared = []
    for (low, _, before), (high, who, after) in pairwise(steps):
        within = [item for item in recorded if low <= item.recorded_at <= high]
        if times(before) != times(after) and not _accounts(within, before, after):
            compared.append(
                FigureChange(
                    number=None,
                    recorded_at=high,
                    cause=LATER_FACTS,
                    by=who,
                    why="",
                    before=before,
                    after=after,
                )
            )
    return _in_order([*recorded, *compared])


def _in_order(found: Iterable[FigureChange]) -> tuple[FigureChange, ...]:
    return tuple(sorted(found, key=lambda item: (item.recorded_at, item.number or 0)))


def recorded_changes(
    connection: Connection, period: Period, area_ids: Sequence[str]
) -> dict[str, list[FigureChange]]:
    """Restatements on record of neighbourhoods' figures of a week (rule 20), the oldest first."""
    found: dict[str, list[FigureChange]] = {area_id: [] for area_id in area_ids}
    for area_id, number, at, cause, by, why, *figures in fetch(
        connection,
        f"select id, restatement, {us('recorded_at')}, cause, recorded_by, why, before, after "
        "from restated join restatement using (restatement) "
        "where week = %s and scope = %s and id = any(%s) order by restatement",
        [period.name, NEIGHBOURHOOD, list(area_ids)],
    ):
        before, after = (
            None
            if row is None
            else records.figures_on_record(row, NEIGHBOURHOOD, area_id, period.start, period.end)
            for row in figures
        )
        found[area_id].append(
            FigureChange(
                number=number, recorded_at=at, cause=cause, by=by, why=why, before=before, after=after
            )
        )
    return found


def _accounts(recorded: Sequence[FigureChange], before: Figures, after: Figures) -> bool:
    """Whether restatements lead from one figure to the other without a gap."""
    chain = [before]
    for item in recorded:
        if item.before is None or item.after is None or times(item.before) != times(chain[-1]):
            return False
        chain.append(item.after)
    return times(chain[-1]) == times(after)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = (
    f"report, kind, period, area_id, area_name, number, {us('published_at')}, published_by, {us('as_of')}, "
    f"figures, target, sha256, figures_sha256, {us('start_at')}, {us('end_at')}"
)


def _newest(connection: Connection, period: str, area_id: str) -> tuple[Entry, str] | None:
    """The newest number, and the SHA-256 of what it counts."""
    where = "period = %s and area_id = %s order by number desc limit 1"
    return next(iter(_rows(connection, where, [period, area_id])), None)


def _entries(connection: Connection, where: str, values: Sequence[object]) -> list[Entry]:
    return [entry for entry, _ in _rows(connection, where, values)]


def _rows(connection: Connection, where: str, values: Sequence[object]) -> Iterator[tuple[Entry, str]]:
    for *said, sums, target, sha256, digest, start, end in fetch(
        connection, f"select {_COLUMNS} from report where {where}", values
    ):
        figures = records.figures_on_record(sums, NEIGHBOURHOOD, said[3], start, end)
        yield Entry(*[*said, figures, target, sha256]), digest
