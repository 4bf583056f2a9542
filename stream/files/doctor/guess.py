"""What is said of a file that nobody has described: findings, doubts, and what would take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from stream.files.doctor.clocks import DAY_FIRST, MONTH_FIRST, date_order
from stream.files.doctor.names import rank_of
from stream.files.foreign import nothing

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from stream.files.foreign import Cell, ForeignTable

M = TypeVar("M")
LOOKED_AT: Final = 2_000
"""Rows by whose values columns are judged."""


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


class ColumnSearch(Generic[M]):
    """Looks for the columns of a table, by their names and by what stands in them.

    Args:
        table: as it stands in the file.
        vocabulary: the names of each field.
        most: the part of a column's filled cells that must be what its name says.
    """

    def __init__(
        self, table: ForeignTable, vocabulary: Mapping[str, tuple[re.Pattern[str], ...]], most: float
    ) -> None:
        self._table = table
        self._vocabulary = vocabulary
        self._most = most
        self._cells = {
            name: [row.cells[at] for row in table.rows[:LOOKED_AT]] for at, name in enumerate(table.columns)
        }
        self._begin()

    def _begin(self) -> None:
        self._used: set[str] = set()
        self._guess: Guess[M] = Guess()

    def _doubt(self, text: str) -> None:
        self._guess.unsure.append(text)

    def _fault(self, text: str) -> None:
        self._guess.faults.append(text)

    def _lack(self, text: str) -> None:
        self._guess.missing.append(text)

    def _candidates(self, field_: str, fits: Callable[[Cell], bool], *, most: float = 0.0) -> list[str]:
        """Columns whose name and most of whose cells fit a field, best first."""
        ranked = []
        for at, (name, cells) in enumerate(self._cells.items()):
            rank = self._rank(field_, name)
            if rank is None or name in self._used or part_that_fits(cells, fits) < (most or self._most):
                continue
            filled = sum(not nothing(cell) for cell in cells) / max(1, len(cells))
            ranked.append((rank, self._emptiness(filled), at, name))
        return [name for *_, name in sorted(ranked)]

    def _emptiness(self, filled: float) -> float:
        """By what columns of one rank are put in order, from the part of their cells that is filled."""
        return -round(filled, 1)

    def _rank(self, field_: str, name: str) -> int | None:
        return rank_of(field_, name, self._vocabulary)

    def _take(self, field_: str, fits: Callable[[Cell], bool]) -> str:
        """The best column of a field; empty where there is none."""
        found = self._candidates(field_, fits)
        if found:
            self._use(field_, found[0])
        return found[0] if found else ""

    def _use(self, field_: str, *names: str) -> None:
        self._guess.columns[field_] = names
        self._used.update(names)

    def _filled(self, name: str) -> list[Cell]:
        """The cells of a column that have a value."""
        return [cell for cell in self._cells[name] if not nothing(cell)]

    def _order(self, texts: Iterable[str], example: str = "") -> str:
        """Which comes first in dates; says so where both do, and where nothing tells."""
        order, slashed = date_order(texts)
        if order[MONTH_FIRST] and order[DAY_FIRST]:
            self._fault(
                f"dates are written in both orders: {order[DAY_FIRST]:,} day first, "
                f"{order[MONTH_FIRST]:,} month first"
            )
        elif slashed and not order.total():
            self._doubt(f"every date could be read in both orders{example}: the day is taken to come first")
        return MONTH_FIRST if order[MONTH_FIRST] > order[DAY_FIRST] else DAY_FIRST


def part_that_fits(cells: Sequence[Cell], fits: Callable[[Cell], bool]) -> float:
    """Which part of the cells that have a value fits; 0 where none has."""
    filled = [cell for cell in cells if not nothing(cell)]
    return sum(map(fits, filled)) / len(filled) if filled else 0.0


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for people: quoted, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
