"""``patrol people``: accounts at the server's own keyboard, for the first administrator and for emergencies.

Whoever may run it has the database anyway. What an account can be stands in ``stream.store.people``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from stream.cli.common import database, local_minute, print_json, print_table, say_no
from stream.cli.on_record import username
from stream.clock import wall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from stream.core.grants import Grant
    from stream.store.schema import Connection

    Done = TypeVar("Done")

ROLES_HELP = (
    "inspector, sergeant:NC04,NC05, gis, analyst, officer:1001, auditor, administrator, display or "
    "monitoring; a scope of neighbourhoods may follow inspector, gis, analyst and display too. Repeatable."
)
role_option = click.option("--role", "roles", multiple=True, metavar="ROLE", help=ROLES_HELP)


@click.group()
def people() -> None:
    """Accounts of the pages: who may sign in, in which roles.

    The administrator's page does the same; this needs no sign-in, but the database.
    """


def first_lines(connection: Connection) -> list[str]:
    """What to say where there is no account yet: on a terminal a new administrator's one-time password."""
    from stream.store.people import first_administrator, nobody

    if not nobody(connection):
        return []
    if not sys.stdout.isatty():
        how = "run 'patrol people add NAME --role administrator' at a terminal: it prints a one-time password"
        return [f"nobody can sign in yet: {how}"]
    made = first_administrator(connection, now=wall(), by=username())
    if made is None:
        return []
    name, first = made
    return [
        f"the first administrator: sign in as {name} with the one-time password {first} within 3 days.",
        "It is shown this once; 'patrol people password admin' makes another.",
    ]


def _grants(roles: Sequence[str]) -> tuple[Grant, ...]:
    from stream.core.grants import GrantError, grants_of

    try:
        return grants_of(roles)
    except GrantError as error:
        raise click.ClickException(f"--role: {error}") from error


def _done(name: str, work: Callable[[Connection], Done]) -> Done:
    """What is done to accounts; what cannot be is said in a line, and exit code 1."""
    from stream.store.people import PeopleError

    with database(f"patrol people {name}", any_policy=True) as connection:
        try:
            return work(connection)
        except PeopleError as error:
            say_no(str(error))


def _shown(name: str, first: str) -> None:
    click.echo(f"{name}: one-time password {first}, good for 3 days; it is not shown again")


@people.command("list", epilog="Example: patrol people list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(*, as_json: bool) -> None:
    """Lists all accounts."""
    from stream.store.people import accounts

    found = _done("list", lambda connection: accounts(connection, now=wall()))
    if as_json:
        rows = [
            {
                "name": item.account,
                "shown": item.shown,
                "roles": [str(grant) for grant in item.grants],
                "locked": item.locked,
                "password": item.password,
                "provider": item.issuer,
                "signed_in": None if item.signed_in is None else local_minute(item.signed_in),
                "sessions": item.sessions,
                "tokens": item.tokens,
            }
            for item in found
        ]
        print_json(rows, indent=1)
        return
    print_table(
        ["name", "shown as", "roles", "state", "last signed in", "sessions", "tokens"],
        (
            (
                item.account,
                item.shown,
                "; ".join(map(str, item.grants)) or "none",
                "locked" if item.locked else item.issuer or f"{item.password} password",
                "never" if item.signed_in is None else local_minute(item.signed_in),
                str(item.sessions),
                str(item.tokens),
            )
            for item in found
        ),
        right=(5, 6),
    )


@people.command(epilog="Example: patrol people add ps.adeyemi --shown 'PS Adeyemi' --role sergeant:NC04,NC05")
@click.argument("name")
@click.option("--shown", help="What pages call them.  [default: the name]")
@role_option
def add(name: str, shown: str | None, roles: Sequence[str]) -> None:
    """Makes an account, and prints its one-time password."""
    from stream.store import people as store

    grants = _grants(roles)
    first = _done(
        "add",
        lambda connection: store.add(
            connection, name, shown or name, grants, by=f"{username()} at the keyboard", now=wall()
        ),
    )
    _shown(store.name_of(name), first)


@people.command(epilog="Example: patrol people password ps.adeyemi")
@click.argument("name")
def password(name: str) -> None:
    """Gives an account a one-time password in place of its own; its sessions end."""
    from stream.store import people as store

    _shown(name, _done("password", lambda connection: store.reset_password(connection, name, now=wall())))


@people.command(epilog="Example: patrol people lock ps.adeyemi")
@click.argument("name")
def lock(name: str) -> None:
    """Locks an account: its sessions end, its password and tokens are no longer taken."""
    from stream.store import people as store

    _done("lock", lambda connection: store.lock(connection, name, now=wall()))
    click.echo(f"{name}: locked")


@people.command(epilog="Example: patrol people unlock ps.adeyemi")
@click.argument("name")
def unlock(name: str) -> None:
    """Unlocks an account, and forgets how often signing in failed."""
    from stream.store import people as store

    _done("unlock", lambda connection: store.unlock(connection, name))
    click.echo(f"{name}: not locked")


@people.command(epilog="Example: patrol people roles ps.adeyemi --role sergeant:NC04 --role officer:1001")
@click.argument("name")
@role_option
def roles(name: str, roles: Sequence[str]) -> None:
    """Gives an account these roles in place of those that it has; its sessions end."""
    from stream.store import people as store

    grants = _grants(roles)
    _done("roles", lambda connection: store.set_roles(connection, name, grants))
    click.echo(f"{name}: {'; '.join(map(str, grants)) or 'no roles'}")


@people.command(
    epilog="Example: patrol people token qgis --for 'QGIS in the map office' --role gis --days 90"
)
@click.argument("name")
@click.option("--for", "label", required=True, help="What the token is for.")
@click.option(
    "--role", "roles", multiple=True, metavar="ROLE", help="One of the account's roles; repeatable."
)
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True)
def token(name: str, label: str, roles: Sequence[str], days: int) -> None:
    """Makes a token for a program, with some of the account's roles, and prints it.

    The program sends it as `Authorization: Bearer`, or as the password of Basic with any name.
    """
    from stream.core.grants import Role
    from stream.store import people as store

    try:
        wanted = {Role(role) for role in roles}
    except ValueError as error:
        raise click.ClickException(f"--role: {error}") from error
    made = _done(
        "token",
        lambda connection: store.make_token(
            connection, name, label, wanted, now=wall(), lasts_s=days * store.DAY_S
        ),
    )
    click.echo(made)
