"""A clock that is ahead, by up to 300 s, makes nothing look fresh that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.explaining.wording import Named
from stream.core.facts import SECOND
from stream.settings import Settings
from stream.store.ledger import Ledger
from stream.store.reading.sight import Eyes
from stream.store.schema import connect
from stream.web.live.units import units_json, units_of
from tests.shell.stored import empty, migrated, put_in_force
from tests.strategies import fix_columns, many, micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.embedded import EmbeddedDatabase
    from stream.store.reading.sight import Sight
    from stream.store.schema import Connection
    from stream.web.live.units import UnitJson

NOON = micros("2026-11-16T12:00:00+00:00")
DEVICES = ("R1", "R2", "R3")


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """One database for the module; each example empties it."""
    with migrated(database_server, "clocks_ahead") as dsn, connect(dsn) as opened:
        yield opened


class Watched:
    """Devices whose reports come now, dated by clocks that are off, and what is seen of them."""

    def __init__(self, connection: Connection) -> None:
        empty(connection)
        put_in_force(connection)
        self.now, self.connection, self.ledger = NOON, connection, Ledger(connection)
        self.eyes = Eyes(Settings(), lambda: self.now, lambda: self.now / SECOND)

    def hear(self, device: str, ahead_s: int) -> None:
        """A report comes now, dated so much ahead."""
        fix = (device, self.now + ahead_s * SECOND, -1.0, 52.6, 5.0)
        self.ledger.positions(fix_columns([fix]))

    def look(self) -> tuple[Sight, dict[str, UnitJson]]:
        """What is seen now, and of each device."""
        found = self.eyes.look(self.connection)
        shown = units_json(
            units_of(found.picture, found.presence), found.picture, self.eyes.policies, Named({})
        )
        return found, {item.id: item.properties for item in shown.features}


def test_a_clock_ahead_makes_no_device_zero_seconds_old(connection: Connection) -> None:
    """Dated ahead, a device is as old as it was seen to come; where nobody saw that, it is not known."""
    watched = Watched(connection)
    watched.hear("R1", 200)
    watched.now += 3 * SECOND
    found, units = watched.look()
    assert (units["R1"].age_s, units["R1"].ahead_s) == (None, 197.0)
    assert (found.fresh.state, found.fresh.age_s) == ("live", None)
    assert "dated 3 min ahead" in found.fresh.text

    watched.now += 10 * SECOND
    watched.hear("R1", 200)
    watched.look()
    for later, ahead in ((60, 140.0), (299, None)):
        heard = watched.now
        watched.now += later * SECOND
        found, units = watched.look()
        assert (units["R1"].age_s, units["R1"].ahead_s) == (later, ahead)
        assert found.fresh.age_s == later
        watched.now = heard
    watched.now += 120 * SECOND
    assert watched.look()[0].fresh.state == "stale"


@many(15)
@given(
    clocks=st.tuples(*[st.sampled_from((0, 0, 1, 30, 299, 300, -1, -240))] * len(DEVICES)),
    steps=st.lists(
        st.tuples(st.sampled_from((0, 1, 7, 100, 400)), st.sets(st.sampled_from(DEVICES))), max_size=8
    ),
)
def test_no_age_is_less_than_it_is(
    connection: Connection, clocks: tuple[int, ...], steps: list[tuple[int, set[str]]]
) -> None:
    """Whatever clocks say: no device, and not the whole, is ever said to be fresher than it is."""
    watched = Watched(connection)
    came: dict[str, int] = {}
    for pause_s, reporting in steps:
        watched.now += pause_s * SECOND
        for device, ahead_s in zip(DEVICES, clocks, strict=True):
            if device in reporting:
                watched.hear(device, ahead_s)
                came[device] = watched.now
        found, units = watched.look()
        for device, unit in units.items():
            if unit.age_s is not None:
                assert unit.age_s >= (watched.now - came[device]) / SECOND
            assert (unit.ahead_s or 0) >= 0
        if found.fresh.age_s is not None:
            assert found.fresh.age_s >= (watched.now - max(came.values())) / SECOND
