"""Alerts in the database: episodes as the core left them, and what people said to them.

A shell: it reads and writes; when an alert rings and when it clears is ``stream.core.live.alerts``'s word. To
acknowledge and to snooze never touches an episode's own columns, nor does the core touch theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.core.calendar import microseconds, moment
from stream.core.facts import SECOND
from stream.core.live.alerts import FROM_FACTS, Episode, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stream.store.schema import Connection

KEPT = 30 * 60 * SECOND
"""How long an alert is shown after it cleared, microseconds."""


@dataclass(frozen=True, slots=True)
class Noted:
    """An episode that rang, and what people said to it; times in microseconds."""

    episode: Episode
    acknowledged_at: int | None
    acknowledged_by: str | None
    snoozed_until: int | None
    snoozed_by: str | None


_EPISODE = "alert_id, kind, scope, id, level, text, since, raised, quiet_since, cleared"


def load(connection: Connection) -> Watch:
    """What is watched: the open episodes, those that have not rung among them, and the last observation."""
    found = connection.execute(f"select {_EPISODE} from alert where cleared is null".encode()).fetchall()
    return Watch(observed(connection), tuple(_episode(item) for item in found))


def observed(connection: Connection) -> int | None:
    """When things were last looked at for alerts, by the pipeline's clock; None where they never were."""
    row = connection.execute("select observed from alert_watch").fetchone()
    return None if row is None else _time(row[0])


def save(connection: Connection, before: Watch, after: Watch) -> list[Episode]:
    """Writes what changed, in one transaction; gives the episodes whose ring or clearing it was."""
    known = {item.alert_id: item for item in before.episodes if kept(item)}
    wanted = [item for item in after.episodes if kept(item)]
    changed = [item for item in wanted if known.get(item.alert_id) != item]
    gone = sorted(known.keys() - {item.alert_id for item in wanted})
    with connection.transaction():
        if after.observed is not None:
            connection.execute(
                "insert into alert_watch (observed) values (%s) "
                "on conflict (one) do update "
                "set observed = greatest(alert_watch.observed, excluded.observed)",
                [moment(after.observed)],
            )
        if gone:  # never rang
            connection.execute("delete from alert where alert_id = any(%s) and raised is null", [gone])
        with connection.cursor() as cursor:
            cursor.executemany(
                f"insert into alert ({_EPISODE}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
                "on conflict (alert_id) do update set level = excluded.level, text = excluded.text, "
                "since = excluded.since, raised = excluded.raised, quiet_since = excluded.quiet_since, "
                "cleared = excluded.cleared".encode(),
                [
                    [
                        item.alert_id,
                        item.kind,
                        item.scope,
                        item.id,
                        item.level,
                        item.text,
                        *(None if time is None else moment(time) for time in _times(item)),
                    ]
                    for item in changed
                ],
            )
    return [item for item in changed if told(known.get(item.alert_id)) != told(item)]


def kept(item: Episode) -> bool:
    """Whether an episode is written down: one that has not rung only where no fact tells when it began."""
    return item.raised is not None or item.kind not in FROM_FACTS


def cleared(connection: Connection) -> list[Episode]:
    """The episodes that were over a little before the last observation."""
    found = connection.execute(
        f"select {_EPISODE} from alert, alert_watch where cleared > observed - %s * interval '1 second' "
        "order by cleared".encode(),
        [KEPT // SECOND],
    ).fetchall()
    return [_episode(item) for item in found]


def told(item: Episode | None) -> tuple[object, ...] | None:
    """What others are told of an episode; None while there is nothing to tell."""
    if item is None or item.raised is None:
        return None
    return (item.alert_id, item.text, item.cleared)


def noted(connection: Connection, now: int) -> list[Noted]:
    """The alerts that rang and are open, or cleared not long before now; the newest first."""
    found = connection.execute(
        f"select {_EPISODE}, acknowledged_at, acknowledged_by, snoozed_until, snoozed_by from alert "
        "where raised is not null and (cleared is null or cleared > %s) "
        "order by raised desc, alert_id".encode(),
        [moment(now - KEPT)],
    ).fetchall()
    return [_noted(row) for row in found]


def one(connection: Connection, alert_id: str) -> Noted | None:
    """One alert that rang, None where there is none."""
    row = connection.execute(
        f"select {_EPISODE}, acknowledged_at, acknowledged_by, snoozed_until, snoozed_by from alert "
        "where raised is not null and alert_id = %s".encode(),
        [alert_id],
    ).fetchone()
    return None if row is None else _noted(row)


def acknowledge(connection: Connection, alert_id: str, by: str, now: int) -> Noted | None:
    """Puts on record that somebody has seen it; who was first stays."""
    connection.execute(
        "update alert set acknowledged_at = %s, acknowledged_by = %s "
        "where alert_id = %s and raised is not null and acknowledged_at is null",
        [moment(now), by, alert_id],
    )
    return one(connection, alert_id)


def unacknowledge(connection: Connection, alert_id: str) -> Noted | None:
    """Takes an acknowledgement back, as if nobody had seen the alert yet."""
    connection.execute(
        "update alert set acknowledged_at = null, acknowledged_by = null "
        "where alert_id = %s and raised is not null",
        [alert_id],
    )
    return one(connection, alert_id)


def snooze(connection: Connection, alert_id: str, by: str | None, until: int | None) -> Noted | None:
    """Asks for silence until a time (microseconds); None ends it."""
    connection.execute(
        "update alert set snoozed_until = %s, snoozed_by = %s where alert_id = %s and raised is not null",
        [None if until is None else moment(until), by, alert_id],
    )
    return one(connection, alert_id)


def _times(item: Episode) -> tuple[int | None, ...]:
    return item.since, item.raised, item.quiet_since, item.cleared


def _episode(row: Sequence[object]) -> Episode:
    alert_id, kind, scope, area, level, text = (str(value) for value in row[:6])
    since, raised, quiet_since, ended = (_time(value) for value in row[6:10])
    assert since is not None
    return Episode(alert_id, kind, scope, area, level, text, since, raised, quiet_since, ended)


def _noted(row: Sequence[object]) -> Noted:
    return Noted(
        _episode(row),
        _time(row[10]),
        None if row[11] is None else str(row[11]),
        _time(row[12]),
        None if row[13] is None else str(row[13]),
    )


def _time(value: object) -> int | None:
    found: datetime | None = value  # type: ignore[assignment]
    return None if found is None else microseconds(found)
