"""Copies of rows as columns, against a dictionary of plain values."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.store import copies
from stream.store.copies import Copies

HEAD = np.dtype([("stamp", "<i8"), ("about", "<i8", (2,))])
PART = np.dtype([("start", "<i8"), ("place", "<i4")])
KEYS = st.lists(st.integers(1, 9), unique=True).map(sorted)
PARTS = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 3)), max_size=4)
ROW = st.tuples(st.integers(0, 4), st.fixed_dictionaries({"one": PARTS, "two": PARTS}))
STEPS = st.lists(
    st.one_of(
        st.dictionaries(st.integers(1, 9), ROW).map(lambda rows: ("put", dict(sorted(rows.items())))),
        KEYS.map(lambda keys: ("drop", keys)),
        st.just(("forget", None)),
    ),
    max_size=12,
)


Rows: TypeAlias = dict[int, tuple[int, dict[str, list[tuple[int, int]]]]]


def put(kept: Copies, rows: Rows) -> None:
    """Keeps rows: of each its stamp and two kinds of parts."""
    head = np.zeros(len(rows), HEAD)
    for at, (key, (stamp, _)) in enumerate(rows.items()):
        head[at] = (stamp, (key, -key))
    parts = {
        name: (
            np.array([len(row[name]) for _, row in rows.values()], np.int64),
            np.array([part for _, row in rows.values() for part in row[name]], PART),
        )
        for name in ("one", "two")
    }
    kept.put(np.array(list(rows), np.int64), head, **parts)


@given(steps=STEPS, asked=KEYS, spare=st.sampled_from((0, copies._SPARE)))
def test_a_copy_is_what_was_kept_last(steps: list[tuple[str, object]], asked: list[int], spare: int) -> None:
    """Whatever was kept, dropped and kept again, each key has its newest head and parts, or is not fresh."""
    kept = Copies(HEAD, one=PART, two=PART)
    known: Rows = {}
    before, copies._SPARE = copies._SPARE, spare  # type: ignore[misc]
    try:
        for what, value in steps:
            if what == "put":
                put(kept, value)  # type: ignore[arg-type]
                known.update(value)  # type: ignore[call-overload]
            elif what == "drop":
                kept.drop(np.array(value, np.int64))
                for key in value:  # type: ignore[attr-defined]
                    known.pop(key, None)
            else:
                kept.forget()
                known.clear()
    finally:
        copies._SPARE = before  # type: ignore[misc]
    keys = np.array(asked, np.int64)
    at = kept.find(keys)
    stamps = np.array([known[key][0] if key in known else 7 for key in asked], np.int64)
    assert kept.fresh(at, stamps).tolist() == [key in known for key in asked]
    assert not kept.fresh(at, stamps + 1).any()
    there = np.array([key in known for key in asked], np.bool_)
    wanted = [key for key in asked if key in known]
    assert kept.head(at[there])["about"].tolist() == [[key, -key] for key in wanted]
    for name in ("one", "two"):
        bounds, rows = kept.part(name, at[there])
        assert np.diff(bounds).tolist() == [len(known[key][1][name]) for key in wanted]
        assert rows.tolist() == [part for key in wanted for part in known[key][1][name]]
