"""What pages are told when things go wrong: a database that hangs, is away or empty, a worker gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from stream.core.calendar import rfc3339
from stream.core.facts import SECOND
from stream.embedded import EmbeddedDatabase
from stream.pipeline.processes import command
from stream.settings import EVENTS, WALL, Settings
from stream.store.bounded import NoAnswerError
from stream.store.pool import Pool
from stream.store.schema import connect
from stream.topics import DUTY_BOOKINGS, RADIO_POSITIONS
from stream.web.app import create_app
from stream.web.live.pulse import Pulse
from tests.shell.pipeline import WORKER, Message, Pipeline
from tests.shell.town import MINUTE, NOON, SPOTS, TOWN, Town, duty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stream.embedded import EmbeddedBroker
    from stream.store.schema import Connection

LONG_S = 120.0
"""What is waited for comes in seconds; a busy machine may need more."""


class Line:
    """A TCP line to a database on a Unix socket, on which at a word nothing is passed on any more.

    Args:
        dsn: the database.
    """

    def __init__(self, dsn: str) -> None:
        where = psycopg.conninfo.conninfo_to_dict(dsn)
        self._target = f"{where['host']}/.s.PGSQL.5432"
        self.through = threading.Event()
        self.through.set()
        self.held = threading.Event()
        """Something has come that is not passed on."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._listening.getsockname()[1]}/{where['dbname']}"
        self._open: list[socket.socket] = []
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """From now on nothing is passed on, neither on lines that are open nor on new ones."""
        self.through.clear()

    def thaw(self) -> None:
        """Everything is passed on again."""
        self.through.set()

    def close(self) -> None:
        """Ends all lines."""
        self._ended = True
        self.through.set()
        for item in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(near)
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        self.through.wait()
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as far:
            far.connect(self._target)
            while not self._ended:
                ready, _, _ = select.select([near, far], [], [])
                if not self.through.is_set():
                    self.held.set()
                self.through.wait()
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    (far if end is near else near).sendall(data)
        near.close()


@pytest.fixture
def town(database: str) -> Iterator[Town]:
    """Two officers from noon on, for ten minutes."""
    made = Town(database).begin(duty("O1", "N1", NOON, NOON + 480 * MINUTE), duty("O3", "N2", NOON, None))
    made.put(R1="west", R3="east")
    made.go(10)
    yield made
    made.close()


@pytest.fixture
def line(town: Town) -> Iterator[Line]:
    """A line to the town's database."""
    made = Line(town.dsn)
    yield made
    made.close()


@contextlib.contextmanager
def serving(dsn: str, **settings: object) -> Iterator[httpx.Client]:
    """`patrol web`, and a client of it; it ends cleanly when it is told to, whatever state it is in."""
    web = subprocess.Popen(
        command("web", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PATROL_DATABASE": dsn,
            "PATROL_CLOCK": "events",
            "PYTHONUNBUFFERED": "1",
            **{f"PATROL_{name.upper()}": str(value) for name, value in settings.items()},
        },
    )
    try:
        assert web.stdout is not None
        with httpx.Client(base_url=web.stdout.readline().strip(), timeout=LONG_S) as client:
            yield client
        web.terminate()
        _, log = web.communicate(timeout=LONG_S)
        assert web.returncode == 0, log
        assert "Traceback" not in log, log
    finally:
        web.kill()
        web.communicate()


def until(ask: Callable[[], Any], done: Callable[[Any], object]) -> Any:
    """Asks until the answer is as wanted; every question takes its time on the way to another process."""
    deadline = time.monotonic() + LONG_S
    while not done(found := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {LONG_S:.0f} s still {found!r}")
    return found


def fresh_of(client: httpx.Client) -> Callable[[], dict[str, Any]]:
    """Asks how fresh the data are."""
    return lambda: dict(client.get("/api/v1/live").json()["fresh"])


def problem(answer: httpx.Response) -> str:
    """The sentence of a problem document that says that something cannot be had now."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 503
    return str(answer.json()["detail"])


# ── A database that hangs ─────────────────────────────────────────────────────────────────────────────────


def test_a_database_that_hangs_holds_nobody_up(line: Line) -> None:
    """While an open connection says nothing, every path is answered; when it speaks again all goes on."""
    with serving(line.dsn, database_answer_s=0.5, database_statement_s=3600) as client:
        assert client.get("/api/v1/live").json()["fresh"]["state"] != "empty"
        assert client.get("/collections").status_code == 200
        line.freeze()
        stuck = until(fresh_of(client), lambda fresh: fresh["trouble"])
        assert (stuck["state"], stuck["trouble"]) == ("stale", "silent")
        assert stuck["text"].startswith("Stale: the database does not answer now;")
        for path in ("/readyz", "/collections", "/collections/premises/items", "/api/v1/officers/O1"):
            assert problem(client.get(path)) == "the database does not answer now; try again"
        for path in ("/", "/page", "/healthz", "/api/v1/units", "/static/nothing.js"):
            assert client.get(path).status_code in (200, 404)
        assert "patrol_web_database_up 0" in client.get("/metrics").text
        line.thaw()
        until(fresh_of(client), lambda fresh: not fresh["trouble"])
        until(lambda: client.get("/readyz").status_code, lambda status: status == 200)


def test_a_database_that_never_answered_is_told_of(line: Line) -> None:
    """Where the database takes the connection and says nothing, that is said; the program can be ended."""
    line.freeze()
    with serving(line.dsn, database_answer_s=0.5) as client:
        for path in ("/readyz", "/api/v1/live", "/collections", "/api/v1/areas"):
            assert problem(client.get(path)).startswith("the database ")
        with client.stream("GET", "/api/v1/stream") as answer:
            fresh = json.loads(next(item for item in answer.iter_lines() if item.startswith("data: "))[6:])[
                "fresh"
            ]
        assert fresh["trouble"] in ("silent", "away")
        assert fresh["text"].startswith("No figures yet: the database ")
        assert "PATROL_DATABASE" in fresh["text"]
        assert (fresh["newest_event"], fresh["age_s"]) == (None, None)


@contextlib.contextmanager
def pooled(dsn: str, **settings: float) -> Iterator[Pool]:
    """Connections to a database."""
    pool = Pool(Settings(database=dsn, **settings))  # type: ignore[arg-type]
    try:
        yield pool
    finally:
        pool.close()


def test_a_connection_that_is_silent_is_given_up(line: Line) -> None:
    """A statement that never comes back fails after its time, and the connection is not used again."""
    with pooled(line.dsn, database_connect_s=LONG_S, database_statement_s=0.2) as pool:
        with pool.connection(patient=True) as connection:
            line.freeze()
            with pytest.raises(NoAnswerError):
                connection.execute("select 1")
            assert connection.closed
        line.thaw()
        with pool.connection() as other:
            assert other is not connection


def test_all_that_is_asked_has_one_time(town: Town) -> None:
    """A question is given up after its time, also where each of its statements is answered soon enough."""

    def dawdle(connection: Connection) -> None:
        while True:
            connection.execute("select pg_sleep(0.3)")

    with (
        pooled(town.dsn, database_answer_s=0.5) as pool,
        pool.connection() as connection,
        pytest.raises(NoAnswerError),
    ):
        dawdle(connection)


def test_nobody_need_wait_for_a_silent_connection(line: Line) -> None:
    """Whoever ends the program ends the wait for answers that nobody wants any more."""
    with (
        pooled(line.dsn, database_statement_s=3600) as pool,
        pool.connection(patient=True) as connection,
    ):
        line.freeze()

        def lose_patience() -> None:
            assert line.held.wait(LONG_S)
            pool.close()

        with ThreadPoolExecutor(1) as thread:
            impatient = thread.submit(lose_patience)
            with pytest.raises(NoAnswerError):
                connection.execute("select 1")
            impatient.result()


def test_a_stuck_question_holds_no_other_up(town: Town) -> None:
    """While one question waits for a lock others are answered, and it is given up after its time."""
    with (
        pooled(town.dsn, database_answer_s=1.0) as pool,
        connect(town.dsn, name="locker") as other,
        other.transaction(),
    ):
        other.execute("lock table alert in access exclusive mode")
        with pool.connection() as stuck, pool.connection() as free:
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(stuck.execute, "select 1 from alert")
                assert free.execute("select 1").fetchone() == (1,)
                failure = waiting.exception()
            assert isinstance(failure, (NoAnswerError, psycopg.errors.QueryCanceled))


def test_that_the_database_is_away_is_told_at_once() -> None:
    """Where nothing listens, all who wait are told so, not that there is no answer, and need not wait."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dsn = f"postgresql://nobody@127.0.0.1:{gone.getsockname()[1]}/none"
    with pooled(dsn, database_answer_s=3600) as pool, ThreadPoolExecutor(4) as threads:

        def ask() -> Exception | None:
            with contextlib.suppress(NoAnswerError):
                try:
                    with pool.connection():
                        pass
                except psycopg.OperationalError as failure:
                    return failure
            return None

        for failure in [threads.submit(ask) for _ in range(20)]:
            assert "refused" in str(failure.result())


def test_a_locked_table_costs_one_statement(town: Town) -> None:
    """What waits for a lock is ended by the server: pages are told, and no more than one waits at a time."""
    settings = {"database_answer_s": 0.5, "database_statement_s": 0.7}
    with serving(town.dsn, **settings) as client, connect(town.dsn, name="locker") as other:
        assert client.get("/api/v1/live").status_code == 200
        with other.transaction():
            other.execute("lock table stay_end in access exclusive mode")
            for _ in range(4):
                fresh = until(fresh_of(client), lambda found: found["trouble"])
                assert fresh["trouble"] == "silent"
                [(waiting,)] = other.execute(
                    "select count(*) from pg_stat_activity where application_name = 'patrol web' "
                    "and datname = current_database()"
                ).fetchall()
                assert waiting <= 1
        until(fresh_of(client), lambda found: not found["trouble"])


# ── A database that is away, or empty ─────────────────────────────────────────────────────────────────────


def test_a_page_is_told_whether_the_database_is_away_or_without_schema() -> None:
    """Each of the two has its own words, with what to do; nothing is said of how old the data are."""
    with EmbeddedDatabase() as server:

        async def told(pulse: Pulse) -> dict[str, Any]:
            stream = pulse.stream(None, compress=False)
            text = (await anext(stream)).decode()
            await stream.aclose()
            return dict(json.loads(text.split("data: ", 1)[1].split("\n", 1)[0])["fresh"])

        async def work() -> None:
            settings = Settings(database=server.dsn)
            with pooled(server.dsn) as pool:
                pulse = Pulse(settings, pool, lambda: NOON, beat_s=0.1)
                schema = await told(pulse)
                await asyncio.to_thread(server.stop)
                away = await told(pulse)
                await pulse.close()
            for fresh in (schema, away):
                assert (fresh["state"], fresh["newest_event"], fresh["age_s"]) == ("stale", None, None)
            assert (schema["trouble"], away["trouble"]) == ("schema", "away")
            assert "Run 'patrol init'" in schema["text"]
            assert away["text"].startswith("No figures yet: the database cannot be reached now.")

        asyncio.run(work())


def test_a_fault_of_the_program_is_not_laid_on_the_database(town: Town) -> None:
    """A page is told of a fault of the program as such, and goes on when it is over."""

    async def work(pool: Pool) -> None:
        pulse = Pulse(Settings(database=town.dsn), pool, lambda: town.now, beat_s=0.01)
        stream = pulse.stream(None, compress=False)
        assert b"event: snapshot" in await anext(stream)
        look, pulse._viewer.eyes.known = pulse._viewer.eyes.known, None  # type: ignore[assignment]

        async def told(trouble: str) -> str:
            while True:
                if trouble in (text := (await anext(stream)).decode()):
                    return text

        assert "an internal error" in await told('"trouble":"fault"')
        pulse._viewer.eyes.known = look
        await told('"trouble":null')
        await stream.aclose()
        await pulse.close()

    with pooled(town.dsn) as pool:
        asyncio.run(work(pool))


def test_no_schema_is_a_plain_answer(database: str) -> None:
    """Without a schema whoever asks is told to run `patrol init`."""
    with serving(database) as client:
        for path in ("/readyz", "/api/v1/live", "/api/v1/officers/O1", "/api/v1/boundaries/history"):
            assert "run 'patrol init'" in problem(client.get(path))
        assert "patrol_web_database_up 0" in client.get("/metrics").text


@pytest.mark.parametrize(("clock", "age_s"), [(WALL, 3600.0), (EVENTS, 0.0)])
def test_readiness_tells_how_old_the_data_are_by_the_clock_that_counts(
    town: Town, clock: str, age_s: float
) -> None:
    """The newest position's age is by the wall clock, and in a replay by the newest position's own."""

    async def ask() -> dict[str, Any]:
        app = create_app(Settings(database=town.dsn, clock=clock), now=lambda: town.now + 60 * MINUTE)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            return dict((await client.get("/readyz")).json())

    assert asyncio.run(ask())["age_s"] == age_s


def test_a_bad_value_costs_no_connection(town: Town) -> None:
    """A text that the database cannot have is refused as such, and the pulse keeps its connection."""
    with serving(town.dsn) as client, connect(town.dsn, name="witness") as other:

        def server_process() -> list[Any]:
            return other.execute(
                "select pid from pg_stat_activity where application_name = 'patrol web' "
                "and datname = current_database()"
            ).fetchall()

        assert client.get("/api/v1/officers/O1").status_code == 200
        before = server_process()
        assert len(before) == 1
        for path in ("officers/%00", "officers/O1/duties/%00", "neighbourhoods/%00"):
            assert client.get(f"/api/v1/{path}").status_code in (400, 404)
        assert client.get("/api/v1/officers/%00").status_code == 400
        assert client.get("/api/v1/officers/O1").status_code == 200
        assert server_process() == before


# ── HEAD, and ports ───────────────────────────────────────────────────────────────────────────────────────


def test_head_is_answered_as_get(town: Town) -> None:
    """HEAD has GET's status and headers and no content, also where the content would have no end."""
    with serving(town.dsn) as client:
        for path in (
            "/",
            "/page",
            "/boundaries",
            "/healthz",
            "/readyz",
            "/metrics",
            "/conformance",
            "/collections/neighbourhood/items",
            "/api/v1/areas",
            "/api/v1/openapi.json",
            "/api/v1/officers/none",
            "/nothing",
        ):
            got, head = client.get(path), client.head(path)
            assert head.status_code == got.status_code, path
            assert head.content == b""
            moving = {"date", "content-length"} if path == "/metrics" else {"date"}
            assert {name: value for name, value in head.headers.items() if name not in moving} == {
                name: value for name, value in got.headers.items() if name not in moving
            }
        stream = client.head("/api/v1/stream")
        assert (stream.status_code, stream.content) == (200, b"")
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert client.head("/api/v1/alerts/none/acknowledge").status_code == 405
        assert "patrol_web_pages 0" in client.get("/metrics").text


def test_a_port_that_is_taken_is_refused_at_once(tmp_path: Path) -> None:
    """On a port where another program listens `patrol web` starts nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("web", "--port", str(port)),
            capture_output=True,
            text=True,
            timeout=LONG_S,
            check=False,
            env={**os.environ, "PATROL_DATABASE": "postgresql:///none", "TMPDIR": str(tmp_path)},
        )
    assert done.returncode == 2
    assert done.stdout == ""
    why = "another program uses it, perhaps another 'patrol web'; end that, or give another --port"
    assert done.stderr.splitlines() == [f"Error: --port {port}: {why}"]
    assert list(tmp_path.iterdir()) == []


# ── A worker that is gone ─────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_is_gone_is_told_of(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """When the worker is killed the page says so itself, and takes it back when there is one again."""
    names: dict[str, Any] = {"stale_s": 1.0, "watch_s": 0.2, "alert_feed_stopped_s": 3600.0}
    with Pipeline(embedded_broker.bootstrap, database, tmp_path, **names) as pipeline:
        with connect(database) as connection:
            from stream.store import areas

            for kind in sorted(set(TOWN.kind)):
                areas.publish(connection, TOWN, kind, 0, file="town", sha256="-", by="test")

        def position(seconds: int) -> Message:
            at = NOON + seconds * SECOND
            lon, lat = SPOTS["west"]
            body = {"device_id": "R1", "time": rfc3339(at), "lon": lon, "lat": lat, "error_m": 5}
            return Message(RADIO_POSITIONS, json.dumps(body).encode(), at, b"R1")

        booking = {
            "duty_id": "D1",
            "revision": 1,
            "officer_id": "O1",
            "patch": ["N1"],
            "start": rfc3339(NOON),
            "end": None,
            "devices": [{"device_id": "R1", "kind": "radio"}],
        }
        pipeline.post([Message(DUTY_BOOKINGS, json.dumps(booking).encode(), NOON, b"O1")])
        pipeline.post([position(seconds) for seconds in range(0, 60, 5)])
        pipeline.settle()
        chosen = {name: value for name, value in names.items() if name != "alert_feed_stopped_s"}
        with serving(database, **chosen) as client:
            fresh = fresh_of(client)
            until(fresh, lambda found: found["worker_silent_s"] is not None and not found["trouble"])
            pipeline.kill(WORKER)
            told = until(fresh, lambda found: found["trouble"] == "worker")
            assert told["state"] == "stale"
            assert "nothing is counted and no alerts are raised" in told["text"]
            assert told["text"].endswith("check that 'patrol worker' is running.")
            pipeline.start(WORKER)
            again = until(fresh, lambda found: not found["trouble"])
            assert again["worker_silent_s"] < told["worker_silent_s"]


def test_figures_that_go_on_without_a_watch_say_so(town: Town) -> None:
    """Where positions are counted but nobody looks for alerts, the page is live and says just that."""
    from stream.pipeline.watcher import Watcher

    settings = replace(Settings(database=town.dsn), stale_s=5.0, watch_s=1.0)
    watcher = Watcher(settings, wall=lambda: town.now, steady=lambda: town.now / SECOND)
    watcher.changed()
    watcher.close()

    async def work(pool: Pool) -> None:
        pulse = Pulse(settings, pool, lambda: town.now, beat_s=0.0)
        pulse._viewer.eyes.steady = lambda: town.now / SECOND
        assert (await pulse.now()).fresh.trouble == ""
        town.go(3)
        fresh = (await pulse.now()).fresh
        await pulse.close()
        assert (fresh.state, fresh.trouble, fresh.worker_silent_s) == ("live", "worker", 180.0)
        assert fresh.text == (
            "Live: the newest position is 0 s old, but no alerts are raised: the worker has not reported for "
            "3 min: check that 'patrol worker' is running."
        )

    with pooled(town.dsn) as pool:
        asyncio.run(work(pool))
