"""``patrol policy``: the settings of the accounting, checked, compared, loaded and listed.

Words, options and exit codes: what a policy says stands in ``stream.core.policy``, how it gets on record in
``stream.store.policies``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream.cli.common import (
    FILE,
    database,
    dry_run_option,
    local_minute,
    moment_option,
    print_json,
    print_table,
)
from stream.cli.on_record import username
from stream.clock import wall

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stream.core.policy import Difference, Policies
    from stream.store.policies import Loaded, Outdated, PolicyRecord

ALWAYS = "beginning"
"""What ``--from`` says for all times."""


@click.group()
def policy() -> None:
    """The thresholds of the accounting, by date, as the database has them: everybody counts by them.

    A file says them as in stream/README.md; `patrol policy list --toml` prints one of what is in force.
    """


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
since_option = click.option(
    "--from",
    "since",
    required=True,
    metavar="DATE",
    help="In force from: 2027-01-01 (local midnight), a time with offset, or 'beginning'.",
)


def _wanted(file: Path) -> Policies:
    from stream.settings import read_policies

    return read_policies(str(file))


def _since(text: str | None) -> int:
    from stream.core.policy import BEGINNING

    return BEGINNING if text is None or text == ALWAYS else moment_option(text)


# ── check and diff ────────────────────────────────────────────────────────────────────────────────────────


@policy.command(epilog="Example: patrol policy check policy.toml")
@click.argument("file", type=FILE)
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Says whether a policy file can be used, and what it sets; needs no database.

    Exit 2: it cannot be used.
    """
    from stream.core.policy import Policies, differences, settings_of

    wanted = _wanted(file)
    if as_json:
        rows = [
            {"from": _when(start), "settings": settings_of(item)}
            for start, item in zip(wanted.starts, wanted.policies, strict=True)
        ]
        print_json(rows, indent=1)
        return
    changed = differences(Policies(), wanted)
    if not changed:
        click.echo(f"{file}: sets nothing that differs from the rules' defaults")
        return
    click.echo(f"{file}: can be used; beside the rules' defaults it sets:")
    _print_differences(changed, "default", "file")


@policy.command(epilog="Example: patrol policy diff policy.toml --from 2027-01-01")
@click.argument("file", type=FILE)
@click.option("--from", "since", metavar="DATE", help="Compare from here on (default: all times).")
@json_option
def diff(file: Path, since: str | None, *, as_json: bool) -> None:
    """Compares a policy file with what is in force in the database. Exit 1: they differ."""
    from stream.core.policy import differences
    from stream.store.policies import in_force

    wanted, start = _wanted(file), _since(since)
    with database("patrol policy diff", any_policy=True) as connection:
        changed = differences(in_force(connection), wanted, start)
    if as_json:
        print_json(_differences_json(changed), indent=1)
    elif changed:
        _print_differences(changed, "in the database", "in the file")
    else:
        click.echo(f"{file}: says what is in force{'' if since is None else f' from {since} on'}")
    if changed:
        raise click.exceptions.Exit(1)


# ── load ──────────────────────────────────────────────────────────────────────────────────────────────────


@policy.command(
    epilog='Example: patrol policy load policy.toml --from 2027-01-01 --why "target of 85% from 2027"'
)
@click.argument("file", type=FILE)
@since_option
@click.option("--why", required=True, help="The reason, for the record.")
@dry_run_option
@json_option
def load(file: Path, since: str, why: str, *, dry_run: bool, as_json: bool) -> None:
    """Puts a policy file in force from a date on; what is in force before that date stays.

    It replaces everything that is in force from the date on, later policies too. Running processes follow at
    once. Where the date is in the past, a target and what else is applied when a figure is read holds at
    once; what was counted from that date on is listed as counted under an older version until `patrol
    recompute` has counted it again. Where nothing differs, nothing is loaded.
    """
    from stream.store import policies

    wanted, start = _wanted(file), _since(since)
    with database("patrol policy load", any_policy=True) as connection:
        try:
            done = policies.load(connection, wanted, start, by=username(), why=why, dry_run=dry_run)
        except policies.PolicyLoadError as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        answer = {
            "loaded": bool(done.versions) and not dry_run,
            "versions": done.versions,
            "changed": _differences_json(done.changed),
            "replaced": done.replaced,
            "outdated": outdated_json(done.outdated),
        }
        print_json(answer, indent=1)
        return
    _tell_loaded(done, since, file, dry_run=dry_run)


def _tell_loaded(done: Loaded, since: str, file: Path, *, dry_run: bool) -> None:
    from stream.core.policy import READ_SETTINGS, RECEIPT_SETTINGS

    if not done.versions:
        click.echo(f"{file}: says what is in force from {since} on; nothing was loaded")
        tell_outdated(done.outdated)
        return
    would = "would be " if dry_run else ""
    click.echo(f"{_numbered(done.versions)}: {would}loaded. What changes:")
    _print_differences(done.changed, "before", "after")
    if done.replaced:
        click.echo(f"{_numbered(done.replaced)} {would}replaced: no longer in force at any time")
    first = min(item.start for item in done.changed)
    if first < wall():
        names = {item.setting.split(".")[0] for item in done.changed}
        click.echo(f"This reaches into the past, to {_said(first)}:")
        if names & READ_SETTINGS:
            click.echo(
                "  figures of that time are judged by it from now on; published reports stay as they are "
                "until they are published again"
            )
        if names & RECEIPT_SETTINGS:
            click.echo("  reports that were received stay as they were judged; later ones are judged by it")
    tell_outdated(done.outdated)
    if dry_run:
        click.echo("nothing was changed: it was a dry run")


def tell_outdated(found: Sequence[Outdated]) -> None:
    """Says what was counted by versions that are no longer in force for its time, and what to do."""
    for item in found:
        click.echo(
            f"still counted under version {item.version}: {item.duties:,} duties, "
            f"from {local_minute(item.start)} to {local_minute(item.end)}"
        )
    if found:
        click.echo(f"count them again with 'patrol recompute {recompute_range(found)} --why TEXT'")


def recompute_range(found: Sequence[Outdated]) -> str:
    """``--from … --to …`` around all of them, in whole local days."""
    from datetime import timedelta

    from stream.core.calendar import local_day

    start = local_day(min(item.start for item in found))
    return f"--from {start} --to {local_day(max(item.end for item in found) - 1) + timedelta(days=1)}"


# ── list ──────────────────────────────────────────────────────────────────────────────────────────────────


@policy.command("list", epilog="Example: patrol policy list --json")
@click.option("--toml", "as_toml", is_flag=True, help="What is in force, as a policy file.")
@json_option
def list_(*, as_toml: bool, as_json: bool) -> None:
    """All policies on record: when each is in force, who loaded it and why, what is still counted by it."""
    from stream.core.policy import as_toml as toml
    from stream.core.policy import settings_of
    from stream.store import policies

    with database("patrol policy list", any_policy=True) as connection:
        if as_toml:
            click.echo(toml(policies.in_force(connection)), nl=False)
            return
        found, older = policies.records(connection), policies.outdated(connection)
    if as_json:
        rows = [
            _json(
                item,
                "version",
                in_force=item.end is not None,
                why=item.why,
                loaded_by=item.loaded_by,
                loaded_at=_when(item.loaded_at),
                settings=settings_of(item.policy),
            )
            for item in found
        ]
        print_json({"versions": rows, "outdated": outdated_json(older)}, indent=1)
        return
    print_table(
        ("version", "in force from", "until", "loaded", "by", "why"),
        [
            (
                str(item.version),
                _said(item.start),
                "replaced" if item.end is None else _until(item.end),
                local_minute(item.loaded_at),
                item.loaded_by,
                item.why,
            )
            for item in found
        ],
        right=(0,),
    )
    tell_outdated(older)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


def _numbered(versions: Sequence[int]) -> str:
    if len(versions) == 1:
        return f"version {versions[0]}"
    return f"versions {', '.join(map(str, versions[:-1]))} and {versions[-1]}"


def _said(time_us: int) -> str:
    from stream.core.policy import BEGINNING

    return "the beginning" if time_us <= BEGINNING else local_minute(time_us)


def _until(time_us: int) -> str:
    from geo.matching.history import FOREVER

    return "" if time_us >= FOREVER else local_minute(time_us)


def _print_differences(changed: Sequence[Difference], before: str, after: str) -> None:
    print_table(
        ("setting", before, after, "from", "until"),
        [(item.setting, item.before, item.after, _said(item.start), _until(item.end)) for item in changed],
    )


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


def _when(time_us: int | None) -> str | None:
    """RFC 3339; None for the beginning, and for no end."""
    from geo.matching.history import FOREVER
    from stream.core.calendar import rfc3339
    from stream.core.policy import BEGINNING

    return None if time_us is None or not BEGINNING < time_us < FOREVER else rfc3339(time_us)


def _json(item: Difference | Outdated | PolicyRecord, *names: str, **more: object) -> dict[str, object]:
    """Some fields of an item, from and until when it holds, and what else there is to say."""
    said: dict[str, object] = {name: getattr(item, name) for name in names}
    return {**said, "from": _when(item.start), "until": _when(item.end), **more}


def _differences_json(changed: Sequence[Difference]) -> list[dict[str, object]]:
    return [_json(item, "setting", "before", "after") for item in changed]


def outdated_json(found: Sequence[Outdated]) -> list[dict[str, object]]:
    """What is still counted under older versions."""
    return [_json(item, "version", "duties") for item in found]
