"""The API's answer to whether the facts behind the live figures can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stream.core.facts import SECOND, Allocation, StateReport
from stream.settings import Settings
from stream.store.pool import Pool
from stream.web.boundaries.published import Boundaries
from stream.web.live.pulse import Pulse
from stream.web.live.quality import LiveQuality, QualityJson
from tests.shell.town import MINUTE, NOON, SPOTS, Town, duty
from tests.strategies import fix_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 60 * MINUTE


@pytest.fixture
def town(database: str) -> Iterator[Town]:
    """Two officers from noon on, both where they belong, for an hour."""
    made = Town(database).begin(
        duty("O1", "N1", NOON, NOON + 8 * HOUR), duty("O2", "N2", NOON, NOON + 8 * HOUR)
    )
    made.put(R1="west", R2="east")
    made.go(60, 60)
    with contextlib.closing(made):
        yield made


def asked(town: Town) -> QualityJson:
    """The answer now."""

    async def ask() -> QualityJson:
        settings = Settings(database=town.dsn)
        pool = Pool(settings)
        pulse = Pulse(settings, pool, lambda: town.now)
        try:
            return await LiveQuality(pulse, Boundaries(pool)).now()
        finally:
            await pulse.close()
            pool.close()

    return asyncio.run(ask())


def test_a_clean_town_has_nothing_to_say(town: Town) -> None:
    """Where every device of every duty is heard among the areas, nothing is found."""
    said = asked(town)
    assert (said.findings, said.warnings) == ([], [])
    assert said.text == "Nothing contradicts the facts behind the figures."


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("near", ("device", "0077", "near_id")),
        ("silent", ("duty", "D-O9", "never_heard")),
        ("other times", ("duty", "D-O9", "never_heard")),
        ("patch", ("patch", "N7", "unknown_patch")),
        ("open", ("duty", "D-O9", "open_duty")),
        ("twice", ("officer", "O1", "overlapping_duties")),
        ("spare", ("device", "SPARE", "not_booked")),
        ("swapped", ("device", "R9", "swapped_coordinates")),
        ("state", ("officer", "O8", "state_without_duty")),
    ],
)
def test_a_fault_is_told_by_name(town: Town, kind: str, wanted: tuple[str, str, str]) -> None:
    """Each kind of fault put into a clean town is found under its name, and said in words."""
    more = duty("O9", "N1", NOON, NOON + 8 * HOUR)
    lon, lat = SPOTS["west"]
    match kind:
        case "near":
            town.book(replace(more, devices=(Allocation("0077", "radio"),)))
            town.ledger.positions(fix_columns([("77", town.now - MINUTE, lon, lat, None)]))
        case "silent":
            town.book(more)
        case "other times":
            town.book(more)
            town.ledger.positions(fix_columns([("R9", NOON - MINUTE, lon, lat, None)]))
        case "patch":
            town.book(replace(more, patch=("N7",), devices=(Allocation("R1", "radio"),)))
        case "open":
            town.book(replace(more, start=NOON - 20 * HOUR, end=None))
        case "twice":
            town.book(replace(more, officer_id="O1", devices=(Allocation("R1", "radio"),)))
        case "spare":
            town.ledger.positions(fix_columns([("SPARE", town.now - MINUTE, lon, lat, None)]))
        case "swapped":
            town.book(more)
            town.ledger.positions(fix_columns([("R9", town.now - MINUTE, lat, lon, None)]))
        case _:
            town.ledger.bookings((), [StateReport("O8", town.now - MINUTE, 4)])
    said = asked(town)
    assert wanted in {(row.scope, row.id, row.finding) for row in said.findings}
    # A spare car that nobody booked is listed, and is no mistake.
    assert any(wanted[1] in line for line in said.warnings) == (kind != "spare")
    assert "quality.csv" not in " ".join(said.warnings)
    assert said.text.startswith("Part of the facts behind the figures cannot be right: ") == (kind != "spare")


def test_a_duty_that_has_just_begun_is_not_missed(town: Town) -> None:
    """A duty of a few minutes, and radios of officers who have gone home, are no faults yet."""
    town.book(duty("O9", "N1", town.now - 5 * MINUTE, None))
    town.book(replace(duty("O2", "N2", NOON, NOON + 30 * MINUTE), revision=2))
    assert asked(town).findings == []


def test_the_answer_is_kept_for_a_while(town: Town) -> None:
    """However many ask, the database is asked once in a while."""

    async def ask() -> tuple[QualityJson, QualityJson]:
        settings = Settings(database=town.dsn)
        pool = Pool(settings)
        pulse = Pulse(settings, pool, lambda: town.now)
        quality = LiveQuality(pulse, Boundaries(pool))
        try:
            first = await quality.now()
            town.ledger.positions(fix_columns([("SPARE", town.now - SECOND, *SPOTS["west"], None)]))
            return first, await quality.now()
        finally:
            await pulse.close()
            pool.close()

    first, second = asyncio.run(ask())
    assert first is second
