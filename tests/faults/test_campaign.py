"""The fault campaign, a short part of it: a run that must come out even, and mistakes that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.__main__ import report, row
from tests.faults.facts import FLAWS
from tests.faults.mistakes import MISTAKES
from tests.faults.running import PLAIN_EVERY, Outcome, Plan, Run, plan, prepare
from tests.faults.servers import Servers
from tests.faults.strikes import STRIKES
from tests.shell.kafka import unavailable_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS = 200
MANY_WORKERS = 148
"""A seed with which all workers are killed, four times, when something was just counted."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Broker and database of the campaign, with what runs copy."""
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(f"needs the real Kafka: {reason}")
    with Servers(can_fill=False) as made:
        prepare(made, tmp_path_factory.mktemp("worlds"))
        yield made


def outcome_of(servers: Servers, what: Plan, folder: Path, mistake: str = "") -> Outcome:
    """What becomes of a run."""
    with Run(servers, what, folder, mistake=mistake) as run:
        return run.go()


@pytest.mark.slow
@pytest.mark.kafka
def test_a_run_with_faults_comes_out_even(servers: Servers, tmp_path: Path) -> None:
    """Killed, stopped, cut off and set back by a failover, the tables are those of the files."""
    strikes = ("killed", "stopped", "standby promoted", "connection cut")
    outcome = outcome_of(servers, Plan(1, strikes, FLAWS), tmp_path)
    assert outcome.differences == []
    assert outcome.accepted + outcome.letters == outcome.sent
    assert outcome.letters > 0


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(servers: Servers, tmp_path: Path, mistake: str) -> None:
    """With offsets on record before the facts, or not looked at, a run with kills ends with a difference."""
    outcome = outcome_of(servers, Plan(MANY_WORKERS, ("killed",) * 4, ()), tmp_path, mistake)
    assert outcome.differences
    assert report({MANY_WORKERS: row(outcome)}) == 1


def test_every_fault_strikes_often_in_a_campaign() -> None:
    """In 200 runs each kind of fault strikes at least ten times, whichever seed is first; four have none."""
    for first in (1, 77, 1000):
        plans = [plan(seed) for seed in range(first, first + RUNS)]
        for kind in (*STRIKES, *FLAWS):
            assert sum(kind in each.faults for each in plans) >= 10, kind
        assert sum(not each.faults for each in plans) == RUNS // PLAIN_EVERY


def test_a_seed_decides_what_happens() -> None:
    """The same seed plans the same faults, and others plan others."""
    assert plan(7) == plan(7)
    assert len({plan(seed).faults for seed in range(1, 21)}) > 10


def test_the_last_line_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Totals are in the last line, differences make the exit code 1, and seeds are listed as ranges."""
    even = row(Outcome(Plan(3, ("killed",), ())))
    plain = row(Outcome(Plan(4, (), ())))
    odd = row(Outcome(Plan(9, ("stopped",), ()), ["stays.csv: 1 of 2 lines differ"]))
    assert report({3: even, 4: plain}) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "faults: runs=2 faulted=1 differences=0"
    assert report({3: even, 4: plain, 9: odd}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "faults: runs=3 faulted=2 differences=1"
    assert "seeds: 3-4, 9" in lines
    assert "seeds with differences: 9" in lines
