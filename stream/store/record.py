"""The record of who saw, changed, passed on and deleted what about whom, and of who came in.

Section 62 of the Data Protection Act 2018 asks for it: collection, alteration, consultation, disclosure,
combination and erasure, with the time and, as far as possible, who it was. Entries are added and never
changed (the database refuses it); each hash covers the entry and the hash before it, so that ``verify`` finds
what was changed, left out or put in another order by somebody who can do all the same. What was cut from the
end shows against the newest entry as it was noted down elsewhere (``Anchor``). An entry never holds a
position.

An entry is added in a transaction of its own, before what it tells of is shown or done: the writers wait for
one another, until each has committed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from psycopg.rows import class_row

from stream.store.reading.instant import us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stream.store.schema import Connection


class Kind(StrEnum):
    """What was done. The first six are those of the Act."""

    COLLECTION = "collection"
    ALTERATION = "alteration"
    CONSULTATION = "consultation"
    DISCLOSURE = "disclosure"
    """Files with personal data that leave: exports, reports, mail."""
    COMBINATION = "combination"
    ERASURE = "erasure"
    SIGN_IN = "sign-in"
    """Somebody signed in or out, or could not."""
    ACCOUNT = "account"
    """Accounts, roles and tokens were given, changed or taken away."""
    SETTING = "setting"
    """Boundaries, policies and settings were changed."""
    PUBLICATION = "publication"
    """Figures without persons were published."""


class Outcome(StrEnum):
    """What became of it."""

    DONE = "done"
    REFUSED = "refused"
    """Whoever asked may not."""
    FAILED = "failed"


ANYBODY: Final = "*"
"""In place of officers: it may concern any of them."""

THE_RECORD: Final = "the record"
"""What an entry of the kind erasure is called that says up to where the record itself was deleted."""

MOST_TEXT: Final = 200
"""The most characters of a name, an address or what was done."""
MOST_WHY: Final = 2000
"""The most characters of a purpose, and of a value of the details."""

_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Detail = str | int | bool | list[str]
"""A detail. There are no fractions among them, so that no coordinate can stand there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be put on record.

    Attributes:
        kind: what was done.
        what: the page, path, command or event: ``duty``, ``patrol export``, ``signed in``.
        account: who; ``server:NAME`` for whoever works at the server itself.
        means: how they showed who they are: ``session``, ``token``, ``demonstration``, ``command``, ``none``.
        source: from where: an address, a host's name.
        about: the officers' ids whom it concerns; ``ANYBODY``: any of them.
        why: the purpose, where one was asked for.
        details: what else there is to say, without positions.
        outcome: what became of it.
    """

    kind: Kind
    what: str
    account: str
    means: str
    source: str = ""
    about: tuple[str, ...] = ()
    why: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)
    outcome: Outcome = Outcome.DONE


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as it stands on record.

    Attributes:
        entry: its number, from 1 on and without gaps.
        at: when, by the database's clock, microseconds.
        details: JSON.
        db_role: the database's role that added it.
        previous: the hash of the entry before it.
        hash: SHA-256 over ``previous`` and the rest.
    """

    entry: int
    at: int
    kind: str
    what: str
    outcome: str
    account: str
    means: str
    source: str
    about: Sequence[str]
    why: str | None
    details: str
    db_role: str
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry's number and hash, as somebody noted them down: the record up to it has to stay as it was."""

    entry: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.entry} {self.hash.hex()}"

    @classmethod
    def read(cls, text: str) -> Anchor:
        """The anchor that a line says, as ``patrol audit head`` prints it.

        Raises:
            ValueError: it says none.
        """
        found = re.fullmatch(r"\s*([0-9]{1,18}) ([0-9a-f]{64})(?: .*)?\s*", text)
        if found is None:
            raise ValueError(f"{text.strip()[:80]!r} is no line of 'patrol audit head'")
        return cls(int(found[1]), bytes.fromhex(found[2]))


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look through the whole record found.

    Attributes:
        entries: how many there are.
        first: the oldest one's number; None where there is none.
        head: the newest one; None where there is none.
        broken: what does not fit first, in a sentence; None: it is whole.
        at: the number of the entry that does not fit.
    """

    entries: int
    first: int | None
    head: Anchor | None
    broken: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries are wanted; None: any.

    Attributes:
        about: an officer's id; entries about anybody are among them.
        text: in what was done, the purpose or the details, in any case of letters.
        since: microseconds, inclusive.
        until: microseconds, exclusive.
        before: only entries with a lower number.
    """

    kind: str | None = None
    what: str | None = None
    outcome: str | None = None
    account: str | None = None
    about: str | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None


# ── Adding ────────────────────────────────────────────────────────────────────────────────────────────────


def add(connection: Connection, *entries: Entry) -> None:
    """Puts entries on record, in this order and all or none.

    Outside a transaction, or last in one: whoever else adds to the record waits until it is committed.

    Raises:
        psycopg.Error: they could not be put there; what they tell of must not be shown or done then.
    """
    if not entries:
        return
    values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, %s)"] * len(entries))
    connection.execute(
        "insert into record_entry (kind, what, outcome, account, means, source, about, why, details) "
        f"values {values}".encode(),
        [value for item in entries for value in _values(item)],
    )


def _values(item: Entry) -> list[object]:
    details = {plain(name): _detail(value) for name, value in sorted(item.details.items())}
    return [
        item.kind.value,
        plain(item.what) or "-",
        item.outcome.value,
        plain(item.account) or "-",
        plain(item.means),
        plain(item.source),
        [plain(name) for name in dict.fromkeys(item.about)],
        None if item.why is None else plain(item.why, MOST_WHY),
        msgspec.json.encode(details).decode(),
    ]


def _detail(value: Detail) -> Detail:
    if isinstance(value, str):
        return plain(value, MOST_WHY)
    if isinstance(value, list):
        return [plain(item, MOST_WHY) for item in value]
    if not isinstance(value, int):
        raise TypeError(f"a detail on record is a text, a whole number or a list of texts, not {value!r}")
    return value


def plain(text: str, most: int = MOST_TEXT) -> str:
    """A text that may come from anybody, in one line, without what cannot be seen, and not too long."""
    return _UNSEEN.sub("�", text)[:most]


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS: Final = (
    f"entry, {us('at')} as at, kind, what, outcome, account, means, source, about, why, "
    "details::text as details, db_role, previous, hash"
)

_WANTED: Final = (
    "(%(kind)s::text is null or kind = %(kind)s) and (%(what)s::text is null or what = %(what)s) "
    "and (%(outcome)s::text is null or outcome = %(outcome)s) "
    "and (%(account)s::text is null or account = %(account)s) "
    "and (%(about)s::text is null or about && array[%(about)s, '*']) "
    "and (%(text)s::text is null "
    "or position(lower(%(text)s) in lower(concat_ws(' ', what, why, details))) > 0) "
    "and (%(since)s::int8 is null or at >= from_us(%(since)s)) "
    "and (%(until)s::int8 is null or at < from_us(%(until)s)) "
    "and (%(before)s::int8 is null or entry < %(before)s)"
)


def search(connection: Connection, wanted: Search, limit: int | None = 100) -> list[Recorded]:
    """Entries of the record, the newest first.

    Args:
        connection: to the database.
        wanted: which.
        limit: how many at most; None: all.
    """
    values = {name: getattr(wanted, name) for name in Search.__slots__} | {"limit": limit}
    return (
        connection.cursor(row_factory=class_row(Recorded), binary=True)
        .execute(
            f"select {_COLUMNS} from record_entry where {_WANTED} "
            "order by entry desc limit %(limit)s".encode(),
            values,
        )
        .fetchall()
    )


def head(connection: Connection) -> Anchor | None:
    """The newest entry, to be noted down elsewhere; None where there is none."""
    found = connection.execute("select entry, hash from record_entry order by entry desc limit 1").fetchone()
    return None if found is None else Anchor(*found)


@dataclass(frozen=True, slots=True)
class Unusual:
    """Looking that is worth a question, of a day.

    Attributes:
        kind: ``read by many``: so many accounts opened one officer's page or track; ``reads many``: one
            account opened those of so many officers.
        who: the officer's id, or the account.
        count: of accounts, or of officers.
        whom: some of them, sorted.
    """

    kind: str
    who: str
    count: int
    whom: Sequence[str]


PERSONAL: Final = ("officer", "duty")
"""What is on record under these names was about one person; lists are not counted."""


def unusual(connection: Connection, start: int, end: int, *, readers: int, read: int) -> list[Unusual]:
    """Looking within a day that is worth a question, the most first.

    Args:
        connection: to the database.
        start: microseconds.
        end: exclusive.
        readers: from so many accounts on it is told that one officer was looked at.
        read: from so many officers on it is told that one account looked at them.
    """
    values = {"start": start, "end": end, "what": list(PERSONAL), "readers": readers, "read": read}
    rows = connection.execute(
        "with looks as (select distinct account, officer from record_entry, unnest(about) as officer "
        "where at >= from_us(%(start)s) and at < from_us(%(end)s) and kind = 'consultation' "
        "and what = any(%(what)s) and officer <> '*') "
        "select 'read by many', officer, count(*), (array_agg(account order by account))[:8] from looks "
        "group by officer having count(*) >= %(readers)s union all "
        "select 'reads many', account, count(*), (array_agg(officer order by officer))[:8] from looks "
        "group by account having count(*) >= %(read)s order by 1, 3 desc, 2",
        values,
    ).fetchall()
    return [Unusual(*row) for row in rows]


# ── Verifying ─────────────────────────────────────────────────────────────────────────────────────────────

_START: Final = bytes(32)
"""What stands before the first entry in place of a hash."""


def hash_of(item: Recorded) -> bytes:
    """The hash that an entry has to have: SHA-256 over the one before it, and its content as canonical text.

    Each value is written as its length in bytes, a colon and itself, and ``-`` where there is none; a list
    has its length before it. The trigger in the database counts the same in SQL.
    """
    values = [
        *map(_field, (str(item.entry), str(item.at), item.kind, item.what, item.outcome, item.account)),
        *map(_field, (item.means, item.source)),
        str(len(item.about)),
        *map(_field, item.about),
        _field(item.why),
        _field(item.details),
        _field(item.db_role),
    ]
    return hashlib.sha256(item.previous + ",".join(values).encode()).digest()


def _field(value: str | None) -> str:
    return "-" if value is None else f"{len(value.encode())}:{value}"


def verify(connection: Connection, anchors: Iterable[Anchor] = ()) -> Verified:
    """Looks through the whole record for the first entry that does not fit, as of one moment.

    Args:
        connection: to the database.
        anchors: what was noted down elsewhere.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        forgotten = _forgotten(connection)
        with connection.cursor("record", row_factory=class_row(Recorded), binary=True) as cursor:
            cursor.itersize = 5_000
            cursor.execute(f"select {_COLUMNS} from record_entry order by entry".encode())
            return _verified(cursor, forgotten, sorted(anchors, key=lambda item: item.entry))


def _verified(rows: Iterable[Recorded], forgotten: Mapping[int, str], anchors: Sequence[Anchor]) -> Verified:
    """Walks along the chain up to the first entry that does not fit."""
    first: int | None = None
    last: Recorded | None = None
    count = 0
    awaited = {item.entry: item.hash for item in anchors}

    def found(broken: str | None = None, at: int | None = None) -> Verified:
        newest = None if last is None else Anchor(last.entry, last.hash)
        return Verified(count, first, newest, broken, at)

    for row in rows:
        if last is None:
            first = row.entry
            begins = _START.hex() if row.entry == 1 else forgotten.get(row.entry - 1)
            if begins is None:
                return found(f"entries 1 to {row.entry - 1} are missing", row.entry - 1)
            previous, number = bytes.fromhex(begins), row.entry
        else:
            previous, number = last.hash, last.entry + 1
        if row.entry != number:
            gap = (
                f"entry {number} is"
                if row.entry == number + 1
                else f"entries {number} to {row.entry - 1} are"
            )
            return found(f"{gap} missing", number)
        if row.previous != previous:
            return found(f"entry {row.entry} does not follow the entry before it", row.entry)
        if row.hash != hash_of(row):
            return found(f"entry {row.entry} was changed: its content does not give its hash", row.entry)
        if awaited.pop(row.entry, row.hash) != row.hash:
            return found(f"entry {row.entry} is not the one that was noted down", row.entry)
        last, count = row, count + 1
    for number, noted in sorted(awaited.items()):
        if last is not None and first is not None and number < first:
            # It was deleted when its time was over; only the very last of those can still be compared.
            if forgotten.get(number, noted.hex()) != noted.hex():
                return found(f"entry {number} is not the one that was noted down", number)
            continue
        ends = "it is empty" if last is None else f"it ends with entry {last.entry}"
        return found(f"the record was cut: {ends}, and entry {number} was noted down", number)
    return found()


def _forgotten(connection: Connection) -> dict[int, str]:
    """Up to which entries the record was deleted when their time was over, each with that entry's hash."""
    rows = connection.execute(
        "select details->>'upto', details->>'hash' from record_entry "
        "where kind = 'erasure' and what = %s and outcome = 'done'",
        [THE_RECORD],
    ).fetchall()
    return {int(upto): str(noted) for upto, noted in rows}


def forget(connection: Connection, until: int, by: Entry) -> int:
    """Deletes the oldest entries, when the time for which the record is kept is over; that goes on record.

    Args:
        connection: to the database, with a role that may delete.
        until: entries from before this time go, microseconds.
        by: who has it deleted; its kind, name and details are set here.

    Returns:
        how many entries were deleted.
    """
    with connection.transaction():
        found = connection.execute(
            "select entry, hash, entry - (select min(entry) from record_entry) + 1 from record_entry "
            "where entry < coalesce((select min(entry) from record_entry where at >= from_us(%s)), "
            "(select max(entry) from record_entry)) order by entry desc limit 1",
            [until],
        ).fetchone()
        if found is None:
            return 0
        upto, noted, count = found
        details: Mapping[str, Detail] = {"upto": int(upto), "hash": noted.hex(), "entries": int(count)}
        add(
            connection,
            Entry(Kind.ERASURE, THE_RECORD, by.account, by.means, by.source, why=by.why, details=details),
        )
        connection.execute("delete from record_entry where entry <= %s", [upto])
        return int(count)


def whole(connection: Connection, wanted: Search) -> Iterator[Recorded]:
    """All entries that are wanted, the newest first, read in portions."""
    with (
        connection.transaction(),
        connection.cursor("record", row_factory=class_row(Recorded), binary=True) as cursor,
    ):
        cursor.itersize = 5_000
        cursor.execute(
            f"select {_COLUMNS} from record_entry where {_WANTED} order by entry desc".encode(),
            {name: getattr(wanted, name) for name in Search.__slots__},
        )
        yield from cursor
