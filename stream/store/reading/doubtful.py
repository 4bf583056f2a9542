"""Doubts as they were judged last (rule 21): the time that is doubtful, by kind and all together.

Reads only; they are judged and written by ``stream.store.doubts``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.quality.doubts import Doubts
from stream.core.shares import DOUBT_TOTALS
from stream.core.slices import ON_PATCH
from stream.store.columns import copy_out, literal
from stream.store.reading.instant import fetch, numbering, us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stream.store.schema import Connection


def doubts_of(connection: Connection, duties: Sequence[int], device_ids: Sequence[str]) -> Doubts:
    """The doubts of some duties, by kind.

    Args:
        connection: in a transaction that sees one instant.
        duties: keys of the duties by their numbers.
        device_ids: the devices' names by their numbers.
    """
    rows = fetch(
        connection,
        f"select duty, {us('start_at')}, {us('end_at')}, kind, device_id, other from doubt "
        "join device using (device) where duty = any(%s)",
        [list(duties)],
    )
    if not rows:
        return Doubts.none()
    duty, start, end, kind, device, other = zip(*rows, strict=True)
    number = {name: at for at, name in enumerate(device_ids)}
    found = Doubts(
        numbering(duties)[np.array(duty, np.int64)],
        np.array(start, np.int64),
        np.array(end, np.int64),
        np.array(kind, np.int8),
        np.array([number[name] for name in device], np.int32),
        np.array(other, np.str_),
    )
    return found.take(np.lexsort((found.other, found.device, found.kind, found.start, found.duty)))


@dataclass(frozen=True, slots=True, eq=False)
class DoubtfulTime:
    """The doubtful time of some duties, all kinds together.

    Attributes:
        keys: of the duties.
        duty: ``int64[m]``, their positions.
        start: ``int64[m]``, microseconds since 1970 UTC.
        end: ``int64[m]``, exclusive.
        on_patch: ``bool[m]``.
        ambiguous: ``bool[m]``, whether the error of the position leaves it open as well (rule 14).
    """

    keys: NDArray[np.integer]
    duty: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    on_patch: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]

    @classmethod
    def of(cls, connection: Connection, keys: NDArray[np.integer]) -> DoubtfulTime:
        """That of the duties with these keys, in any order."""
        order = np.argsort(keys)
        duty, start, end, activity, ambiguous = copy_out(
            connection,
            "select duty, start_at, end_at, activity, ambiguous from doubtful "
            f"where duty = any({literal(keys, 'int4')})",
            ["int4", "time", "time", "int2", "bool"],
        )
        at = order[np.searchsorted(keys[order], duty)] if len(keys) else duty
        return cls(keys, at.astype(np.int64), start, end, activity == ON_PATCH, ambiguous)

    def sums(self, low: int, high: int) -> NDArray[np.int64]:
        """Within a period: ``int64[duties, DOUBT_TOTALS]`` (``stream.core.shares.doubt_totals``)."""
        table = np.zeros((len(self.keys), DOUBT_TOTALS), np.int64)
        time = np.maximum(np.minimum(self.end, high) - np.maximum(self.start, low), 0)
        sure = ~self.ambiguous
        for column, part in enumerate((sure | self.ambiguous, sure & self.on_patch, sure & ~self.on_patch)):
            np.add.at(table[:, column], self.duty[part], time[part])
        return table

    def by_duty(self) -> dict[int, set[tuple[int, int, bool, bool]]]:
        """The stretches of each duty that has any, by its key: to see whether they are others."""
        found: dict[int, set[tuple[int, int, bool, bool]]] = {}
        columns = (self.keys[self.duty], self.start, self.end, self.on_patch, self.ambiguous)
        for key, *stretch in zip(*(column.tolist() for column in columns), strict=True):
            found.setdefault(key, set()).add((*stretch,))
        return found
