"""The servers and data that tests ask for by name, and the last words of a run: what was left out and why.

Servers are started once for a run and only when a test wants them; a test gets its own database, and names
its own topics (the broker is shared).
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from stream.embedded import EmbeddedBroker, EmbeddedDatabase
from tests.real import DATA
from tests.shell.kafka import RealKafka, unavailable_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The machine may be busy with other work: how long an example takes says nothing of what it proves.
# A run of the same code tries the same examples, so that what passes on one machine passes on the next; `make
# fuzz` tries others each time.
settings.register_profile(
    "same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile("fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but for those that a dependency makes when it is imported and we cannot mend.

    What tests start is told to end by Ctrl-C too: where a shell has this run in the background it would be
    ignored, in all that is started as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # kafka-python 3.0 reads its schemas by functions that Python 3.11 and 3.12 (no longer 3.13) deprecate.
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """One Kafka-compatible broker in memory for the whole run."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[RealKafka]:
    """One Apache Kafka for the whole run, where Java and Maven allow."""
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(f"needs the real Kafka: {reason}")
    with RealKafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def any_broker(request: pytest.FixtureRequest) -> EmbeddedBroker | RealKafka:
    """The broker that users run, where Java and Maven allow, else the embedded one."""
    name = "real_kafka" if unavailable_reason() is None else "embedded_broker"
    found: EmbeddedBroker | RealKafka = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def database_server() -> Iterator[EmbeddedDatabase]:
    """One PostgreSQL for the whole run."""
    with EmbeddedDatabase() as server:
        yield server


_numbers = itertools.count(1)


@pytest.fixture
def database(database_server: EmbeddedDatabase) -> Iterator[str]:
    """The connection URL of an empty database that is this test's own."""
    import psycopg

    name = f"test_{next(_numbers)}"
    with psycopg.connect(database_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    yield database_server.dsn_of(name)
    with psycopg.connect(database_server.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project."""
    if not DATA.is_dir():
        pytest.skip("needs the real data beside the project: there is no folder ../shared/data")
    return DATA


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out a test marked ``kafka`` or ``shared`` where that is missing, even if it takes no fixture."""
    if item.get_closest_marker("kafka") is not None and (reason := unavailable_reason()) is not None:
        pytest.skip(f"needs the real Kafka: {reason}")
    if item.get_closest_marker("shared") is not None and not DATA.is_dir():
        pytest.skip("needs the real data beside the project: there is no folder ../shared/data")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Closes a run by saying which tests were left out and why, so that a green run is no riddle."""
    yield  # to pytest's own summary, so that these are the last lines
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        reasons[reason.removeprefix("Skipped: ")] += 1
    for report in terminalreporter.stats.get("xfailed", []):
        reasons[f"known to fail: {report.wasxfail}"] += 1
    if deselected := len(terminalreporter.stats.get("deselected", [])):
        reasons["not chosen on the command line"] = deselected
    terminalreporter.section("left out")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"left out: {_sentence(count, reason)}")
    if not reasons:
        terminalreporter.write_line("left out: nothing")


def _sentence(count: int, reason: str) -> str:
    """``2, "needs a cup of tea"`` makes ``2 tests need a cup of tea``."""
    tests = "1 test" if count == 1 else f"{count} tests"
    if reason.startswith("needs "):
        return f"{tests} {reason if count == 1 else 'need' + reason.removeprefix('needs')}"
    return f"{tests}: {reason}"
