"""What is said of a file that nobody has described: findings, doubts, and what would take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.files.foreign import Cell

from stream.files.foreign import blank

M = TypeVar("M")


@dataclass(slots=True)
class Guess(Generic[M]):
    """What a table seems to be.

    Attributes:
        mapping: which takes it, or the best there is; None where too little was found.
        columns: our field → their columns.
        unsure: what a person has to look at, a sentence each.
        faults: what is wrong with the whole of it, a sentence each.
        missing: what was not found.
        comments: for a draft, by key of the mapping.
        cancelled: of bookings, the words of a cancelled one.
    """

    mapping: M | None = None
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    cancelled: tuple[str, ...] = ()


def part_that_fits(cells: Sequence[Cell], fits: Callable[[Cell], bool]) -> float:
    """Which part of the cells that are not empty fits; 0 where all are empty."""
    filled = [cell for cell in cells if not blank(cell)]
    return sum(map(fits, filled)) / len(filled) if filled else 0.0


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for people: quoted, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
