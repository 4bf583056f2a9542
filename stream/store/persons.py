"""What is held on one officer, all of it; and how the name goes while the figures stay.

Reading: every table that names an officer or what they did, as rows. Erasing: in one transaction, in which
nobody counts, a pseudonym takes the place of the id and the name, in published reports too; it is random, and
nothing leads back from it. What comes late under the name is known by a salted hash, and counted under the
pseudonym.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from psycopg.rows import dict_row

from geo.matching.history import FOREVER
from stream.core.pseudonyms import LENGTH
from stream.core.summaries.model import FormError, decode
from stream.store import areas, chunks
from stream.store.holds import holding
from stream.store.reading.instant import fetch, instant, us
from stream.store.reports import counted
from stream.store.veils import digest_of, pseudonym_of

if TYPE_CHECKING:
    from stream.core.facts import Fixes
    from stream.store.schema import Connection

HELD: Final = {
    "officer": "select officer_id from officer where officer_id = %(id)s",
    "duties": "select duty_id, revision, start_at, end_at, until_at, patch, cancelled, name, role, team "
    "from duty "
    "join officer using (officer) where officer_id = %(id)s order by start_at, duty_id",
    "devices": "select duty_id, device_id, kind, a.start_at, a.end_at from allocation a join duty d "
    "using (duty) "
    "join officer using (officer) join device using (device) where officer_id = %(id)s order by "
    "d.start_at, position",
    "revisions": "select duty_id, revision, recorded_at, body::text as body from duty_revision "
    "where body ->> 'officer_id' = %(id)s order by recorded_at, duty_id, revision",
    "states": "select time, state from state join officer using (officer) where officer_id = %(id)s "
    "order by time",
    "slices": "select duty_id, s.start_at, s.end_at, a.name as activity, state, neighbourhood, "
    "premises, priorities, "
    "device_id from slices s join duty d using (duty) join officer o on o.officer = d.officer "
    "join activity a using (activity) left join place using (place) left join device v on v.device = "
    "s.device "
    "where officer_id = %(id)s order by s.start_at",
    "doubts": "select duty_id, k.name as kind, device_id, other, t.start_at, t.end_at from doubt t "
    "join doubt_kind k using (kind) join duty d using (duty) join officer using (officer) "
    "join device v on v.device = t.device where officer_id = %(id)s or t.other = %(id)s order by t.start_at",
    "settled_weeks": "select week, has_share, times from settled where scope = 'officer' and id = "
    "%(id)s order by week",
    "restatements": "select restatement, recorded_at, cause, why, week, before, after from restated "
    "join restatement using (restatement) where scope = 'officer' and id = %(id)s order by restatement, week",
    "alerts": "select alert_id, kind, level, text, since, raised, cleared, acknowledged_by from alert "
    "where (scope = 'officer' and id = %(id)s) or strpos(text, %(id)s) > 0 order by since",
    "reports": "select kind, period, area_id, number, published_at, published_by, document from report "
    "where strpos(convert_from(document, 'UTF8'), '\"' || %(id)s || '\"') > 0 order by published_at",
    "mail": "select recipient, period, area_id, number, state from outbox join report using (report) "
    "where strpos(convert_from(document, 'UTF8'), '\"' || %(id)s || '\"') > 0 order by queued_at",
    "holds": "select hold, duty_id, why, placed_by, placed_at, released_at from hold join duty using "
    "(duty_id) "
    "join officer using (officer) where officer_id = %(id)s order by hold",
    "record": "select entry, at, kind, what, outcome, account, source, why from record_entry "
    "where about && array[%(id)s] order by entry",
    "accounts": "select a.name, a.shown, g.role, a.made_at, a.signed_in_at from access_account a "
    "join access_grant g using (account) where g.officer = %(id)s order by a.name",
}
"""By the name of what it is: the question for it."""


class PersonError(ValueError):
    """It cannot be done; the message says why."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held on an officer.

    Attributes:
        officer_id: whom.
        tables: by name, rows as column and value; times are aware.
        tracks: by duty's id, the positions of each device while it was allocated, by time.
    """

    officer_id: str
    tables: dict[str, list[dict[str, Any]]]
    tracks: dict[str, list[tuple[str, Fixes]]]


def held_on(connection: Connection, officer_id: str) -> Held:
    """Everything held on an officer, as of one instant.

    Raises:
        PersonError: nobody of that id is known.
    """
    with instant(connection):
        cursor = connection.cursor(row_factory=dict_row)
        tables = {
            name: cursor.execute(query.encode(), {"id": officer_id}).fetchall()
            for name, query in HELD.items()
        }
        if not any(tables.values()):
            raise PersonError(f"nothing is held on an officer '{officer_id}': see the bookings for the id")
        windows = fetch(
            connection,
            f"select duty_id, device_id, device, {us('greatest(d.start_at, a.start_at)')}, "
            f"{us('least(d.until_at, a.end_at)')} from allocation a join duty d using (duty) "
            "join officer using (officer) join device using (device) where officer_id = %s "
            "and d.until_at is not null order by d.start_at, position",
            [officer_id],
        )
        keys, low, high = (np.array([row[at] for row in windows], np.int64) for at in (2, 3, 4))
        found = chunks.around(connection, keys, low, np.minimum(high, FOREVER) - 1)
    tracks: dict[str, list[tuple[str, Fixes]]] = {}
    for number, (duty_id, device_id, *_) in enumerate(windows):
        own = found.take(found.device == number)
        if len(own):
            tracks.setdefault(duty_id, []).append((device_id, own))
    return Held(officer_id, tables, tracks)


# ── erasing ───────────────────────────────────────────────────────────────────────────────────────────────


def erase(connection: Connection, officer_id: str, *, why: str, by: str, now: int) -> str:
    """Has a pseudonym take the place of an officer's id and name; gives it. Repeated, it changes nothing.

    Figures, slices and positions stay, under the pseudonym, for as long as retention keeps them. The record
    of who saw what about whom stays as it is: the law asks for it.

    Args:
        connection: outside any transaction.
        officer_id: whose name goes.
        why: the reason, for the record.
        by: who erases.
        now: microseconds; a duty that has not ended then is not erased from.

    Raises:
        PersonError: nobody of that id is known, a duty is on hold or running, or no reason is given.
    """
    if not why.strip():
        raise PersonError("erasing needs a reason: write who asked for it, and when")
    with connection.transaction():
        areas.hold(connection, publishing=True)
        known = pseudonym_of(connection, officer_id)
        if standing := holding(connection, officer_id):
            raise PersonError(
                f"duty {standing[0].duty_id} is on hold ({standing[0].why}): "
                f"release hold {standing[0].hold} first"
            )
        rows = connection.execute(
            "select officer from officer where officer_id = %s", [officer_id]
        ).fetchall()
        if not rows and known is None:
            raise PersonError(f"nothing is held on an officer '{officer_id}': see the bookings for the id")
        running = connection.execute(
            "select duty_id from duty join officer using (officer) where officer_id = %s and not cancelled "
            "and coalesce(until_at, end_at) > from_us(%s) limit 1",
            [officer_id, now],
        ).fetchone()
        if running is not None:
            raise PersonError(f"duty {running[0]} has not ended: an officer who serves is not erased")
        names = {
            str(name)
            for (name,) in connection.execute(
                "select distinct name from duty join officer using (officer) where officer_id = %s "
                "and name is not null union select distinct body ->> 'name' from duty_revision "
                "where body ->> 'officer_id' = %s and body ->> 'name' is not null",
                [officer_id, officer_id],
            ).fetchall()
        }
        pseudonym = known or "erased-" + base64.b32encode(secrets.token_bytes(16)).decode().lower()[:LENGTH]
        if known is None:
            salt = secrets.token_bytes(16)
            connection.execute(
                "insert into erased_person (salt, digest, pseudonym, why, erased_by) values (%s, %s, "
                "%s, %s, %s)",
                [salt, digest_of(salt, officer_id), pseudonym, why, by],
            )
        said = {"id": officer_id, "new": pseudonym}
        for statement in _RENAMED:
            connection.execute(statement.encode(), said)
        _republish(connection, officer_id, names, pseudonym)
    return pseudonym


_RENAMED: Final = (
    "update duty set name = null from officer where officer.officer = duty.officer and officer_id = %(id)s",
    "update officer set officer_id = %(new)s, facts = facts + 1 where officer_id = %(id)s",
    (
        "update duty_revision set body = (body - 'name') || jsonb_build_object('officer_id', %(new)s::text) "
        "where body ->> 'officer_id' = %(id)s"
    ),
    "update settled set id = %(new)s where scope = 'officer' and id = %(id)s",
    "update restated set id = %(new)s where scope = 'officer' and id = %(id)s",
    "update restatement set why = replace(why, %(id)s, %(new)s) where strpos(why, %(id)s) > 0",
    "update restatement_due set officer = %(new)s where officer = %(id)s",
    "update restatement_due set name = %(new)s where kind = 'state' and name = %(id)s",
    "update doubt set other = %(new)s where other = %(id)s",
    "delete from alert where scope = 'officer' and id = %(id)s",
    "delete from access_grant where officer = %(id)s",
)
"""Where an officer's id stands, but for published reports, and the record, which stays."""


def _republish(connection: Connection, officer_id: str, names: set[str], pseudonym: str) -> None:
    """Takes the id and the names out of published reports; their numbers and figures stay."""
    connection.execute("set local patrol.erasing = 'on'")
    words = sorted({officer_id, *names}, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
    rows = connection.execute("select report, document from report").fetchall()
    for number, document in rows:
        text = bytes(document)
        found = msgspec.json.decode(text)
        changed = msgspec.json.encode(_without(found, pattern, pseudonym))
        if changed == msgspec.json.encode(found):
            continue
        try:
            digest: str | None = counted(decode(changed))
        except FormError:
            digest = None  # of another version: its next number is published again in any case
        connection.execute(
            "update report set document = %s, sha256 = %s, figures_sha256 = coalesce(%s, figures_sha256) "
            "where report = %s",
            [changed, hashlib.sha256(changed).hexdigest(), digest, number],
        )


def _without(value: Any, pattern: re.Pattern[str], pseudonym: str) -> Any:
    if isinstance(value, str):
        return pattern.sub(pseudonym, value)
    if isinstance(value, list):
        return [_without(item, pattern, pseudonym) for item in value]
    if isinstance(value, dict):
        return {name: _without(item, pattern, pseudonym) for name, item in value.items()}
    return value
