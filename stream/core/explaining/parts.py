"""The facts from which an explanation is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from stream.core.quality.doubts import Doubts
from stream.core.shares import FORCE, OFFICER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.quality.findings import QualityFindings
    from stream.core.slices import Slices


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Whole duties with their slices, and what they are based on.

    Attributes:
        slices: of all duties that touch the period, and perhaps of others; no open ends.
        duties, places, device_ids: what the slices' numbers point at.
        until: up to when open duties are counted, microseconds.
        boundaries_from: since when there are boundaries, microseconds.
        basis: names, and what figures are based on.
        booked: the first and the last start of any duty of the officer or area asked about; None: there is
            none.
        left_out: what could not be used, in lines.
        doubts: the duties' doubtful time (rule 21); by default none is known.
        near: where there is no duty, the ids that are nearly the one asked for.
        quality: the findings about all facts (rule 22); None: they are not known.
        reported: by device the times of its positions in order, microseconds, those within
            ``stream.core.explaining.explanation.silences`` at least.
        far: whether all positions of anybody in the period lie far from all areas (``Figures.far``).
    """

    slices: Slices
    duties: Sequence[Duty]
    places: Sequence[Place]
    device_ids: Sequence[str]
    until: int
    boundaries_from: int
    basis: Named
    booked: tuple[int, int] | None
    left_out: tuple[str, ...] = ()
    doubts: Doubts = field(default_factory=Doubts.none)
    near: tuple[str, ...] = ()
    quality: QualityFindings | None = None
    reported: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    far: bool = False


def area_names(*sets: AreaSet) -> dict[tuple[str, str], str]:
    """The areas' names by ``(kind, id)``; of several versions the last one's."""
    return {
        (kind.value, area_id): name
        for areas in sets
        for kind, area_id, name in zip(areas.kind, areas.area_id, areas.name, strict=True)
    }


def ids_of(duties: Iterable[Duty], scope: str) -> set[str]:
    """The officers or neighbourhoods that have duties, cancelled ones aside; none of the force."""
    live = [duty for duty in duties if not duty.cancelled]
    if scope == OFFICER:
        return {duty.officer_id for duty in live}
    return set() if scope == FORCE else {area for duty in live for area in duty.patch}


def near_ids(wanted: str, known: Iterable[str]) -> tuple[str, ...]:
    """The ids that are nearly the one wanted, three at most.

    Those that differ in leading zeros, case, blanks and dashes alone (``412``, ``0412``) or, where there are
    none, those that are spelt most alike.
    """
    every = sorted(known)
    same = [name for name in every if _bare(name) == _bare(wanted)]
    return tuple(same[:3] or get_close_matches(wanted, every, 3, 0.75))


def _bare(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\s_/-]+", "", text.casefold()))
