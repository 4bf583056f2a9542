"""What tests of the shell ask for by name: a browser, and weeks that have been counted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase


@pytest.fixture(scope="session")
def weeks(database_server: EmbeddedDatabase) -> Iterator[str]:
    """The name of a database with four weeks in it, to be copied: counting them takes a while."""
    from stream.store.schema import connect
    from tests.shell.stored import database_called
    from tests.shell.weekly_site import fill

    with database_called(database_server, "weeks") as dsn:
        with connect(dsn) as connection:
            fill(connection)
        yield "weeks"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser, for one module: its driver keeps an event loop in this thread, where others run theirs."""
    from tests.shell.screen import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own in the shell: this test sees none of them."""
    for variable in [variable for variable in os.environ if variable.startswith("PATROL_")]:
        monkeypatch.delenv(variable)
