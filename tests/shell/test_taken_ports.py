"""A port that another program uses costs the live page, and nothing else."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import sys
from typing import TYPE_CHECKING

import click
import pytest
from rich.console import Console

from stream.cli.demo import page_port
from stream.pipeline import processes
from tests.shell.pipeline import Pipeline, demo_facts

if TYPE_CHECKING:
    from pathlib import Path

    from stream.embedded import EmbeddedBroker


def answers(port: int) -> bool:
    """Whether the live page's process answers on a port."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/healthz")
        return asking.getresponse().status == 200
    except OSError:
        return False
    finally:
        asking.close()


@pytest.mark.slow
def test_counting_goes_on_while_another_program_has_the_port(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """`patrol up` counts all that is sent, says once which port it is, and the page comes when it is free."""
    facts = demo_facts(tmp_path, hours=0.03)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = f"up --port={port}"
        with Pipeline(embedded_broker.bootstrap, database, tmp_path, parts=(up,)) as pipeline:
            pipeline.load_areas(facts)
            pipeline.wait(lambda: f"port {port}" in pipeline.log(up), "it is told")
            pipeline.send(facts.messages)
            pipeline.settle()
            assert pipeline.counted() > 0
            told = [line for line in pipeline.log(up).splitlines() if "another program" in line]
            assert len(told) == 1
            assert "no live page" in told[0]
            assert "another --port" in told[0]
            taken.close()
            pipeline.wait(lambda: answers(port), "the page is there")
            assert len([line for line in pipeline.log(up).splitlines() if "another program" in line]) == 1


def test_pages_that_cannot_be_served_end_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `patrol web` is set up wrongly it is started again; where a part that counts is, all end."""
    starts = tmp_path / "starts"
    say = f"open({str(starts)!r}, 'a').write('x'); import sys; sys.exit(2)"
    monkeypatch.setattr(processes, "command", lambda *_: [sys.executable, "-c", say])

    async def pages() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(processes.supervise(("web",), stop))
        while not starts.exists() or starts.stat().st_size < 2:
            assert not work.done()
            await asyncio.sleep(0.01)
        stop.set()
        await work

    asyncio.run(pages())
    with pytest.raises(click.ClickException, match="worker cannot run as it is set up"):
        asyncio.run(processes.supervise(("worker",), asyncio.Event()))


def test_the_demonstration_takes_another_port() -> None:
    """Where its port is taken the demonstration says so in a line, and has its page on a free one."""
    said = Console(file=io.StringIO(), width=60)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = page_port(said, port)
        assert found != port
    assert isinstance(said.file, io.StringIO)
    assert said.file.getvalue() == (
        f"another program uses port {port}: the live page is on port {found}; --port chooses another\n"
    )
    assert page_port(said, port) == port
