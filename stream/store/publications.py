"""Publishing boundaries and taking them back, with everything affected recounted and recorded.

One transaction a publication. While it runs nothing is counted, so no second is counted under both
versions or under neither; as soon as it is committed, every worker's next batch uses the new version
(``areas.newest``). Its effect on figures already counted is a *restatement* (rule 20): what changed, when,
why, and each week's figures before and after. A dry run does all of it, and rolls it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict, Unpack

import psycopg

from geo.areas import AreaSet, Kind
from stream.store import areas, settled
from stream.store.doubts import judge_within
from stream.store.ledger import Ledger
from stream.store.reading.live import newest_event
from stream.store.records import PUBLISHED, WITHDRAWN
from stream.store.week_figures import difference, week_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stream.store.records import Restated
    from stream.store.schema import Connection


class PublicationError(ValueError):
    """A publication that is refused; the message says what to do."""


class Decision(TypedDict, total=False):
    """Who decides on boundaries, and how far it goes.

    Attributes:
        by: who publishes or takes back.
        why: the reason; needed where figures change that were counted already.
        now: microseconds; the week that it lies in is counted up to here.
        dry_run: take everything back in the end; False where it is not said.
    """

    by: Required[str]
    why: Required[str | None]
    now: Required[int]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """The result of a publication, or of taking one back.

    Attributes:
        versions: the versions published or withdrawn.
        since: from when on everything was recounted, microseconds.
        devices: how many devices had fixes after that.
        restatement: its number in the records; None where no figure changed.
        restated: the figures that changed, by week, scope and id.
    """

    versions: tuple[int, ...]
    since: int
    devices: int
    restatement: int | None
    restated: tuple[Restated, ...]


def publish(
    connection: Connection,
    found: AreaSet,
    valid_from: int,
    *,
    file: str,
    sha256: str,
    findings: Sequence[Mapping[str, object]] = (),
    **decision: Unpack[Decision],
) -> Publication:
    """Publishes areas, a version for each kind among them, and recounts what they affect.

    Args:
        connection: to the database.
        found: the areas.
        valid_from: when they come into force, microseconds.
        file: the name of the file they came from.
        sha256: of the file.
        findings: what the checks said, as rows.
        decision: see ``Decision``.

    Raises:
        PublicationError: there are no areas, or figures change and no reason was given; nothing was written.
    """
    kinds = [kind for kind in Kind if kind in found.kind]
    if not kinds:
        raise PublicationError(f"{file}: has no areas that could be published")

    def write() -> tuple[int, ...]:
        numbers = []
        for kind in kinds:
            number = areas.publish(
                connection, found, kind, valid_from, file=file, sha256=sha256, by=decision["by"]
            )
            rows = [row for row in findings if row.get("kind") in (None, kind.value)]
            connection.execute(
                "update area_version set why = %s, findings = %s::jsonb where version = %s",
                [decision["why"], json.dumps(rows, ensure_ascii=False), number],
            )
            numbers.append(number)
        return tuple(numbers)

    return _carry_out(connection, write, valid_from, PUBLISHED, **decision)


def withdraw(connection: Connection, kind: Kind | None = None, **decision: Unpack[Decision]) -> Publication:
    """Takes the newest version (of one kind, or of all) back: it stays readable, and counts for nothing.

    Args:
        connection: to the database.
        kind: which kind's newest version.
        decision: see ``Decision``.

    Raises:
        PublicationError: there is no version to take back, or figures change and no reason was given.
    """
    with connection.transaction():
        areas.hold(connection, publishing=True)
        chosen = [item for item in areas.versions(connection) if kind is None or item.kind == kind]
        if not chosen:
            of = f" of kind {kind}" if kind else ""
            raise PublicationError(f"there is no version{of} to take back; see 'patrol areas list --all'")
        last = chosen[-1]

        def write() -> tuple[int, ...]:
            # The wall clock: two versions withdrawn in one transaction must not look like one.
            connection.execute(
                "update area_version set withdrawn = clock_timestamp(), withdrawn_by = %s, "
                "withdrawn_why = %s where version = %s",
                [decision["by"], decision["why"], last.version],
            )
            return (last.version,)

        return _carry_out(connection, write, last.valid_from, WITHDRAWN, **decision)


def _carry_out(
    connection: Connection,
    write: Callable[[], tuple[int, ...]],
    since: int,
    cause: str,
    **decision: Unpack[Decision],
) -> Publication:
    """Figures before; the change; everything recounted; figures after; the record."""
    by, why, dry_run = decision["by"], decision["why"], decision.get("dry_run", False)
    with connection.transaction() as transaction:
        areas.hold(connection, publishing=True)
        until = max(decision["now"], newest_event(connection))
        judge_within(connection)  # what later facts brought is not this publication's
        settled.restate_within(connection)
        before = week_figures(connection, since, until)
        last = _last_number(connection)
        versions = write()
        devices = Ledger(connection).recount(since)
        judge_within(connection)
        after = week_figures(connection, since, until)
        restated = tuple(difference(before, after))
        if restated and not why and not dry_run:
            _give_back(connection, last)
            weeks = sorted({item.week for item in restated})
            raise PublicationError(
                f"{len(restated):,} figures of {_listed(weeks)} would change: say why with --why TEXT "
                "(--dry-run shows them)"
            )
        number = None
        if restated and not dry_run:
            number = settled.record(connection, cause, versions[0], since, by, why or "", restated)
        outcome = Publication(versions, since, devices, number, restated)
        if dry_run:
            _give_back(connection, last)
            raise psycopg.Rollback(transaction)
    return outcome


def _last_number(connection: Connection) -> tuple[int, bool]:
    row = connection.execute("select last_value, is_called from area_version_version_seq").fetchone()
    assert row is not None
    return int(row[0]), bool(row[1])


def _give_back(connection: Connection, last: tuple[int, bool]) -> None:
    """An attempt that fails uses up no numbers: a sequence does not roll back, and nobody else uses it."""
    connection.execute("select setval('area_version_version_seq', %s, %s)", list(last))


def _listed(weeks: Sequence[str]) -> str:
    return f"week {weeks[0]}" if len(weeks) == 1 else f"the {len(weeks)} weeks {weeks[0]} to {weeks[-1]}"
