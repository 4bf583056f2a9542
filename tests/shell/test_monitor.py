"""Whether a process gets on: what its ``/readyz`` and its metrics say while nothing is read."""

from __future__ import annotations

import gc
import json
import logging
import math
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaError
from prometheus_client.parser import text_string_to_metric_families

from stream import topics
from stream.core.calendar import parse_time
from stream.embedded import EmbeddedBroker, EmbeddedDatabase, free_port
from stream.pipeline.lag import LagMeter, Reach
from stream.pipeline.metrics import IngestMetrics, WorkerMetrics
from stream.pipeline.monitor import LOOK_S, REPORT_S, STALL_S, Monitor, Progress
from stream.pipeline.outages import Outages
from stream.settings import Settings
from stream.store.losses import record
from stream.topics import NoLongerHeld
from tests.shell.pipeline import INGEST, WORKER, Message, Pipeline, demo_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY = ("radio.positions", 3)
PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Partition:
    """A partition of Kafka and whoever reads it, as the monitor sees them."""

    settled: int = 0
    end: int = 0
    marks: int = 0
    asked: list[int] = field(default_factory=list)

    def oldest_ms(self, topic: str, partition: int, offset: int) -> int | None:
        """As the meter: the last ``marks`` offsets hold no message."""
        assert (topic, partition) == KEY
        self.asked.append(offset)
        return 1 if offset < self.end - self.marks else None

    def look(self, progress: Progress, now: float) -> None:
        progress.look({KEY: Reach(self.settled, self.end)}, now)


def test_what_stands_still_is_told_within_fifteen_seconds() -> None:
    """A partition that waits and is not read is named, and no longer when it is read."""
    kafka = Partition(settled=5, end=5)
    progress = Progress(kafka.oldest_ms)
    now = 0.0
    while now < 100:
        kafka.look(progress, now)
        assert progress.said() == ""
        now += LOOK_S
    kafka.end, came = 30, now - LOOK_S + 0.01  # just after a look
    while not progress.said():
        kafka.look(progress, now)
        now += LOOK_S
    assert now - LOOK_S - came < 15
    assert "radio.positions 3" in progress.said()
    assert "25 messages wait" in progress.said()
    kafka.settled = 6
    kafka.look(progress, now)
    assert progress.said() == ""


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=10, max_size=80))
def test_what_is_read_does_not_stand_still(steps: list[tuple[int, int]]) -> None:
    """However slow reading is, and however much waits: where something is settled, all is well."""
    kafka = Partition()
    progress = Progress(kafka.oldest_ms)
    for number, (came, done) in enumerate(steps):
        kafka.end += came
        kafka.settled = min(kafka.end, kafka.settled + max(1, done))
        kafka.look(progress, number * STALL_S / 2)
        assert progress.said() == ""


@given(st.integers(1, 5))
def test_marks_of_transactions_are_no_messages(marks: int) -> None:
    """Offsets that no message has (a transaction's end) are not waited for, and are asked about once."""
    kafka = Partition(settled=10, end=10 + marks, marks=marks)
    progress = Progress(kafka.oldest_ms)
    for number in range(20):
        kafka.look(progress, number * LOOK_S)
        assert progress.said() == ""
    assert len(kafka.asked) == 1
    assert progress.lag(100.0) == {KEY[0]: (0, 0.0)}


@given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.integers(1, 30), st.floats(0.5, 4.0))
def test_lag_in_seconds_is_how_long_the_oldest_has_waited(
    came: list[int], delay: int, every_s: float
) -> None:
    """Read with a constant delay, the lag is that delay, to within two looks, whatever comes when."""
    kafka = Partition()
    progress = Progress(kafka.oldest_ms)
    ends = [0]
    for number, more in enumerate(came):
        now = number * every_s
        kafka.end = ends[-1] + more
        kafka.settled = ends[max(0, number - delay)]
        ends.append(kafka.end)
        kafka.look(progress, now)
        messages, seconds = progress.lag(now)[KEY[0]]
        assert messages == kafka.end - kafka.settled
        assert seconds <= delay * every_s + 1e-9
        if messages and number > delay:
            first = next(at for at, end in enumerate(ends[1:]) if end > kafka.settled)
            assert seconds == pytest.approx((number - first) * every_s)


def test_what_gathers_for_a_while_is_no_backlog(caplog: pytest.LogCaptureFixture) -> None:
    """The line of a minute says nothing of what was heard, which waits on purpose, but of the others."""
    caplog.set_level(logging.INFO, "stream.pipeline.monitor")
    now = 0.0
    settings = Settings(topic_prefix="force.")
    monitor = Monitor(settings, WorkerMetrics(Outages()), Outages(), lambda: now)
    monitor.progress = Progress(lambda *_: 1)
    heard, fixes = (topics.named(name, "force.") for name in (topics.HEARD, topics.FIXES))
    for waiting in (0, 3):
        for _ in range(2):
            monitor.progress.look({(heard, 0): Reach(0, 5), (fixes, 0): Reach(0, waiting)}, now)
            now += REPORT_S / 2
        monitor.report()
    quiet, late = [entry.getMessage() for entry in caplog.records]
    assert quiet == "0 messages (0.0 a second), 0 wait, 0 dead letters"
    assert late == "0 messages (0.0 a second), 3 wait, 1 min 0 s behind, 0 dead letters"


def test_every_metric_is_told_of_in_the_documents() -> None:
    """deploy/README.md has a row for each metric of ingest and worker with its type, and for no other."""
    text = (PROJECT / "deploy" / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(patrol_(?:ingest|worker)_\w+)` \| (\w+) \|", text, re.MULTILINE))
    made = {}
    for metrics in (IngestMetrics(), WorkerMetrics()):
        for metric in metrics.registry.collect():
            if metric.name.startswith("patrol_"):
                total = "_total" if metric.type == "counter" else ""
                made[metric.name + total] = metric.type
    assert told == made


def test_a_broker_that_is_away_costs_nothing_with_time() -> None:
    """Looking for a broker again and again leaves no thread and no socket behind."""
    settings = Settings(kafka=f"127.0.0.1:{free_port()}")

    def held() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    def try_again() -> None:
        with pytest.raises(KafkaError):
            LagMeter(settings, bootstrap_timeout_ms=100)

    try_again()
    before = held()
    for _ in range(5):
        try_again()
    gc.collect()
    assert held() <= before


# ── Running processes ─────────────────────────────────────────────────────────────────────────────────────


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and body of an answer; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def samples(port: int) -> dict[tuple[str, ...], float]:
    """The metrics of a process: name and values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(asked(port, "/metrics")[1])
        for sample in family.samples
    }


class Told(Pipeline):
    """A pipeline each of whose processes answers on a health port of its own."""

    part = INGEST
    ports: Mapping[str, int] = {}

    @property
    def environment(self) -> dict[str, str]:
        """With the port of the process that is started next."""
        return {**super().environment, "PATROL_HEALTH_PORT": str(self.ports[self.part])}

    def start(self, part: str) -> None:
        """Starts a process."""
        self.part = part
        super().start(part)

    def ready(self, part: str, status: int) -> None:
        """Waits until a process says that it is ready (200), or not (503)."""
        port = self.ports[part]
        self.wait(lambda: asked(port, "/readyz")[0] == status, f"{part} answers {status}")
        assert asked(port, "/healthz") == (200, '{"status": "up"}')

    def says(self, part: str, words: str) -> None:
        """Waits until a process has logged words."""
        self.wait(lambda: words in self.log(part), f"{part} says '{words}'")


@pytest.mark.slow
def test_processes_tell_of_outages_and_of_the_end_of_them(tmp_path: Path) -> None:
    """While a server is away a process is not ready, and logs two lines; what was done is in the metrics."""
    facts = demo_facts(tmp_path, hours=0.2)
    unusable = Message(topics.RADIO_POSITIONS, b"{}", facts.messages[0].stamp)
    third = len(facts.messages) // 3
    address = free_port()
    with EmbeddedDatabase() as server:
        server_dsn = server.dsn_of("postgres")
        broker = EmbeddedBroker(address)
        broker.start()
        pipeline = Told(broker.bootstrap, server_dsn, tmp_path, log="json", publish_s=2.0)
        pipeline.ports = {INGEST: free_port(), WORKER: free_port()}
        try:
            with pipeline:
                pipeline.load_areas(facts)
                for part in pipeline.ports:
                    pipeline.ready(part, 200)
                pipeline.send([unusable, *facts.messages[:third]])
                pipeline.settle()

                pipeline.hang_up()
                server.stop()
                pipeline.post(facts.messages[third : 2 * third])
                for part, port in pipeline.ports.items():
                    pipeline.ready(part, 503)
                    assert "waiting for the database" in asked(port, "/readyz")[1]
                server.start()
                pipeline.settle()
                for part in pipeline.ports:
                    pipeline.ready(part, 200)
                    pipeline.says(part, "the database is back")
                fixes = pipeline.ask("select count(*) from fix")
                found = samples(pipeline.ports[INGEST])
                assert found["patrol_ingest_messages_total", "raw"] == 2 * third + 1
                assert found["patrol_ingest_dead_letters_total", "missing_field"] == 1
                found = samples(pipeline.ports[WORKER])
                assert found["patrol_worker_counted_total", "fixes"] == fixes
                assert found["patrol_worker_outages", "the database"] == 1

                pipeline.hang_up()
                broker.close()
                for part, port in pipeline.ports.items():
                    pipeline.ready(part, 503)
                    assert "waiting for Kafka" in asked(port, "/readyz")[1]
                broker = EmbeddedBroker(address)
                broker.start()
                pipeline.prepare()
                pipeline.sent = 0  # of the new broker's topics
                pipeline.post(facts.messages[2 * third :])
                pipeline.settle()
                for part in pipeline.ports:
                    pipeline.ready(part, 200)
                    pipeline.says(part, "Kafka is back")
                    lines = [json.loads(line) for line in pipeline.log(part).splitlines()]
                    said = [line["outage"] for line in lines if line.get("outage")]
                    # A topic that is not there yet is another reason, and worth a line.
                    assert said[:2] == ["the database"] * 2
                    assert set(said[2:]) == {"Kafka"}
                    assert len(said) <= 5
                    minutes = [line for line in lines if line["logger"] == "stream.pipeline.monitor"]
                    # The embedded broker knows no idempotent producers, which takes two.
                    assert len(lines) <= len(said) + len(minutes) + 2, pipeline.log(part)
                pipeline.hang_up()
        finally:
            broker.close()


@pytest.mark.slow
def test_nothing_read_though_messages_wait_is_not_ready(
    embedded_broker: EmbeddedBroker, database: str, tmp_path: Path
) -> None:
    """Messages that nobody takes make the meter's partitions stand still; it changes nothing."""
    pipeline = Pipeline(embedded_broker.bootstrap, database, tmp_path)
    pipeline.prepare()
    facts = demo_facts(tmp_path, hours=0.1)
    pipeline.post(facts.messages)
    meter = LagMeter(pipeline.settings)
    try:
        progress = Progress(meter.oldest_ms)
        for number in range(6):
            progress.look(meter.raw(), number * LOOK_S)
        assert {topic.rpartition("pipeline")[0] for topic, _ in progress.stalled} == {""}
        waiting = {key for key, place in meter.raw().items() if place.waiting}
        assert progress.stalled.keys() == waiting
        assert sum(place.settled for place in meter.raw().values()) == 0
        assert progress.said().startswith("nothing was read of ")
    finally:
        meter.close()


@pytest.fixture
def empty(embedded_broker: EmbeddedBroker, database: str, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of which no process runs, with topics and tables in which nothing is."""
    pipeline = Pipeline(embedded_broker.bootstrap, database, tmp_path)
    pipeline.prepare()
    yield pipeline
    pipeline.hang_up()


def told(pipeline: Pipeline) -> WorkerMetrics:
    """What a worker's metrics say after the first look."""
    metrics, outages = WorkerMetrics(Outages()), Outages()
    monitor = Monitor(pipeline.settings, metrics, outages)
    try:
        monitor.look()
    finally:
        monitor._drop()
    assert outages.waiting() == {}
    return metrics


def value(metrics: WorkerMetrics, name: str) -> float:
    """The value of a metric without labels."""
    found = metrics.registry.get_sample_value(f"patrol_worker_{name}")
    assert found is not None
    return found


@pytest.mark.slow
def test_an_age_of_nothing_is_not_zero(empty: Pipeline) -> None:
    """Where no position was ever counted its age is no number, before the first look and after it."""
    for metrics in (WorkerMetrics(Outages()), told(empty)):
        assert math.isnan(value(metrics, "newest_fix_age_seconds"))
        assert math.isnan(value(metrics, "oldest_day_age_days"))


@pytest.mark.slow
def test_what_was_lost_is_told_for_a_day(empty: Pipeline) -> None:
    """Also when everything after it is counted; again when more is found to be lost; then no longer."""
    fixes, duties = (
        topics.named(name, empty.settings.topic_prefix) for name in (topics.FIXES, topics.DUTIES)
    )
    found = [
        NoLongerHeld(fixes, 0, "a", 3, 9),
        NoLongerHeld(fixes, 0, "b", 0, 2),
        NoLongerHeld(duties, 1, "c", 0, 4),
    ]
    assert value(told(empty), "lost_partitions") == 0
    record(empty.connection, found)
    assert value(told(empty), "lost_partitions") == 2
    empty.connection.execute("update no_longer_held set found_at = found_at - interval '25 hours'")
    assert value(told(empty), "lost_partitions") == 0
    record(empty.connection, [NoLongerHeld(fixes, 0, "a", 3, 9)])
    assert value(told(empty), "lost_partitions") == 0
    record(empty.connection, [NoLongerHeld(fixes, 0, "a", 3, 12)])
    assert value(told(empty), "lost_partitions") == 1


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["counted", "made again"])
def test_what_is_lost_is_told_of_the_topic_that_there_is(
    empty: Pipeline, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """It is told by the topic's own id; what was counted of one that was deleted says nothing about it."""
    where = topics.named(topics.FIXES, empty.settings.topic_prefix), 0
    now = topics.incarnations(empty.settings.kafka, [where[0]])[where[0]]
    empty.connection.execute(
        "insert into frame_offset (topic, partition, incarnation, next_offset, sent_at) "
        "values (%s, %s, %s, 3, '2026-11-30 06:00Z')",
        [*where, "before" if again else now],
    )
    meter = LagMeter(empty.settings)
    try:
        monkeypatch.setattr(meter, "_offsets", lambda *_: {where: 5})
        [found] = meter.lost(empty.connection)
    finally:
        meter.close()
    start, sent = (0, None) if again else (3, parse_time("2026-11-30T06:00:00Z"))
    assert found == NoLongerHeld(*where, now, start, 5, sent)
