"""The table of rights as a document: ``deploy/rights.md``, printed by ``patrol web --rights``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stream.web.access.fields import FIELDS, Says
from stream.web.access.rights import COMMANDS, EVENTS, MOUNTS, PAGES, ROUTES, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.web.access.rights import Rule

HEAD = """# Who sees what

Made from the table of rights in [stream/web/access/rights.py](../stream/web/access/rights.py) by
`patrol web --rights > deploy/rights.md`. A route that is not in the table does not start, and a field of an
answer that is not classified fails the tests.

- Whoever may not ask something is answered as for what does not exist.
- Each role has a scope: the whole force, or the neighbourhoods given with it. Several roles reach as far as
  all of them together.
- An officer is seen through a duty: whoever has one of the neighbourhoods of its patch sees the duty, its
  officer and the devices booked on it.
- **Inspector** and **sergeant** see officers of their scope; they differ in how wide it is. A **GIS officer**
  sees areas and no persons. An **analyst** sees figures, with pseudonyms in place of officers, and no
  positions. An **officer** sees themselves. An **auditor** sees the record, an **administrator** accounts. A
  **display** shows figures without names and positions. **Monitoring** reads metrics.
"""


def committed() -> Path:
    """Where the document stands in the sources."""
    return Path(__file__).parents[3] / "deploy" / "rights.md"


def document() -> str:
    """The document."""
    return "\n".join((HEAD, *_routes(), *_events(), *_pages(), *_fields(), *_commands()))


def _table(*heads: str) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"


def _who(rule: Rule) -> str:
    if rule.open:
        return "everybody, without signing in"
    if rule.roles is None:
        return "whoever is signed in"
    return ", ".join(words for role, words in WORDS.items() if role in rule.roles)


def _routes() -> Iterator[str]:
    yield "## Routes\n"
    yield from _table("route", "shows", "to", "scope")
    for (method, path), rule in ROUTES.items():
        yield f"| `{method} {path}` | {rule.shows} | {_who(rule)} | {rule.scope} |"
    for path, shows in MOUNTS.items():
        yield f"| `GET {path}/…` | {shows} | everybody, without signing in | the same for all of them |"
    yield ""


def _events() -> Iterator[str]:
    yield "## Events of the stream\n"
    yield from _table("event", "says", "to", "scope")
    for name, rule in EVENTS.items():
        yield f"| `{name}` | {rule.shows} | {_who(rule)} | {rule.scope} |"
    yield ""


def _pages() -> Iterator[str]:
    yield "## Pages in the menu\n"
    yield from _table("page", "title", "to")
    for path, (title, ruled) in PAGES.items():
        yield f"| `{path}` | {title} | {_who(ROUTES['GET', ruled])} |"
    yield ""


def _fields() -> Iterator[str]:
    yield "## Fields that say something of a person"
    yield ""
    yield "All other fields of all answers say nothing of one. A field that stands in no list does not leave."
    yield ""
    yield from _table("what they say", "fields")
    for kind in Says:
        named = [
            f"`{name.removesuffix('Json')}.{field}`"
            for name, found in FIELDS.items()
            for field in sorted(found.get(kind, ()))
        ]
        if kind is not Says.NOTHING:
            yield f"| {kind} | {', '.join(named)} |"
    yield ""


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Commands are run on a server, by people with an account there and the database's password."
    yield ""
    yield from _table("command", "for", "names officers, devices or duties")
    for name, rule in COMMANDS.items():
        yield f"| `patrol {name}` | {rule.person} | {'yes' if rule.names else 'no'} |"
    yield ""
