"""The growing ends of duties, read again and again: only those that changed come over the line.

Reads only. What changed is asked of PostgreSQL itself, so that whoever counts writes nothing for it, and it
does not matter which process counted: each row says by which transaction it was written, and of transactions
older than the oldest one then running the last snapshot has seen everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stream.core.shares import TOTALS
from stream.store.columns import ARRAY_HEADER, INTEGER, IntegersDumper, parts_of_arrays, series_out
from stream.store.tracks import SLICES, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stream.core.facts import Duty
    from stream.core.windows import Rows
    from stream.store.schema import Connection

HEAD = 1 + TOTALS
"""Numbers before the slices in what is read of a growing end: closed, settled."""


@dataclass(frozen=True, slots=True, eq=False)
class GrowingEnds:
    """Growing ends of duties, in the order of their keys.

    Attributes:
        keys: ``int64[n]``.
        stamps: ``int64[n]``, numbers that are others after each revision of the bookings.
        touched: ``bool[n]``, whether the row differs from what was read last, or was not read then.
        closed: ``int64[n]``, no closed slice ends after this, microseconds.
        settled: ``int64[n, TOTALS]``, sums of the closed slices.
        rows: the growing slices, with keys 0 … n-1.
    """

    keys: NDArray[np.int64]
    stamps: NDArray[np.int64]
    touched: NDArray[np.bool_]
    closed: NDArray[np.int64]
    settled: NDArray[np.int64]
    rows: Rows


class KeptEnds:
    """The growing ends of the duties that touch a time, as they were when they were last asked for.

    Attributes:
        duties: the bookings behind them, for whoever keeps them here; None where they are others now.
    """

    def __init__(self) -> None:
        self.duties: list[Duty] | None = None
        self._until = ""
        self._sent: list[bytes] = []
        nothing = np.empty(0, np.int64)
        self._ends = GrowingEnds(
            *(nothing, nothing, np.empty(0, np.bool_), nothing),
            *(np.empty((0, TOTALS), np.int64), SLICES.empty()),
        )

    def read(self, connection: Connection, low: int, high: int) -> GrowingEnds:
        """Those of the duties that touch a time, both ends included.

        Args:
            connection: in a transaction that sees one instant, of the same database each time.
            low: microseconds since 1970.
            high: microseconds.
        """
        [(until, age)] = connection.execute(
            "select pg_snapshot_xmin(pg_current_snapshot())::xid::text, age(%s::text::xid)",
            [self._until or "3"],
        ).fetchall()
        # A row's xmin is another one whenever it was written anew: a booking is read once a revision.
        _, (keys, stamps, since) = series_out(
            connection,
            "select 0, array_agg(duty::int8 order by duty), array_agg(d.xmin::text::int8 order by duty), "
            "array_agg(age(e.xmin)::int8 order by duty) "
            "from duty d join slice_end e using (duty) where until_at is not null "
            "and tstzrange(start_at, until_at) "
            f"&& tstzrange(from_us({int(low)}), from_us({int(high)}), '[]')",
            ["int8", "int8", "int8"],
        )
        before = self._ends
        was, sent = self._known(keys)
        wanted = (was < 0) | (since <= age) if self._until else was < 0
        touched = was < 0
        touched[~touched] = stamps[~touched] != before.stamps[was[~touched]]
        same = len(keys) == len(before.keys) and not touched.any()
        at = np.flatnonzero(wanted)
        for number, row in zip(at.tolist(), _read(connection, keys[at]), strict=True):
            touched[number] |= sent[number] != row
            sent[number] = row
        if not same:
            self.duties = None
        self._sent, self._until = sent, until
        self._ends = self._spliced(keys, stamps, touched, was, at)
        return self._ends

    def _known(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[bytes]]:
        """For each key where it was, -1 if it was not there; and what was sent of it."""
        known = self._ends.keys
        if not len(known):
            return np.full(len(keys), -1), [b""] * len(keys)
        if np.array_equal(keys, known):
            return np.arange(len(keys)), self._sent
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        was = np.where(known[at] == keys, at, -1)
        return was, [b"" if number < 0 else self._sent[number] for number in was.tolist()]

    def _spliced(
        self,
        keys: NDArray[np.int64],
        stamps: NDArray[np.int64],
        touched: NDArray[np.bool_],
        was: NDArray[np.int64],
        at: NDArray[np.int64],
    ) -> GrowingEnds:
        """What was kept of those that stayed, and what came of the others: only that is unpacked.

        Args:
            keys: as in ``GrowingEnds``.
            stamps: likewise.
            touched: likewise.
            was: ``int64[n]``, where each was before, -1 for nowhere.
            at: ``int64[k]``, those that were read, all that were nowhere among them.
        """
        stays = was >= 0
        stays[at] = False
        head = np.empty((len(keys), HEAD), np.int64)
        head[stays, 0] = self._ends.closed[was[stays]]
        head[stays, 1:] = self._ends.settled[was[stays]]
        head[at], fresh = _unpacked([self._sent[number] for number in at.tolist()])
        place = np.full(len(self._ends.keys), -1)
        place[was[stays]] = np.flatnonzero(stays)
        old = self._ends.rows
        owner = place[old[0]]
        kept = owner >= 0
        owner = np.concatenate([owner[kept], at[fresh[0]]])
        order = np.argsort(owner, kind="stable")  # those of one duty are in order
        rest = [np.concatenate([one[kept], other]) for one, other in zip(old[1:], fresh[1:], strict=True)]
        rows: Rows = (owner[order], *(column[order] for column in rest))
        return GrowingEnds(keys, stamps, touched, head[:, 0], head[:, 1:], rows)


def _read(connection: Connection, keys: NDArray[np.int64]) -> list[bytes]:
    """All that is read of growing ends, as arrays of int8 in binary, in the order of their keys."""
    if not len(keys):
        return []
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_dumper(np.ndarray, IntegersDumper)
    found = cursor.execute(
        "select array[closed] || settled || slices from slice_end where duty = any(%s::int4[]) order by duty",
        [keys],
    )
    result = found.pgresult
    assert result is not None
    return [result.get_value(row, 0) or b"" for row in range(result.ntuples)]


def _unpacked(sent: list[bytes]) -> tuple[NDArray[np.int64], Rows]:
    """Arrays ``closed, settled…, slices…`` in PostgreSQL's binary format → ``int64[n, HEAD]``, and rows."""
    length = (np.array([len(row) for row in sent], np.int64) - ARRAY_HEADER) // INTEGER.itemsize
    flat = parts_of_arrays(b"".join(sent), length)
    first = np.cumsum(length) - length
    own = first[:, None] + np.arange(HEAD)
    return flat[own].reshape(-1, HEAD), rows_of(SLICES, length - HEAD, np.delete(flat, own.ravel()))
