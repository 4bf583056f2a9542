"""The throwaway servers: they answer, they stay apart, and they leave nothing behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psycopg
import pytest

from stream import embedded
from stream.embedded import EmbeddedBroker, EmbeddedDatabase, EmbeddedError

if TYPE_CHECKING:
    from tests.shell.kafka import RealKafka

SLOWEST_S = 30.0
"""How long anything here may take before the test fails; nothing is timed."""


class Broker(Protocol):
    """Either kind of broker."""

    @property
    def bootstrap(self) -> str: ...


async def _there_and_back(bootstrap: str, topic: str, values: list[bytes]) -> list[bytes]:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, headers=[("reason", value)])
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        messages = [await consumer.getone() for _ in values]
    finally:
        await consumer.stop()
    assert [dict(message.headers)["reason"] for message in messages] == values
    return [message.value for message in messages]


def there_and_back(broker: Broker, topic: str) -> None:
    values = [b"one", b"", b"\xff" * 1000]
    got = asyncio.run(asyncio.wait_for(_there_and_back(broker.bootstrap, topic, values), SLOWEST_S))
    assert got == values


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"


def test_embedded_broker_keeps_messages(embedded_broker: EmbeddedBroker) -> None:
    """What a producer writes to the embedded broker, headers included, a consumer reads in order."""
    there_and_back(embedded_broker, fresh("there"))


@pytest.mark.kafka
def test_real_kafka_keeps_messages(real_kafka: RealKafka) -> None:
    """What a producer writes to the real Kafka, headers included, a consumer reads in order."""
    there_and_back(real_kafka, fresh("there"))


def topic_id(broker: Broker, topic: str) -> str | None:
    from kafka.admin import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        (described,) = admin.describe_topics([topic])
    finally:
        admin.close()
    found: str | None = described["topic_id"]
    return found


def recreated(broker: Broker) -> tuple[str | None, str | None]:
    from kafka.admin import KafkaAdminClient, NewTopic

    topic = fresh("again")
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])
        admin.wait_for_topics([topic])
        before = topic_id(broker, topic)
        admin.delete_topics([topic])
        admin.create_topics([NewTopic(topic, 1, 1)])
        admin.wait_for_topics([topic])
        after = topic_id(broker, topic)
    finally:
        admin.close()
    return before, after


def test_embedded_topic_incarnations_differ(embedded_broker: EmbeddedBroker) -> None:
    """On the embedded broker a topic that is deleted and made again has another topic id."""
    before, after = recreated(embedded_broker)
    assert before is not None
    assert after is not None
    assert before != after


@pytest.mark.kafka
def test_real_topic_incarnations_differ(real_kafka: RealKafka) -> None:
    """On the real Kafka a topic that is deleted and made again has another topic id."""
    before, after = recreated(real_kafka)
    assert before is not None
    assert after is not None
    assert before != after


def test_servers_stay_apart() -> None:
    """Several brokers and databases started at the same moment have addresses and data of their own."""
    brokers = [EmbeddedBroker() for _ in range(3)]
    databases = [EmbeddedDatabase() for _ in range(3)]
    try:
        with ThreadPoolExecutor(6) as pool:
            for started in [pool.submit(server.start) for server in (*brokers, *databases)]:
                started.result(SLOWEST_S)
        assert len({broker.bootstrap for broker in brokers}) == 3
        assert len({database.dsn for database in databases}) == 3
        for broker in brokers:
            there_and_back(broker, "the-same-name")
        for database in databases:
            with psycopg.connect(database.dsn) as connection:
                connection.execute("CREATE TABLE the_same_name (a int)")
    finally:
        for server in (*brokers, *databases):
            server.close()


def test_crashed_database_keeps_commits() -> None:
    """What was committed before the database is killed is there when it starts again, at its address."""
    with EmbeddedDatabase() as database:
        with psycopg.connect(database.dsn) as connection:
            connection.execute("CREATE TABLE t (a int)")
            connection.execute("INSERT INTO t VALUES (7)")
        before = database.dsn
        database.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(before)
        database.start()
        assert database.dsn == before
        with psycopg.connect(before) as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(7,)]


def test_database_folder_outlives_it() -> None:
    """A database in a named folder has its data the next time, and the folder is not removed."""
    # Not pytest's own folder: as root the server runs as another user, who cannot get in there.
    with tempfile.TemporaryDirectory(prefix="patrol-test-") as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "data"
        with EmbeddedDatabase(folder) as database, psycopg.connect(database.dsn) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS a")
        assert (folder / "PG_VERSION").exists()
        with EmbeddedDatabase(folder) as database, psycopg.connect(database.dsn) as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(7,)]


def test_database_refuses_a_foreign_folder(tmp_path: Path) -> None:
    """A folder that holds something else is left as it is, and the error names it."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedError, match="neither empty nor a PostgreSQL data folder"):
        EmbeddedDatabase(tmp_path).start()
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_broker_forgets() -> None:
    """A broker that was killed starts again at its address, with nothing of what it had."""
    from kafka.admin import KafkaAdminClient, NewTopic

    with EmbeddedBroker() as broker:
        before = broker.bootstrap
        admin = KafkaAdminClient(bootstrap_servers=before)
        admin.create_topics([NewTopic("t", 1, 1)])
        assert admin.list_topics() == ["t"]
        admin.close()
        broker.kill()
        broker.start()
        assert broker.bootstrap == before
        admin = KafkaAdminClient(bootstrap_servers=before)
        assert admin.list_topics() == []
        admin.close()


@pytest.mark.parametrize("server", ["EmbeddedBroker", "EmbeddedDatabase"])
def test_missing_package_is_named(server: str) -> None:
    """Without the optional packages the error is one line that says how to install them."""
    project = Path(embedded.__file__).parents[1]
    # -S leaves out the folder that packages are installed in.
    program = f"""
import sys
sys.path.insert(0, {str(project)!r})
from stream.embedded import {server}, EmbeddedError
try:
    {server}().start()
except EmbeddedError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    assert line.endswith("pip install 'patrol-visibility[all,demo]' (in a checkout: make install)")


HOLDER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from stream.embedded import EmbeddedBroker, EmbeddedDatabase
with EmbeddedBroker() as broker, EmbeddedDatabase() as database:
    print(broker.pid, database.pid, broker.keeper.folder, database.keeper.folder, flush=True)
    if sys.argv[1] == "raise":
        raise SystemExit(3)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["raise", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(end: str | signal.Signals) -> None:
    """However the holder ends, by an error, Ctrl-C, SIGTERM or SIGKILL, its servers and folders go."""
    project = Path(embedded.__file__).parents[1]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(end)],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    with holder:
        broker, database, *folders = holder.stdout.readline().split()
        if isinstance(end, signal.Signals):
            holder.send_signal(end)
        # The keepers share the holder's standard error, so it is at its end when they are gone too.
        holder.stderr.read()
    assert len(folders) == 2
    assert not [folder for folder in folders if Path(folder).exists()]
    assert not [pid for pid in (broker, database) if _runs(int(pid))]


def _runs(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
