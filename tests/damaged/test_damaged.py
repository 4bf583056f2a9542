"""A short part of the campaign of damaged inputs; ``make inputs`` runs a million of each kind."""

from __future__ import annotations

import random

import pytest

from tests.damaged.mutating import damaged
from tests.damaged.targets import Api, Areas, DamageError, Events, Rosters, Target, one_line

CALLS = {Events: 8, Areas: 60, Rosters: 60}


@pytest.mark.parametrize("kind", CALLS)
def test_whatever_is_sent_is_taken_or_refused_in_a_line(kind: type[Events | Areas | Rosters]) -> None:
    """Each damaged message, file and roster is taken, or refused with one line; no file is changed."""
    found: Target = kind()
    try:
        for seed in range(CALLS[kind]):
            found.take(found.damage(random.Random(seed)))
    finally:
        found.close()


def test_whatever_is_asked_gets_an_answer(database: str) -> None:
    """No damaged request to any route is answered with a fault of the server's."""
    found = Api(database)
    try:
        for seed in range(8):
            found.take(found.damage(random.Random(seed)))
    finally:
        found.close()


def test_damage_is_told() -> None:
    """What a target must not do is noticed; a seed makes the same input again."""
    for text in ("two\nlines", "", "x" * 5000, "\ud800"):
        with pytest.raises(DamageError):
            one_line(text)
    assert damaged([b"abc", b"def"], random.Random(5)) == damaged([b"abc", b"def"], random.Random(5))
    assert len({damaged([b'{"a": 1}'], random.Random(seed)) for seed in range(50)}) > 25
