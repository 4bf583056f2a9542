"""The public's month as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.core.calendar import LOCAL, Period, moment

if TYPE_CHECKING:
    from collections.abc import Sequence


from stream.web.weeks.strip import Told, render

STATES = {
    "shown": "",
    "nobody": "no officer of its own was on duty",
    "few": "no figure: too few officers gave it",
    "shared": "no figure: with a neighbour's it would tell of few officers",
}
"""What became of a neighbourhood's figure in a public month."""


def months_page(period: Period, rows: Sequence[tuple[str, str, str]], about: Told) -> str:
    """The neighbourhoods of a month, for the public.

    Args:
        period: the month.
        rows: name, address, and what became of its figure.
        about: what it rests on.
    """
    return render(
        "months",
        told_=[about],
        month=f"{moment(period.start).astimezone(LOCAL):%B %Y}",
        rows=[(name, href, STATES[state]) for name, href, state in rows],
    )
