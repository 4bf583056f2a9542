"""A summary with persons left out, or pseudonyms in their place: for whoever may not see all of them.

Pure: a summary in, a summary out, so that pages, files and answers made of it all keep the same back. Figures
stay as they are. Sentences and details that name somebody who is hidden are left out: they cannot be said
without the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from stream.core.pseudonyms import DEVICE, DUTY, OFFICER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.core.pseudonyms import Pseudonyms
    from stream.core.summaries.model import (
        FactFinding,
        FactsWorth,
        FigureChange,
        OfficerSummary,
        Said,
        Summary,
        TeamFacts,
    )

ANOTHER: Final = "an officer of another neighbourhood"
"""What stands in the place of an officer who is hidden."""
ANOTHER_VEHICLE: Final = "a vehicle of another neighbourhood"
SOMEBODY: Final = "an officer"
"""The same where every officer is hidden."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Ids and names that are not to be seen.

    Attributes:
        texts: of officers, duties and devices.
    """

    texts: frozenset[str]
    _longest: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def names(self, text: str) -> bool:
        """Whether a text names one of them, as a word of its own."""
        if text not in self._longest:
            self._longest[text] = any(
                item in text and re.search(rf"(?<!\w){re.escape(item)}(?!\w)", text) is not None
                for item in self.texts
            )
        return self._longest[text]

    def without(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Sentences that name none of them."""
        return tuple(text for text in texts if not self.names(text))


def without_others(summary: Summary, hidden: Hidden) -> Summary:
    """A summary in which only those are named who are not hidden."""
    return replace(
        summary,
        areas=tuple(
            replace(area, by_officer=tuple(item for item in area.by_officer if item[0] not in hidden.texts))
            for area in summary.areas
        ),
        teams=tuple(_team(team, hidden, ANOTHER) for team in summary.teams),
        said=_said(summary.said, hidden),
        quality=None if summary.quality is None else _worth(summary.quality, hidden, None),
    )


def with_pseudonyms(summary: Summary, hidden: Hidden, pseudonyms: Pseudonyms) -> Summary:
    """A summary in which nobody is named: pseudonyms stand in place of the ids of officers and duties.

    Roles are left out: in a small team they tell who somebody is.

    Args:
        summary: whose officers are named.
        hidden: all of the period.
        pseudonyms: under the force's key.
    """

    def officer(name: str) -> str:
        return pseudonyms.of(OFFICER, name)

    every = {name for item in summary.officers for name in (item.officer_id, item.name)}
    every |= {duty.duty_id for item in summary.officers for duty in item.duties}
    hidden = Hidden(hidden.texts | every)
    return replace(
        summary,
        areas=tuple(
            replace(
                area,
                by_officer=tuple(sorted((officer(item[0]), item[1], item[2]) for item in area.by_officer)),
            )
            for area in summary.areas
        ),
        away=tuple(
            replace(item, by_officer=tuple(sorted((officer(name), time) for name, time in item.by_officer)))
            for item in summary.away
        ),
        officers=tuple(
            sorted((_officer(item, pseudonyms) for item in summary.officers), key=lambda item: item.name)
        ),
        teams=tuple(_team(team, None, SOMEBODY) for team in summary.teams),
        said=_said(summary.said, hidden),
        changes=tuple(_change(item) for item in summary.changes),
        quality=None if summary.quality is None else _worth(summary.quality, hidden, pseudonyms),
    )


def _officer(item: OfficerSummary, pseudonyms: Pseudonyms) -> OfficerSummary:
    name = pseudonyms.of(OFFICER, item.officer_id)
    duties = tuple(replace(duty, duty_id=pseudonyms.of(DUTY, duty.duty_id)) for duty in item.duties)
    figures = replace(item.figures, id=name)
    return replace(item, officer_id=name, name=name, role="", figures=figures, duties=duties)


def _team(team: TeamFacts, hidden: Hidden | None, word: str) -> TeamFacts:
    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word if hidden is None or name in hidden.texts else name for name in names)

    return replace(team, joined=named(team.joined), left=named(team.left))


def _said(said: Said, hidden: Hidden) -> Said:
    return replace(
        said,
        verdict=hidden.without(said.verdict),
        costs=hidden.without(said.costs),
        notes=hidden.without(said.notes),
    )


def _change(item: FigureChange) -> FigureChange:
    # Who corrected a figure, and the reason as typed, may name anybody.
    return replace(item, by="", why="")


def _worth(worth: FactsWorth, hidden: Hidden, pseudonyms: Pseudonyms | None) -> FactsWorth:
    found = (_finding(item, hidden, pseudonyms) for item in worth.findings)
    return replace(
        worth,
        findings=tuple(item for item in found if item is not None),
        turning="" if hidden.names(worth.turning) else worth.turning,
        said=hidden.without(worth.said),
    )


def _finding(item: FactFinding, hidden: Hidden, pseudonyms: Pseudonyms | None) -> FactFinding | None:
    detail = ";".join(part for part in item.detail.split(";") if not hidden.names(part))
    if pseudonyms is None:
        return None if item.id in hidden.texts else replace(item, detail=detail)
    kinds = {"device": DEVICE, "duty": DUTY, "officer": OFFICER}
    name = pseudonyms.of(kinds[item.scope], item.id) if item.scope in kinds else item.id
    return replace(item, id=name, detail=detail)
