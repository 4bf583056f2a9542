"""The HTTP API against its own description: schemathesis asks whatever that allows, and more."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from stream.core.facts import SECOND
from stream.pipeline.processes import command
from stream.pipeline.watcher import Watcher
from stream.settings import Settings
from stream.store.schema import connect
from tests.described import JUDGED_BY_SCHEMA, OPERATIONS
from tests.shell.town import MINUTE, NOON, Town, duty

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stream.embedded import EmbeddedDatabase

EXAMPLES = 12
"""Requests for each operation, right ones and wrong ones each."""


FREE = ("/items", "/boundaries/check")
"""Paths where what is right cannot be told by a schema alone: which vertex of a box comes first, that whoever
lets an error pass says who and why; that a limit above the most is cut, as OGC API Features wants; that every
field of a form is text. What may be asked there has tests of its own."""


def wrong_ways(raw: Mapping[str, Any]) -> bool:
    """Whether there is anything to get wrong: any text is an id."""
    return "requestBody" in raw or any(item["schema"] != {"type": "string"} for item in raw["parameters"])


WAYS = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or wrong_ways(operation.definition.raw)
]
"""Every operation asked rightly, and wrongly where that can be."""


@pytest.fixture(scope="module")
def address(database_server: EmbeddedDatabase) -> Iterator[str]:
    """`patrol web` over a small town in which an alert rings."""
    with connect(database_server.dsn) as server:
        server.execute("create database schemathesis template template0")
    dsn = database_server.dsn_of("schemathesis")
    town = Town(dsn).begin(duty("O1", "N1", NOON, NOON + 8 * 60 * MINUTE), duty("O3", "N2", NOON, None))
    town.put(R1="market", R3="west")
    chosen = replace(Settings(database=dsn), clock="events", alert_nobody_on_patch_s=60.0)
    watcher = Watcher(chosen, wall=lambda: town.now, steady=lambda: town.now / SECOND)
    for _ in range(4):
        town.go(1)
        watcher.changed()
    watcher.close()
    town.close()
    process = subprocess.Popen(
        command("web", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            **{f"PATROL_{name.upper()}": str(value) for name, value in asdict(chosen).items() if value},
            "PYTHONUNBUFFERED": "1",
        },
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rstrip("/")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
        with connect(database_server.dsn) as server:
            server.execute("drop database schemathesis with (force)")


@pytest.mark.parametrize(("label", "mode"), WAYS)
def test_the_api_keeps_to_its_description(address: str, label: str, mode: GenerationMode) -> None:
    """No request, right or wrong, breaks the server, and every answer is one that the description names."""
    operation = OPERATIONS[label]
    free = operation.path.endswith(FREE)
    names = [name for name in CHECKS.get_all_names() if not (free and name in JUDGED_BY_SCHEMA)]
    checks = [CHECKS.get_one(name) for name in names]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=address, checks=checks, timeout=30)

    ask()
