"""Accounts, sessions, tokens and attempts to sign in, as the database keeps them.

How somebody shows who they are is not decided here, nor what they may see: a password is compared by
``passwords``, a provider's token by the web, rights by the table of rights. Times are microseconds since 1970
and given by whoever asks, so that they can be any clock's. Of secrets only SHA-256 and argon2id are kept.

Signing in with a password takes three steps, so that no connection is held while a hash is computed:
:func:`attempt` counts the attempt and gives what to compare with, ``passwords.same`` compares, and
:func:`succeed` takes the attempt back and opens a session, or exchanges a one-time password for a ticket with
which a password of one's own is chosen (:func:`choose`).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.core.calendar import microseconds, moment
from stream.core.facts import SECOND
from stream.core.grants import Grant, Role
from stream.store import passwords
from stream.store.schema import Lock
from stream.store.schema import lock as wait_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from stream.store.schema import Connection

NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
"""What accounts are called."""

ROLES = frozenset(str(role) for role in Role)

MOST_SHOWN, MOST_AGENT, MOST_LABEL = 100, 200, 100
"""The most characters of a shown name, of what a browser calls itself, and of a token's label."""

DAY_S = 86_400.0
ONE_TIME_S = 3 * DAY_S
"""So long a one-time password is good."""
TICKET_S = 900.0
"""So long somebody may take to choose a password of their own after that."""
DISPLAY_S = 90 * DAY_S
"""So long a wall display stays signed in; it has no idle time-out."""
LONGEST_TOKEN_S = 366 * DAY_S
TOUCH_S = 60.0
"""A session's or token's last use is written no more often than this."""

BUCKETS = {"browser": (10, 900.0), "address": (30, 900.0), "pair": (10, 900.0), "account": (100, 3600.0)}
"""How many failures are let through, and in how many seconds so many are forgotten again.

An account's own bucket is large, and a browser in which its owner signed in before is counted apart: so
whoever fails for an account on purpose does not keep its owner out.
"""


class PeopleError(ValueError):
    """Something that cannot be done with an account; the message says why."""


class TooOftenError(PeopleError):
    """Too many attempts to sign in failed.

    Attributes:
        wait_s: how long to wait for the next one.
    """

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60 + 0.49))
        plural = "" if minutes == 1 else "s"
        super().__init__(f"signing in failed too often: wait {minutes} minute{plural}, then try again")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever is signed in.

    Attributes:
        account: the account's name.
        shown: what a page calls them.
        grants: their roles.
    """

    account: str
    shown: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Account(Person):
    """An account as an administrator sees it; times in microseconds.

    Attributes:
        locked: nobody can sign in.
        password: ``own``, ``one-time``, or ``none``.
        issuer: of a provider's account.
        signed_in: when last; None: never.
        sessions: how many are open.
        tokens: how many are good.
    """

    locked: bool
    password: str
    issuer: str | None
    made: int
    made_by: str
    signed_in: int | None
    sessions: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    Attributes:
        digest: what is kept of its cookie.
        person: whose.
        means: how it began.
        provider_session: the provider's id of it.
    """

    digest: bytes
    person: Person
    means: str
    made: int
    used: int
    until: int
    address: str
    agent: str
    provider_session: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it; ``key`` names it."""

    key: int
    account: str
    label: str
    roles: tuple[Role, ...]
    made: int
    until: int
    used: int | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in that was counted.

    Attributes:
        account: the account's name; None where there is none, or nobody can sign in to it by a password.
        kept: what is kept of its password.
        buckets: what it was counted in.
    """

    account: str | None
    kept: str | None
    buckets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Signed:
    """What a right password gives: a session's secret, or the ticket to choose a password of one's own."""

    account: str
    session: str | None = None
    ticket: str | None = None
    browser: str | None = None


def name_of(text: str) -> str:
    """An account's name as it is kept.

    Raises:
        PeopleError: it cannot be one.
    """
    name = text.strip().lower()
    if not NAME.fullmatch(name):
        raise PeopleError(
            "an account's name has 1 to 100 of the characters a-z, 0-9, '.', '_', '-', '+' and '@'"
        )
    return name


def shown_of(text: str) -> str:
    """A shown name as it is kept.

    Raises:
        PeopleError: it cannot be one.
    """
    shown = " ".join(text.split())
    if not 0 < len(shown) <= MOST_SHOWN or not shown.isprintable():
        raise PeopleError(f"a shown name has 1 to {MOST_SHOWN} visible characters")
    return shown


# ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────

GRANTS = (
    "(select coalesce(json_agg(json_build_array(role, neighbourhoods, officer) order by role, "
    "neighbourhoods, officer), '[]') from access_grant g where g.account = a.account)"
)
"""SQL: the roles of account ``a``."""


def accounts(connection: Connection, *, now: int, name: str | None = None) -> list[Account]:
    """All accounts by name, or the one of a name."""
    rows = connection.execute(
        f"select name, shown, {GRANTS}, locked_at is not null, case when password is null then 'none' "
        "when one_time_until is null then 'own' else 'one-time' end, issuer, made_at, made_by, signed_in_at, "
        "(select count(*) from access_session s where s.account = a.account and s.until_at > %(now)s), "
        "(select count(*) from access_token t where t.account = a.account and t.until_at > %(now)s "
        "and t.ended_at is null) "
        "from access_account a where %(name)s::text is null or name = %(name)s order by name".encode(),
        {"now": moment(now), "name": name},
    ).fetchall()
    return [
        Account(
            name, shown, _grants(grants), locked, password, issuer, microseconds(made), made_by,
            _micros(signed_in), sessions, tokens,
        )
        for name, shown, grants, locked, password, issuer, made, made_by, signed_in, sessions, tokens in rows
    ]  # fmt: skip


def account(connection: Connection, name: str, *, now: int) -> Account:
    """The account of a name.

    Raises:
        PeopleError: there is none.
    """
    found = accounts(connection, now=now, name=name)
    if not found:
        raise PeopleError(f"there is no account {name!r}")
    return found[0]


def add(connection: Connection, name: str, shown: str, grants: Sequence[Grant], *, by: str, now: int) -> str:
    """Makes an account.

    Returns:
        its one-time password.

    Raises:
        PeopleError: the name is taken or cannot be one.
    """
    name, shown = name_of(name), shown_of(shown)
    first = passwords.one_time()
    with connection.transaction():
        row = connection.execute(
            "insert into access_account (name, shown, password, one_time_until, made_at, made_by) "
            "values (%s, %s, %s, %s, %s, %s) on conflict (name) do nothing returning account",
            [name, shown, passwords.hashed(first), _later(now, ONE_TIME_S), moment(now), by],
        ).fetchone()
        if row is None:
            raise PeopleError(f"there is an account {name!r} already")
        _write_grants(connection, row[0], grants)
    return first


def provided(
    connection: Connection,
    issuer: str,
    subject: str,
    name: str,
    shown: str,
    grants: Sequence[Grant],
    *,
    now: int,
) -> str:
    """The account of a provider's person, made or brought up to date: what the provider says now holds.

    Returns:
        the account's name; where another has the name, one that the subject is added to.

    Raises:
        PeopleError: the name cannot be one, or the account is locked.
    """
    name, shown = name_of(name), shown_of(shown)
    with connection.transaction():
        row = connection.execute(
            "select account, name, locked_at is not null from access_account "
            "where issuer = %s and subject = %s for update",
            [issuer, subject],
        ).fetchone()
        if row is None:
            taken = connection.execute("select 1 from access_account where name = %s", [name]).fetchone()
            if taken is not None:
                name = name_of(f"{name[:80]}+{passwords.digest(subject).hex()[:12]}")
            row = connection.execute(
                "insert into access_account (name, shown, issuer, subject, made_at, made_by) "
                "values (%s, %s, %s, %s, %s, %s) returning account, name, false",
                [name, shown, issuer, subject, moment(now), issuer],
            ).fetchone()
        assert row is not None
        key, name, locked = row
        if locked:
            raise PeopleError(f"account {name!r} is locked")
        connection.execute(
            "update access_account set shown = %s, signed_in_at = %s where account = %s",
            [shown, moment(now), key],
        )
        if _grants_of(connection, key) != set(grants):
            _write_grants(connection, key, grants)
            connection.execute("delete from access_session where account = %s", [key])
    return str(name)


def set_roles(connection: Connection, name: str, grants: Sequence[Grant]) -> None:
    """Gives an account other roles, and ends its sessions, so that no session outlives its rights.

    Raises:
        PeopleError: there is no such account, or nobody would administer the others.
    """
    with connection.transaction():
        wait_for(connection, Lock.PEOPLE)
        key = _key(connection, name)
        administers = _administers(_grants_of(connection, key))
        _write_grants(connection, key, grants)
        if administers:
            _administered(connection)
        connection.execute("delete from access_session where account = %s", [key])


def set_shown(connection: Connection, name: str, shown: str) -> None:
    """Changes what pages call an account.

    Raises:
        PeopleError: there is no such account, or it cannot be called so.
    """
    shown = shown_of(shown)
    with connection.transaction():
        connection.execute(
            "update access_account set shown = %s where account = %s", [shown, _key(connection, name)]
        )


def lock(connection: Connection, name: str, *, now: int) -> None:
    """Locks an account: its sessions end, its tokens and passwords are no longer taken.

    Raises:
        PeopleError: there is no such account, or nobody would administer the others.
    """
    with connection.transaction():
        wait_for(connection, Lock.PEOPLE)
        key = _key(connection, name)
        connection.execute(
            "update access_account set locked_at = coalesce(locked_at, %s), ticket = null, "
            "ticket_until = null where account = %s",
            [moment(now), key],
        )
        if _administers(_grants_of(connection, key)):
            _administered(connection)
        connection.execute("delete from access_session where account = %s", [key])


def unlock(connection: Connection, name: str) -> None:
    """Unlocks an account, and forgets the failures that were counted for it.

    Raises:
        PeopleError: there is no such account.
    """
    with connection.transaction():
        key = _key(connection, name)
        connection.execute("update access_account set locked_at = null where account = %s", [key])
        connection.execute("delete from access_attempt where bucket = %s", [_bucket("account", name)])


def reset_password(connection: Connection, name: str, *, now: int) -> str:
    """Gives an account a one-time password in place of its own, and ends its sessions.

    Raises:
        PeopleError: there is no such account, or its provider signs it in.
    """
    first = passwords.one_time()
    with connection.transaction():
        key = _key(connection, name)
        row = connection.execute(
            "update access_account set password = %s, one_time_until = %s, ticket = null, "
            "ticket_until = null where account = %s and issuer is null returning account",
            [passwords.hashed(first), _later(now, ONE_TIME_S), key],
        ).fetchone()
        if row is None:
            raise PeopleError(f"account {name!r} signs in at its provider, which keeps its password")
        connection.execute("delete from access_session where account = %s", [key])
        connection.execute("delete from access_attempt where bucket = %s", [_bucket("account", name)])
    return first


def first_administrator(connection: Connection, *, now: int, by: str) -> tuple[str, str] | None:
    """Makes the first account where there is none: an administrator's.

    Returns:
        its name and one-time password; None where there is an account.
    """
    with connection.transaction():
        wait_for(connection, Lock.PEOPLE)
        if connection.execute("select 1 from access_account limit 1").fetchone() is not None:
            return None
        first = add(connection, "admin", "Administrator", [Grant(Role.ADMINISTRATOR)], by=by, now=now)
    return "admin", first


def nobody(connection: Connection) -> bool:
    """Whether there is no account at all."""
    return connection.execute("select 1 from access_account limit 1").fetchone() is None


def _key(connection: Connection, name: str) -> int:
    row = connection.execute(
        "select account from access_account where name = %s for update", [name]
    ).fetchone()
    if row is None:
        raise PeopleError(f"there is no account {name!r}")
    return int(row[0])


def _administers(grants: Collection[Grant]) -> bool:
    return any(grant.role is Role.ADMINISTRATOR for grant in grants)


def _administered(connection: Connection) -> None:
    """Looks whether somebody can still administer the accounts; one at a time does (``Lock.PEOPLE``).

    Raises:
        PeopleError: nobody could.
    """
    left = connection.execute(
        "select 1 from access_account join access_grant using (account) "
        "where role = %s and locked_at is null limit 1",
        [str(Role.ADMINISTRATOR)],
    ).fetchone()
    if left is None:
        raise PeopleError("nobody would be left to administer accounts: make another administrator first")


def _write_grants(connection: Connection, key: int, grants: Iterable[Grant]) -> None:
    connection.execute("delete from access_grant where account = %s", [key])
    for grant in set(grants):
        areas = None if grant.neighbourhoods is None else sorted(grant.neighbourhoods)
        connection.execute(
            "insert into access_grant (account, role, neighbourhoods, officer) values (%s, %s, %s, %s)",
            [key, str(grant.role), areas, grant.officer],
        )


def _grants_of(connection: Connection, key: int) -> set[Grant]:
    rows = connection.execute(
        "select role, neighbourhoods, officer from access_grant where account = %s", [key]
    ).fetchall()
    return set(_grants(rows))


def _grants(rows: Iterable[Sequence[object]]) -> tuple[Grant, ...]:
    """Grants as the database has them; roles of a newer version are left out."""
    return tuple(
        Grant(
            Role(str(role)),
            None if not isinstance(areas, list) else frozenset(areas),
            None if officer is None else str(officer),
        )
        for role, areas, officer in rows
        if role in ROLES
    )


# ── Signing in ────────────────────────────────────────────────────────────────────────────────────────────


def attempt(connection: Connection, name: str, *, address: str, browser: str | None, now: int) -> Attempt:
    """Counts an attempt to sign in by a password before it is made, so that many at once are counted too.

    Args:
        connection: to the database.
        now: the time, microseconds.
        name: as it was typed.
        address: where it comes from.
        browser: the secret of a browser in which somebody signed in before.

    Raises:
        TooOftenError: too many failed.
    """
    try:
        known = name_of(name)
    except PeopleError:
        known = ""
    with connection.transaction():
        row = connection.execute(
            "select name, password, exists (select from access_browser b where b.account = a.account "
            "and b.digest = %s) from access_account a where name = %s and locked_at is null "
            "and (one_time_until is null or one_time_until > %s)",
            [passwords.digest(browser or ""), known, moment(now)],
        ).fetchone()
        where = network(address)
        # A name that is none is counted together with all others that are none.
        kinds = (
            [("browser", f"{known} {passwords.digest(browser).hex()}")]
            if row is not None and row[2] and browser
            else [("address", where), ("pair", f"{known} {where}"), ("account", known)]
        )
        buckets = []
        wait_s = None
        for kind, what in kinds:
            bucket = _bucket(kind, what)
            if (wait_s := _fill(connection, bucket, kind, now)) is not None:
                break
            buckets.append(bucket)
    if wait_s is not None:
        raise TooOftenError(wait_s)
    if row is None:
        return Attempt(None, None, tuple(buckets))
    return Attempt(row[0], row[1], tuple(buckets))


def succeed(
    connection: Connection,
    made: Attempt,
    *,
    address: str,
    agent: str,
    browser: str | None,
    lasts_s: float,
    now: int,
) -> Signed | None:
    """Ends an attempt whose password was right.

    Args:
        connection: to the database.
        now: the time, microseconds.
        made: the attempt.
        address: where it comes from.
        agent: what the browser calls itself.
        browser: as for :func:`attempt`.
        lasts_s: how long the session lasts.

    Returns:
        a session, or a ticket where the password was a one-time password, which is used up by this; None
        where the account was locked or given another password meanwhile.
    """
    with connection.transaction():
        row = connection.execute(
            "select account, one_time_until from access_account where name = %s and password = %s "
            "and locked_at is null and (one_time_until is null or one_time_until > %s) for update",
            [made.account, made.kept, moment(now)],
        ).fetchone()
        if row is None or made.account is None:
            return None
        connection.execute("delete from access_attempt where bucket = any(%s)", [list(made.buckets[1:2])])
        connection.execute(
            "update access_attempt set level = greatest(0, level - 1) where bucket = any(%s)",
            [list(made.buckets)],
        )
        key, one_time = row
        if one_time is not None:
            ticket = passwords.secret()
            connection.execute(
                "update access_account set password = null, one_time_until = null, ticket = %s, "
                "ticket_until = %s where account = %s",
                [passwords.digest(ticket), _later(now, TICKET_S), key],
            )
            return Signed(made.account, ticket=ticket)
        secret = open_session(
            connection, made.account, means="password", now=now, lasts_s=lasts_s, address=address, agent=agent
        )
        return Signed(made.account, secret, browser=_known_browser(connection, key, browser, now))


def choose(
    connection: Connection,
    ticket: str,
    password: str,
    *,
    address: str,
    agent: str,
    browser: str | None,
    lasts_s: float,
    now: int,
) -> Signed:
    """Chooses a password of one's own with the ticket of a one-time password, and opens a session.

    Raises:
        PeopleError: the ticket is not good, or used.
        passwords.PasswordError: the password will not do; the ticket is still good.
    """
    digest = passwords.digest(ticket)
    row = connection.execute(
        "select name from access_account where ticket = %s and ticket_until > %s and locked_at is null",
        [digest, moment(now)],
    ).fetchone()
    if row is None:
        raise PeopleError("this took too long, or was done already: ask for another one-time password")
    passwords.check(password, account=row[0])
    kept = passwords.hashed(password)
    with connection.transaction():
        row = connection.execute(
            "update access_account set password = %s, one_time_until = null, ticket = null, "
            "ticket_until = null where ticket = %s and ticket_until > %s and locked_at is null "
            "returning name, account",
            [kept, digest, moment(now)],
        ).fetchone()
        if row is None:
            raise PeopleError("this took too long, or was done already: ask for another one-time password")
        connection.execute("delete from access_session where account = %s", [row[1]])
        secret = open_session(
            connection, row[0], means="password", now=now, lasts_s=lasts_s, address=address, agent=agent
        )
        return Signed(row[0], secret, browser=_known_browser(connection, row[1], browser, now))


def kept_password(connection: Connection, name: str) -> str | None:
    """What is kept of an account's own password; None where it has none."""
    row = connection.execute(
        "select password from access_account where name = %s and one_time_until is null", [name]
    ).fetchone()
    return None if row is None else row[0]


def change_password(connection: Connection, name: str, kept: str, password: str) -> bool:
    """Changes an account's own password and ends all its sessions; the caller opens a new one.

    Args:
        connection: to the database.
        name: the account.
        kept: what was kept of the password before, which has been compared.
        password: the new one.

    Returns:
        whether it was done: not where it was changed meanwhile.

    Raises:
        passwords.PasswordError: the password will not do.
    """
    passwords.check(password, account=name)
    new = passwords.hashed(password)
    with connection.transaction():
        row = connection.execute(
            "update access_account set password = %s where name = %s and password = %s "
            "and one_time_until is null and locked_at is null returning account",
            [new, name, kept],
        ).fetchone()
        if row is None:
            return False
        connection.execute("delete from access_session where account = %s", [row[0]])
    return True


def network(address: str) -> str:
    """What attempts are counted by: an address, and of IPv6 the network of 64 bits that a customer has."""
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _bucket(kind: str, what: str) -> bytes:
    return passwords.digest(f"{kind} {what}")


def _fill(connection: Connection, bucket: bytes, kind: str, now: int) -> float | None:
    """Counts an attempt in a bucket; where it is full, gives after how many seconds it has room."""
    most, within_s = BUCKETS[kind]
    left = "greatest(0, a.level - greatest(0, extract(epoch from %(now)s - a.at)) * %(rate)s)"
    said = {"bucket": bucket, "now": moment(now), "rate": most / within_s, "most": most}
    row = connection.execute(
        "insert into access_attempt as a (bucket, level, at) values (%(bucket)s, 1, %(now)s) "
        f"on conflict (bucket) do update set level = {left} + 1, at = greatest(a.at, %(now)s) "
        f"where {left} + 1 <= %(most)s returning level".encode(),
        said,
    ).fetchone()
    if row is not None:
        return None
    full = connection.execute(
        f"select {left} from access_attempt a where bucket = %(bucket)s".encode(), said
    ).fetchone()
    return 1.0 if full is None else max(1.0, (float(full[0]) + 1 - most) * within_s / most)


def _known_browser(connection: Connection, key: int, browser: str | None, now: int) -> str:
    secret = browser or passwords.secret()
    connection.execute(
        "insert into access_browser (digest, account, made_at) values (%s, %s, %s) "
        "on conflict (digest, account) do update set made_at = excluded.made_at",
        [passwords.digest(secret), key, moment(now)],
    )
    return secret


# ── Sessions ──────────────────────────────────────────────────────────────────────────────────────────────


def open_session(
    connection: Connection,
    name: str,
    *,
    means: str,
    now: int,
    lasts_s: float,
    address: str,
    agent: str,
    provider_session: str | None = None,
) -> str:
    """Opens a session, and removes what is over.

    Args:
        connection: to the database.
        now: the time, microseconds.
        name: whose.
        means: how it began, ``password`` or ``openid``.
        lasts_s: how long it lasts at most; a wall display's lasts ``DISPLAY_S``.
        address: where it comes from.
        agent: what the browser calls itself.
        provider_session: the provider's id of its session, with which it can be ended.

    Returns:
        its secret, for the cookie; it is kept nowhere.

    Raises:
        PeopleError: there is no such account, or it is locked.
    """
    secret = passwords.secret()
    with connection.transaction():
        row = connection.execute(
            "update access_account set signed_in_at = %s where name = %s and locked_at is null "
            "returning account",
            [moment(now), name],
        ).fetchone()
        if row is None:
            raise PeopleError(f"there is no account {name!r}, or it is locked")
        if _display(_grants_of(connection, row[0])):
            lasts_s = DISPLAY_S
        connection.execute(
            "insert into access_session (digest, account, means, made_at, used_at, until_at, address, agent, "
            "provider_session) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                passwords.digest(secret),
                row[0],
                means,
                moment(now),
                moment(now),
                _later(now, lasts_s),
                _line(address, MOST_AGENT),
                _line(agent, MOST_AGENT),
                provider_session,
            ],
        )
        connection.execute("delete from access_session where until_at < %s", [moment(now)])
        connection.execute("delete from access_attempt where at < %s", [_later(now, -DAY_S)])
        connection.execute("delete from access_browser where made_at < %s", [_later(now, -400 * DAY_S)])
    return secret


def session(connection: Connection, secret: str, *, now: int, idle_s: float, touch: bool) -> Session | None:
    """The session of a cookie; None where there is none, or it is over.

    Args:
        connection: to the database.
        now: the time, microseconds.
        secret: of the cookie.
        idle_s: after so many seconds without use it is over; a wall display's is not.
        touch: whether this is a use of it.
    """
    found = _sessions(connection, "s.digest = %(digest)s", now=now, digest=passwords.digest(secret))
    if not found:
        return None
    [one] = found
    if not _display(one.person.grants) and now - one.used > idle_s * SECOND:
        connection.execute("delete from access_session where digest = %s", [one.digest])
        return None
    if touch and now - one.used > min(TOUCH_S, idle_s / 10) * SECOND:
        connection.execute(
            "update access_session set used_at = greatest(used_at, %s) where digest = %s",
            [moment(now), one.digest],
        )
    return one


def sessions(connection: Connection, name: str, *, now: int) -> list[Session]:
    """The open sessions of an account, the newest first."""
    return _sessions(connection, "a.name = %(name)s", now=now, name=name)


def _sessions(connection: Connection, where: str, *, now: int, **said: object) -> list[Session]:
    rows = connection.execute(
        f"select digest, name, shown, {GRANTS}, means, s.made_at, used_at, until_at, address, agent, "
        "provider_session from access_session s join access_account a using (account) "
        f"where {where} and until_at > %(now)s and locked_at is null "
        "order by s.made_at desc, digest".encode(),
        {"now": moment(now), **said},
    ).fetchall()
    return [
        Session(
            bytes(digest),
            Person(name, shown, _grants(grants)),
            means,
            microseconds(made),
            microseconds(used),
            microseconds(until),
            address,
            agent,
            provider_session,
        )
        for digest, name, shown, grants, means, made, used, until, address, agent, provider_session in rows
    ]


def close_sessions(
    connection: Connection,
    *,
    account: str | None = None,
    provider_session: str | None = None,
    digest: bytes | None = None,
) -> list[bytes]:
    """Ends sessions: those of an account, of a provider's session, the one of a digest, or where these meet.

    Returns:
        the digests of those that were ended.

    Raises:
        ValueError: nothing is given.
    """
    if account is None and provider_session is None and digest is None:
        raise ValueError("which sessions?")
    rows = connection.execute(
        "delete from access_session s using access_account a where a.account = s.account "
        "and (%(account)s::text is null or name = %(account)s) "
        "and (%(provider)s::text is null or provider_session = %(provider)s) "
        "and (%(digest)s::bytea is null or digest = %(digest)s) returning digest",
        {"account": account, "provider": provider_session, "digest": digest},
    ).fetchall()
    return [bytes(row[0]) for row in rows]


def _display(grants: Collection[Grant]) -> bool:
    """Whether an account is a wall display's and nothing else."""
    return bool(grants) and all(grant.role is Role.DISPLAY for grant in grants)


# ── Tokens ────────────────────────────────────────────────────────────────────────────────────────────────


def make_token(
    connection: Connection, name: str, label: str, roles: Collection[Role], *, now: int, lasts_s: float
) -> str:
    """Makes a token, with which a program signs in.

    Args:
        connection: to the database.
        now: the time, microseconds.
        name: whose.
        label: what it is for.
        roles: those of the account's that it may use.
        lasts_s: how long it is good.

    Returns:
        the token, which is shown once and kept nowhere.

    Raises:
        PeopleError: the account has none of these roles, or is locked, or the time makes no sense.
    """
    label = " ".join(label.split())
    if not 0 < len(label) <= MOST_LABEL or not label.isprintable():
        raise PeopleError(f"say in 1 to {MOST_LABEL} visible characters what the token is for")
    if not 0 < lasts_s <= LONGEST_TOKEN_S:
        raise PeopleError("a token is good for 1 to 366 days")
    token = passwords.TOKEN_MARK + passwords.secret()
    with connection.transaction():
        key = _key(connection, name)
        has = {grant.role for grant in _grants_of(connection, key)}
        if lacking := sorted(set(roles) - has):
            raise PeopleError(f"account {name!r} has no role {lacking[0]}: a token has some of its roles")
        if not roles:
            raise PeopleError("a token has one role at least")
        if Role.ADMINISTRATOR in roles:
            raise PeopleError("no program administers accounts: leave out administrator")
        made = connection.execute(
            "insert into access_token (digest, account, label, roles, made_at, until_at) "
            "select %s, account, %s, %s, %s, %s from access_account where account = %s and locked_at is null "
            "returning token",
            [
                passwords.digest(token),
                label,
                sorted(str(role) for role in roles),
                moment(now),
                _later(now, lasts_s),
                key,
            ],
        ).fetchone()
        if made is None:
            raise PeopleError(f"account {name!r} is locked")
    return token


def token(connection: Connection, secret: str, *, now: int) -> Person | None:
    """Whose token it is, with the roles that it may use; None where it is not good."""
    row = connection.execute(
        f"select t.token, name, shown, {GRANTS}, roles, used_at from access_token t "
        "join access_account a using (account) where digest = %s and ended_at is null and until_at > %s "
        "and locked_at is null".encode(),
        [passwords.digest(secret), moment(now)],
    ).fetchone()
    if row is None:
        return None
    key, name, shown, grants, roles, used = row
    if used is None or now - microseconds(used) > TOUCH_S * SECOND:
        connection.execute("update access_token set used_at = %s where token = %s", [moment(now), key])
    return Person(name, shown, tuple(grant for grant in _grants(grants) if str(grant.role) in roles))


def tokens(connection: Connection, name: str | None = None) -> list[Token]:
    """The tokens of an account, or all, the newest first."""
    rows = connection.execute(
        "select token, name, label, roles, t.made_at, until_at, used_at, ended_at is not null "
        "from access_token t join access_account using (account) "
        "where %(name)s::text is null or name = %(name)s order by t.made_at desc, token desc",
        {"name": name},
    ).fetchall()
    return [
        Token(
            key,
            name,
            label,
            tuple(Role(role) for role in roles if role in ROLES),
            microseconds(made),
            microseconds(until),
            _micros(used),
            ended,
        )
        for key, name, label, roles, made, until, used, ended in rows
    ]


def end_token(connection: Connection, key: int, *, account: str | None, now: int) -> bool:
    """Ends a token for good.

    Args:
        connection: to the database.
        now: the time, microseconds.
        key: which.
        account: whose it has to be; None: anybody's.

    Returns:
        whether there was such a token that had not ended.
    """
    row = connection.execute(
        "update access_token t set ended_at = %(now)s from access_account a where a.account = t.account "
        "and token = %(key)s and ended_at is null and (%(name)s::text is null or name = %(name)s) "
        "returning 1",
        {"now": moment(now), "key": key, "name": account},
    ).fetchone()
    return row is not None


def _later(now: int, seconds: float) -> datetime:
    return moment(now + round(seconds * SECOND))


def _micros(value: datetime | None) -> int | None:
    return None if value is None else microseconds(value)


def _line(text: str, most: int) -> str:
    return "".join(character for character in text if character.isprintable())[:most]
