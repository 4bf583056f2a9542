"""``patrol dead-letters``: what was rejected, listed, shown, and sent again after a mend."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import (
    database,
    dry_run_option,
    moment_option,
    print_json,
    print_table,
    say_no,
)
from stream.cli.on_record import username, without_database
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stream.pipeline.second_chance import DeadLetter, ReplayOutcome, Wanted
    from stream.settings import Settings

MOST_SHOWN = 2000
"""Characters of a message that are shown unless all of it is asked for."""


@click.group("dead-letters")
def dead_letters() -> None:
    """What was rejected and why, and its second chance.

    Every message that cannot be used is kept unchanged for 30 days. When the cause is mended (a policy, the
    program, the database) replay sends what is usable now. A letter is called by its number in the list.
    """


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which letters are meant."""
    for option in reversed(
        (
            click.option("--reason", "reasons", multiple=True, help="With this reason; may be repeated."),
            click.option(
                "--topic",
                "from_topics",
                multiple=True,
                help="From this topic, named without PATROL_TOPIC_PREFIX; may be repeated.",
            ),
            click.option("--since", metavar="TIME", help="Of this time or later: 2026-11-23 or with offset."),
            click.option("--until", metavar="TIME", help="Before this time."),
            click.option("--device", default="", help="That name this device."),
        )
    ):
        command = option(command)
    return command


def _wanted(
    numbers: tuple[str, ...],
    reasons: tuple[str, ...],
    from_topics: tuple[str, ...],
    since: str | None,
    until: str | None,
    device: str,
) -> Wanted:
    from stream.core.events import REASONS
    from stream.pipeline.second_chance import Wanted
    from stream.topics import BROKEN_FRAME

    known = (*REASONS, BROKEN_FRAME)
    if unknown := sorted(set(reasons) - set(known)):
        raise click.BadParameter(f"'{unknown[0]}' is none of {', '.join(known)}", param_hint="--reason")
    low, high = (None if text is None else moment_option(text) // 1000 for text in (since, until))
    return Wanted(frozenset(numbers), frozenset(reasons), frozenset(from_topics), low, high, device)


def _found(settings: Settings, wanted: Wanted) -> Iterator[DeadLetter]:
    from stream.pipeline.second_chance import letters

    return (letter for letter in letters(settings) if wanted.takes(letter, settings.topic_prefix))


def _settings() -> Settings:
    settings = load()
    settings.need("kafka")
    return settings


def _when(time_ms: int) -> str:
    from stream.core.calendar import LOCAL, moment

    return f"{moment(time_ms * 1000).astimezone(LOCAL):%Y-%m-%d %H:%M:%S}"


# ── list ──────────────────────────────────────────────────────────────────────────────────────────────────


@dead_letters.command("list", epilog="Example: patrol dead-letters list --reason too_old --since 2026-11-23")
@filters
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="List so many, the newest."
)
@json_option
def list_(limit: int, *, as_json: bool, **which: Any) -> None:
    """How many there are by reason and topic, and the newest of them, without what is in them."""
    from collections import Counter, deque

    settings = _settings()
    wanted, newest = _wanted((), **which), deque[Any](maxlen=limit)
    prefix, counts = settings.topic_prefix, Counter[tuple[str, str]]()
    for letter in _found(settings, wanted):
        counts[letter.reason, letter.topic.removeprefix(prefix)] += 1
        newest.append(letter)
    if as_json:
        print_json(
            {
                "counts": [
                    {"reason": reason, "topic": topic, "count": count}
                    for (reason, topic), count in counts.most_common()
                ],
                "letters": [_head(letter, prefix) for letter in newest],
            },
            indent=1,
        )
        return
    if not counts:
        click.echo("there are none")
        return
    rows = [(reason, topic, f"{count:,}") for (reason, topic), count in counts.most_common()]
    print_table(("reason", "from", "letters"), rows, right=(2,))
    if newest:
        click.echo()
        print_table(
            ("number", "when", "reason", "from"),
            (
                (letter.number, _when(letter.when_ms), letter.reason, letter.topic.removeprefix(prefix))
                for letter in newest
            ),
            right=(0,),
        )


def _head(letter: DeadLetter, prefix: str) -> dict[str, object]:
    from stream.core.calendar import rfc3339

    return {
        "number": letter.number,
        "time": None if letter.time_ms is None else rfc3339(letter.time_ms * 1000),
        "kept": rfc3339(letter.kept_ms * 1000),
        "reason": letter.reason,
        "topic": letter.topic.removeprefix(prefix),
        "partition": letter.stood[0],
        "offset": letter.stood[1],
        "bytes": None if letter.value is None else len(letter.value),
    }


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────


@dead_letters.command(epilog="Example: patrol dead-letters show 1204 --message")
@click.argument("number")
@click.option("--message", is_flag=True, help="Also the message itself: it may say where an officer was.")
@click.option("--all", "whole", is_flag=True, help="All of a long message.")
@json_option
def show(number: str, *, message: bool, whole: bool, as_json: bool) -> None:
    """Why one of them could not be used, and with --message what it says.

    What would become of it now is said by `patrol dead-letters replay NUMBER --dry-run`.

    Exit 1: there is none of that number.
    """
    from geo.boundaries.layer import printable
    from stream.pipeline.second_chance import Wanted

    settings = _settings()
    without_database(settings)
    letter = next(_found(settings, Wanted(frozenset({number}))), None)
    if letter is None:
        say_no(f"there is no dead letter {number}: 'patrol dead-letters list' says which there are")
    head = {**_head(letter, settings.topic_prefix), "detail": letter.detail}
    if as_json:
        if message:
            head |= _message_json(letter.value)
        print_json(head, indent=1)
        return
    for name, said in head.items():
        click.echo(printable(f"{name:<10} {'–' if said is None else said}"))
    if message:
        click.echo()
        for line in message_lines(letter.value, None if whole else MOST_SHOWN):
            click.echo(line)


def _message_json(value: bytes | None) -> dict[str, object]:
    if value is None:
        return {"message": None}
    try:
        return {"message": value.decode()}
    except UnicodeDecodeError:
        return {"message_base64": base64.b64encode(value).decode()}


def message_lines(value: bytes | None, most: int | None) -> Iterator[str]:
    """A message in lines that are safe to show: no control characters, binary as numbers.

    Args:
        value: the message.
        most: the most characters of text, or bytes, that are shown; None: all.
    """
    from geo.boundaries.layer import printable

    if value is None:
        yield "(no message is kept)"
        return
    try:
        text = value.decode()
    except UnicodeDecodeError:
        shown = value if most is None else value[: most // 4]
        for at in range(0, len(shown), 16):
            part = shown[at : at + 16]
            plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
            yield f"{at:08x}  {part.hex(' '):<47}  {plain}"
        left = len(value) - len(shown)
    else:
        shown_text = text if most is None else text[:most]
        for line in shown_text.split("\n"):
            yield printable(line)
        left = len(text) - len(shown_text)
    if left:
        yield f"… and {left:,} more: --all shows them"


# ── replay ────────────────────────────────────────────────────────────────────────────────────────────────


@dead_letters.command(
    epilog="Example: patrol dead-letters replay --reason error_too_large --since 2026-11-23 --dry-run"
)
@click.argument("numbers", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="All there are.")
@dry_run_option
@json_option
@click.pass_context
def replay(
    context: click.Context,
    /,
    numbers: tuple[str, ...],
    *,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Sends again what is usable now: those of the NUMBERS, those that the options name, or --all.

    Each is judged by this program and the policies in force, as of when it first came; what is still unusable
    is not sent, and told by reason. Sending one again changes nothing: facts count once, and a report that is
    taken now is no longer counted as rejected. Run it while `patrol ingest` runs.

    Exit 1: some of them cannot be used.
    """
    from stream.pipeline.second_chance import replay as send

    if not (numbers or everything or any(which.values())):
        raise click.UsageError("say which: numbers, an option such as --reason, or --all")
    settings = _settings()
    wanted = _wanted(numbers, **which)
    with database("patrol dead-letters", settings) as connection:
        done = send(settings, connection, _found(settings, wanted), by=username(), dry_run=dry_run)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "sent": done.sent,
                "sent_before": done.before,
                "doubled": done.doubled,
                "unusable": dict(done.refused),
            },
            indent=1,
        )
    else:
        for line in outcome(done, dry_run=dry_run):
            click.echo(line)
    context.exit(1 if done.refused else 0)


def outcome(done: ReplayOutcome, *, dry_run: bool) -> Iterator[str]:
    """What a replay did, or would do, a line each."""
    from geo.boundaries.layer import printable

    verb = "would be sent" if dry_run else "sent"
    before = f", {done.before:,} of them not for the first time" if done.before else ""
    yield f"{done.sent:,} {verb} again{before}"
    if done.doubled:
        yield f"{done.doubled:,} hold a message that another one holds too"
    for reason, count in done.refused.most_common():
        number, why = done.examples[reason]
        yield printable(f"{count:,} not: {reason}; number {number}: {why}")
