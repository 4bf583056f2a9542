"""What the public may see of a month whose reports are published, and what was restated since.

It reads the numbers of the reports; what may be seen is decided in ``stream.core.summaries.disclosure``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from stream.core.summaries.disclosure import corrected, publish_all
from stream.core.summaries.model import FormError
from stream.store import reports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.core.summaries.disclosure import Public, Rule
    from stream.core.summaries.model import Summary
    from stream.store.records import Restatement
    from stream.store.reports import Entry
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True, eq=False)
class PublishedMonth:
    """The reports of a month.

    Attributes:
        newest: of each neighbourhood the newest number, by ``area_id``; none: it is not published.
        restated: restatements of its weeks since, by ``area_id``, where there are any.
    """

    newest: Mapping[str, Entry]
    restated: Mapping[str, Sequence[Restatement]]

    @property
    def documents(self) -> tuple[str, ...]:
        """Their SHA-256: as long as these are the same, so is what the public may see."""
        return tuple(item.sha256 for item in self.newest.values())


def published_month(connection: Connection, month: str) -> PublishedMonth:
    """The newest numbers of a month's reports, and what was restated since."""
    newest = {item.area_id: item for item in reports.listing(connection, month)}
    return PublishedMonth(newest, reports.restated_since(connection, list(newest.values())))


def public_month(connection: Connection, month: str, rule: Rule | None = None) -> list[Public]:
    """What the public may see of a published month, by ``area_id``: small corrections are not shown (P9).

    Args:
        connection: to the database.
        month: like ``2026-10``.
        rule: None: the one of the summaries' policy.

    Raises:
        FormError: a newest number was published by a program with another form of summaries.
    """
    shown: dict[str, Public] = {}
    known: dict[str, Summary] = {}
    numbers = reports.editions(connection, month)
    newest = {item.area_id: item.number for item in numbers}
    for _, together in groupby(numbers, key=lambda item: item.published_at):
        for entry in together:
            with contextlib.nullcontext() if entry.number == newest[entry.area_id] else _unreadable():
                found = reports.read(connection, month, entry.area_id, entry.number)
                if found is not None:
                    known[entry.area_id] = found
        for public in publish_all([known[area_id] for area_id in sorted(known)], rule):
            before = shown.get(public.area_id)
            shown[public.area_id] = public if before is None else corrected(before, public)
    return [shown[area_id] for area_id in sorted(shown)]


def _unreadable() -> contextlib.AbstractContextManager[None]:
    """An earlier number in a form that is no longer read was shown by a program that is no longer there."""
    return contextlib.suppress(FormError)
