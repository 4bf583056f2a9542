"""Every number of a summary against an independent count, over a made-up quarter of a small force."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from geo.areas import AreaSet
from stream.core.calendar import Period
from stream.core.stays import take
from stream.core.summaries.model import decode, encode
from stream.store import areas, publications
from stream.store.ledger import Ledger
from stream.store.reading.summaries import summaries
from stream.store.schema import connect
from tests.oracle.reading import differences, parts_that_do_not_add_up
from tests.oracle.summaries import recount
from tests.quarter import ACROSS, END, OPENED, POLICIES, UP, before_it_is_over, premises, quarter
from tests.shell.stored import migrated, put_in_force

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.core.summaries.model import Summary
    from stream.embedded import EmbeddedDatabase
    from stream.store.schema import Connection

pytestmark = pytest.mark.slow

BATCHES = 10


@pytest.fixture(scope="module")
def connection(database_server: EmbeddedDatabase) -> Iterator[Connection]:
    """The quarter in a database, counted as a worker counts it, a station's opening told late."""
    with migrated(database_server, "quarter") as dsn, connect(dsn) as opened:
        put_in_force(opened, POLICIES)
        for kind, found, since in before_it_is_over():
            areas.publish(opened, found, kind, since, file=f"{kind}.gpkg", sha256="ab", by="test")
        facts = quarter()
        ledger = Ledger(opened)
        ledger.bookings(facts.duties, facts.states)
        for part in np.array_split(np.arange(len(facts.fixes)), BATCHES):
            ledger.positions(take(facts.fixes, part))
        publications.publish(
            opened,
            AreaSet.of(premises(later=True)),
            OPENED,
            file="stations.gpkg",
            sha256="cd",
            by="test",
            why="South Street station has opened",
            now=END,
        )
        opened.execute("vacuum analyze")
        yield opened


def found_in(connection: Connection, name: str, *area_ids: str) -> list[Summary]:
    """The program's summaries of a period."""
    period = Period.named("week" if "W" in name else "month", name)
    return list(summaries(connection, POLICIES, period, area_ids=area_ids or None, now=END))


def by_the_rules(connection: Connection, found: Summary) -> Summary:
    """The oracle's summary of the same."""
    before = 4 if found.period == "week" else 1
    return recount(
        connection,
        POLICIES,
        found.name,
        found.area_id,
        now=END,
        past=len(found.past) - 1,
        before=before,
    )


def assert_same(rules: Summary, found: Summary) -> None:
    """Every number, and that parts make wholes; what differs is told line by line."""
    lines = differences(rules, found) + parts_that_do_not_add_up(found)
    assert not lines, f"{found.name} {found.area_id}:\n" + "\n".join(lines[:40])


def some(number: int) -> tuple[str, ...]:
    """Five of the twelve neighbourhoods, always the two whose border moves."""
    return tuple(
        sorted({"N00", "N01", *(f"N{(number * 5 + step) % (ACROSS * UP):02}" for step in range(2, 5))})
    )


PERIODS = (
    "2026-W38",  # the first: nothing before it
    "2026-W42",  # another lends an officer, the policy changes on the Thursday of the next week
    "2026-W43",  # a new policy on Thursday; on Sunday the clocks go back
    "2026-W44",
    "2026-W45",  # new boundaries on Wednesday
    "2026-W47",  # a station opens, which is told weeks later
    "2026-10",
    "2026-11",
)


@pytest.mark.parametrize("number", range(len(PERIODS)), ids=PERIODS)
def test_every_number_of_a_summary_is_that_of_the_rules(connection: Connection, number: int) -> None:
    """Figures, trend, hours, visits, abstraction, crewing, officers, teams and record: the oracle's, each."""
    for found in found_in(connection, PERIODS[number], *some(number)):
        assert_same(by_the_rules(connection, found), found)


@pytest.mark.parametrize("name", ["2026-W50", "2026-12"])
def test_a_period_that_runs_is_counted_as_far_as_facts_go(connection: Connection, name: str) -> None:
    """Nothing is said of time that has not come: a duty booked into the future is counted up to now."""
    listed = found_in(connection, name, "N00", "N04", "N09", "N10")
    assert len(listed) == 4
    for found in listed:
        assert not found.complete
        assert_same(by_the_rules(connection, found), found)
        assert all(hour.duty + hour.on_break == 0 for hour in found.hours if hour.start >= found.basis.until)


def test_a_period_without_facts_has_no_figure(connection: Connection) -> None:
    """The week before the record begins has every neighbourhood, and no share, officer or visit."""
    found = found_in(connection, "2026-W37")
    assert [item.area_id for item in found] == [f"N{number:02}" for number in range(ACROSS * UP)]
    for item in found:
        assert (item.verdict, item.figures.share, item.officers, item.teams, item.away) == (
            None,
            None,
            (),
            (),
            (),
        )
        assert sum(area.figures.visits for area in item.areas) == 0
        assert item.past[-1].figures is None


def test_one_asked_for_is_one_of_all(connection: Connection) -> None:
    """A summary is the same whether one or all neighbourhoods are asked for, and when stored and read."""
    everyone = found_in(connection, "2026-W46")
    assert [item.area_id for item in everyone] == sorted(item.area_id for item in everyone)
    for item in everyone[::4]:
        assert found_in(connection, "2026-W46", item.area_id) == [item]
        assert decode(encode(item)) == item


def test_what_was_restated_is_what_the_figure_is_now(connection: Connection) -> None:
    """The figure after the last restatement on record is the summary's; before, no station counted."""
    restated = 0
    for found in found_in(connection, "2026-W48"):
        for change in found.changes[-1:]:
            restated += 1
            assert change.before is not None
            assert change.after is not None
            assert change.after == found.figures
            assert change.before.not_visible < change.after.not_visible
            assert change.cause == "areas published"
            assert change.why == "South Street station has opened"
    assert restated > 3


def numbers(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each number of a summary but its form, the sentences and the policy left aside."""
    if is_dataclass(value):
        for item in fields(value):
            if item.name not in ("form", "said", "policy"):
                yield from numbers(getattr(value, item.name), (*path, item.name))
    elif isinstance(value, tuple):
        for at, part in enumerate(value):
            yield from numbers(part, (*path, at))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path


def one_more(value: Any, path: tuple[str | int, ...]) -> Any:
    """The same with one number greater by one."""
    if not path:
        return value + 1
    head, *rest = path
    if isinstance(head, int):
        return (*value[:head], one_more(value[head], tuple(rest)), *value[head + 1 :])
    return replace(value, **{head: one_more(getattr(value, head), tuple(rest))})


def test_the_comparison_sees_a_microsecond(connection: Connection) -> None:
    """Whichever number of a summary is greater by one, it is told."""
    [found] = found_in(connection, "2026-W48", "N00")
    assert differences(found, found) == []
    paths = list(numbers(found))
    assert len(paths) > 2000
    for at in np.random.default_rng(1).choice(len(paths), 300, replace=False).tolist():
        assert differences(found, one_more(found, paths[at])), paths[at]


MINUTES = re.compile(r"^(?:(\d+) h)? ?(?:(\d+) min)?")


def minutes(text: str) -> int:
    """Minutes that a text begins with: ``6 h 10 min``."""
    match = MINUTES.match(text)
    assert match is not None
    return int(match[1] or 0) * 60 + int(match[2] or 0)


def test_the_minutes_said_add_up(connection: Connection) -> None:
    """Time on patch and the costs, as said, make the duty time as said, which is the figure's, rounded."""
    for found in [*found_in(connection, "2026-W43"), *found_in(connection, "2026-11")]:
        first = found.said.verdict[0]
        assert first.startswith("On patch ")
        on_patch, whole = first.removeprefix("On patch ").split(" of ", 1)
        assert minutes(whole) == (found.figures.duty + 30_000_000) // 60_000_000
        assert minutes(on_patch) + sum(map(minutes, found.said.costs)) == minutes(whole), found.area_id
        assert f": {found.verdict}." in first


def test_the_world_has_what_the_comparison_is_for(connection: Connection) -> None:
    """Every verdict, doubt, breaks, shared cars, own hours, other teams' visits, moves: all of it occurs."""
    months = [*found_in(connection, "2026-10"), *found_in(connection, "2026-11")]
    assert {item.verdict for name in PERIODS for item in found_in(connection, name)} >= {"met", "not proven"}
    for name in (
        "on_patch",
        "off_patch",
        "not_visible",
        "unknown",
        "on_break",
        "ambiguous_on",
        "ambiguous_off",
    ):
        assert all(getattr(item.figures, name) > 0 for item in months), name
    assert all(item.crewed.single > 0 for item in months)
    assert sum(item.crewed.double > 0 for item in months) > 5
    areas_ = [area for item in months for area in item.areas]
    assert all(any(area.figures.visits_by_length[at] for area in areas_) for at in range(4))
    assert any(0 < area.figures.visits_in_window < area.figures.visits for area in areas_)
    assert any(area.figures.patrol_time < area.figures.officer_time for area in areas_)
    assert any(area.figures.others_time for area in areas_)
    assert any(team.joined for item in months for team in item.teams)
    assert any(team.left for item in months for team in item.teams)
    assert {hour.again for item in months for hour in item.hours} == {False, True}
