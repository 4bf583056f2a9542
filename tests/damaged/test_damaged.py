"""A short part of the campaign of damaged inputs; ``make inputs`` runs a million of each kind."""

from __future__ import annotations

import random

import pytest

from stream.core.toml import TomlError, toml
from tests.damaged.mutating import damaged
from tests.damaged.targets import Api, Areas, DamageError, Events, Rosters, Target, one_line
from tests.foreign_files import zip_bytes
from tests.shell.kafka import PROJECT

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


DEEP, LONG = b"[" * 600, b"9" * 5000


def long_named_zip() -> bytes:
    """An archive whose directory says another name than the file in it, whose name is very long."""
    data = zip_bytes({"n" * 5000 + ".shp": b"x"})
    head, tail = data.split(b"PK\x01\x02")
    return head + b"PK\x01\x02" + tail.replace(b"nnnn", b"mmmm", 1)


FOUND: tuple[tuple[type[Areas | Events | Rosters], tuple[object, ...]], ...] = (
    (Events, (DEEP + LONG + b"]" * 600, b'{"a":' * 300 + DEEP)),
    (Areas, ((".zip", long_named_zip()),)),
    (Rosters, ((".csv", long_named_zip(), b""),)),
    (Rosters, ((".csv", b"officer_id,date,start,end\n1,2,3,4," + LONG + b"\n", b""),)),
    (Rosters, ((".csv", b"a,b\n1,2\n", b"a = " + DEEP),)),
    (Rosters, ((".csv", b"a,b\n1,2\n", b"a = " + LONG),)),
    (Rosters, ((".csv", b"a,b\n1,2\n", b'"' + b"x" * 70_000 + b'" = 1'),)),
    (Rosters, ((".csv", b"a," + b"x" * 70_000 + b"\n1,2\n", b'[columns]\nofficer_id = "c"\nstart = "d"\n'),)),
)


@pytest.mark.parametrize("number", range(len(FOUND)))
def test_what_did_damage_once_is_refused_in_a_line(number: int) -> None:
    """Inputs that once ended in a trace, or in a message as long as themselves, are refused in a line."""
    kind, inputs = FOUND[number]
    found: Target = kind()
    try:
        found.take(inputs)
    finally:
        found.close()


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 600, "a = " + "9" * 5000, "a = ", "a = 2026-02-30", '"' * 70_000]
)
def test_whatever_is_wrong_with_toml_is_one_error(text: str) -> None:
    """Nesting, numbers, days and quotes that nobody writes by hand: one kind of error, one line."""
    with pytest.raises(TomlError) as refusal:
        toml(text)
    one_line(str(refusal.value), 300)


def test_toml_is_read_in_one_place() -> None:
    """Nothing but that place reads TOML, so that no file of settings ends a command with a trace."""
    places = [path for path in (PROJECT / "stream").rglob("*.py") if "node_modules" not in path.parts]
    assert [path.name for path in places if "tomllib" in path.read_text(encoding="utf-8")] == ["toml.py"]
