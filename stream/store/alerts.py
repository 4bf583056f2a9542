"""Alerts in the database: the core's episodes, with acknowledgements and snoozes.

It reads and writes; when an alert is raised and when it clears is decided in ``stream.core.live.alerts``.
Acknowledging and snoozing never touch an episode's own columns, nor does the core touch theirs.
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
    """An episode that was raised, with its acknowledgement and snooze; times in microseconds."""

    episode: Episode
    acknowledged_at: int | None
    acknowledged_by: str | None
    snoozed_until: int | None
    snoozed_by: str | None


_EPISODE = "alert_id, kind, scope, id, level, text, since, raised, quiet_since, cleared"


def load(connection: Connection) -> Watch:
    """What is watched: the open episodes, including those not raised yet, and the last observation."""
    found = connection.execute(f"select {_EPISODE} from alert where cleared is null".encode()).fetchall()
    return Watch(observed(connection), tuple(_episode(item) for item in found))


def observed(connection: Connection) -> int | None:
    """When the watch last looked for alerts, by the pipeline's clock; None if never."""
    row = connection.execute("select observed from alert_watch").fetchone()
    return None if row is None else _time(row[0])


def save(connection: Connection, before: Watch, after: Watch) -> list[Episode]:
    """Writes what changed, in one transaction; returns the episodes that were raised or cleared."""
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
        if gone:  # never raised
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
    """Whether an episode is stored: one not raised yet only where no fact tells when it began."""
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
    """The part of an episode that is published; None while there is nothing to publish."""
    if item is None or item.raised is None:
        return None
    return (item.alert_id, item.text, item.cleared)


def noted(connection: Connection, now: int) -> list[Noted]:
    """The raised alerts that are open, or cleared not long before now; the newest first."""
    found = connection.execute(
        f"select {_EPISODE}, acknowledged_at, acknowledged_by, snoozed_until, snoozed_by from alert "
        "where raised is not null and (cleared is null or cleared > %s) "
        "order by raised desc, alert_id".encode(),
        [moment(now - KEPT)],
    ).fetchall()
    return [_noted(row) for row in found]


def one(connection: Connection, alert_id: str) -> Noted | None:
    """One raised alert, None where there is none."""
    row = connection.execute(
        f"select {_EPISODE}, acknowledged_at, acknowledged_by, snoozed_until, snoozed_by from alert "
        "where raised is not null and alert_id = %s".encode(),
        [alert_id],
    ).fetchone()
    return None if row is None else _noted(row)


def acknowledge(connection: Connection, alert_id: str, by: str, now: int) -> Noted | None:
    """Records that somebody has seen it; the first name stays."""
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
    """Snoozes it until a time (microseconds); None ends that."""
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
