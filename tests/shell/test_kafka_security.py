"""Kafka with TLS, users and certificates: every client gets in, and what is refused is told in one line."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from kafka import KafkaAdminClient, KafkaConsumer

from stream import topics
from stream.cli import main
from stream.files.replay import Sender
from stream.kafka_security import AccessError, Brokers, access, access_now, options, rotating
from stream.pipeline.failures import told
from stream.secret_files import Secret
from stream.settings import SettingsError, load
from stream.store.policies import agreed
from stream.store.schema import connect, migrate
from tests.shell.secure import KEY_PASSWORD, Papers, SecureKafka, allow, change_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka
PASSWORDS = {"patrol": "Zq-patrol", "other": "Zq-other", "nobody": "Zq-nobody"}
BOUND_S = 30.0
"""What no refusal may take; those of clients that hang take for ever."""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Where certificates are made."""
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def kafka(papers: Papers) -> Iterator[SecureKafka]:
    """A Kafka with a port for each way of connecting."""
    with SecureKafka(papers, PASSWORDS) as found:
        rules = [("topic", "", "all"), ("group", "", "all")]
        allow(found.bootstrap, "patrol", "", rules)
        yield found


def ways(kafka: SecureKafka) -> dict[str, Brokers]:
    """All ways to connect that are right."""
    sealed, key = kafka.papers.issue("sealed", password=KEY_PASSWORD)
    return {
        "tls": kafka.brokers("tls"),
        "tls by name": kafka.brokers("tls", addresses=kafka.address("tls", "localhost")),
        "mutual": kafka.brokers("mutual"),
        "mutual, one file": kafka.brokers(
            "mutual", certificate=str(kafka.papers.folder / "client.pem"), key=""
        ),
        "mutual, sealed key": kafka.brokers("mutual", certificate=sealed, key=key, key_password=KEY_PASSWORD),
        "SCRAM-SHA-512": kafka.brokers("users"),
        "SCRAM-SHA-256": kafka.brokers("users", mechanism="SCRAM-SHA-256"),
        "PLAIN": kafka.brokers("users", mechanism="PLAIN"),
        "without TLS": kafka.brokers("open"),
    }


def test_every_client_gets_in_by_every_way(kafka: SecureKafka) -> None:
    """Administration, producers and consumers of both libraries work by each way, as nothing else is set."""

    async def by(number: int, where: Brokers) -> None:
        topic = f"way{number}"
        await topics.ensure_topics(where, [NewTopic(topic, 1, 1)])
        assert topic in await topics.existing(where)
        assert await topics.session_taken(where, "", 10.0)
        async with Sender(where, [topic]) as sender:
            assert sender._partitions == [1]
        async with rotating(AIOKafkaProducer(**options(where)), where) as producer:
            await producer.send_and_wait(topic, b"value")
        consumer = AIOKafkaConsumer(
            topic, **options(where), group_id=topic, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        async with rotating(consumer, where):
            assert (await consumer.getone()).value == b"value"
            await consumer.commit()
        for client in (KafkaAdminClient, KafkaConsumer):
            with closing(await asyncio.to_thread(topics.opened, client, where)) as opened:
                found = opened.topics() if client is KafkaConsumer else opened.list_topics()
                assert topic in found
        assert topic in await asyncio.to_thread(topics.incarnations, where, [topic])

    for number, (name, where) in enumerate(ways(kafka).items()):
        try:
            asyncio.run(by(number, where))
        except BaseException as error:
            error.add_note(name)
            raise


def refusals(kafka: SecureKafka) -> list[tuple[str, Brokers, str]]:
    """What can be wrong, and what is then said."""
    papers, by = kafka.papers, kafka.brokers
    foreign, foreign_key = papers.issue("foreign", ca=papers.stranger)
    late, late_key = papers.issue("late", expired=True)
    plain, open_, tls, users, mutual = (
        kafka.bootstrap,
        *(kafka.address(port) for port in ("open", "tls", "users", "mutual")),
    )
    return [
        (
            "another authority",
            by("tls", ca=papers.authority(papers.stranger)),
            "its certificate is not of an authority in PATROL_KAFKA_CA=",
        ),
        ("no authority", by("tls", ca=""), "not of an authority in those that this system trusts"),
        ("expired", by("expired"), "its certificate is of no use now (certificate has expired)"),
        ("another name", by("misnamed"), "write in PATROL_KAFKA the name that its certificate has"),
        (
            "another name, a name",
            by("misnamed", addresses=kafka.address("misnamed", "localhost")),
            "Hostname mismatch, certificate is not valid for 'localhost'",
        ),
        *(
            (
                f"wrong {what} by {mechanism}",
                by("users", mechanism=mechanism, **{what: "wrong"}),
                "does not take PATROL_KAFKA_USER=" + ("wrong" if what == "user" else "patrol"),
            )
            for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
            for what in ("user", "password")
        ),
        (
            "mechanism",
            by("open", mechanism="PLAIN"),
            "does not offer PATROL_KAFKA_MECHANISM=PLAIN, but SCRAM-SHA-512",
        ),
        ("TLS where there is none", by("tls", addresses=plain), "speaks no TLS on this port"),
        ("TLS and a user where there is none", by("users", addresses=plain), "speaks no TLS on this port"),
        (
            "TLS where users sign in without",
            by("users", addresses=open_),
            "PATROL_KAFKA_SECURITY=sasl_plaintext",
        ),
        ("no TLS where there is", Brokers(tls), "speaks TLS on this port: write PATROL_KAFKA_SECURITY=tls"),
        (
            "no TLS, users",
            by("open", addresses=users),
            "speaks TLS on this port: write PATROL_KAFKA_SECURITY=sasl",
        ),
        ("nobody signs in", Brokers(open_), "asks for a user (SCRAM-SHA-512)"),
        ("nobody signs in with TLS", by("tls", addresses=users), "asks for a user (PLAIN, SCRAM-SHA-256"),
        ("a user that nobody asks for", by("open", addresses=plain), "asks for no user on this port"),
        ("a user that nobody asks for, TLS", by("users", addresses=tls), "write PATROL_KAFKA_SECURITY=tls"),
        (
            "no certificate",
            by("tls", addresses=mutual),
            "asks for a certificate of this program",
        ),
        (
            "a strange certificate",
            by("mutual", certificate=foreign, key=foreign_key),
            "refuses PATROL_KAFKA_CERT",
        ),
        (
            "an old certificate",
            by("mutual", certificate=late, key=late_key),
            "refuses PATROL_KAFKA_CERTIFICATE=",
        ),
    ]


def test_what_a_broker_refuses_is_told_in_one_line(kafka: SecureKafka) -> None:
    """Each thing that can be wrong is named, by the client of either library, without a password, in time."""
    for what, where, said in refusals(kafka):
        began = time.monotonic()
        with pytest.raises(AccessError) as caught:
            asyncio.run(access(where))
        assert said in str(caught.value), (what, str(caught.value))
        assert str(caught.value).startswith(f"Kafka at {where.addresses}"), what
        assert "\n" not in str(caught.value), what
        assert not any(password in str(caught.value) for password in PASSWORDS.values()), what
        assert time.monotonic() - began < BOUND_S, what
    with pytest.raises(AccessError, match="does not take PATROL_KAFKA_USER"):
        topics.opened(KafkaAdminClient, kafka.brokers("users", password="wrong"))


def test_a_broker_that_is_away_is_no_refusal(kafka: SecureKafka) -> None:
    """Where no broker is reached that is said as before, and one of several that lets us in is enough."""
    assert not access_now(kafka.brokers("tls", addresses="127.0.0.1:1"))
    assert access_now(kafka.brokers("tls", addresses=f"127.0.0.1:1,{kafka.address('tls')}"))
    mixed = kafka.brokers("tls", addresses=f"{kafka.bootstrap},{kafka.address('tls')}")
    assert access_now(mixed)


def variables(where: Brokers) -> dict[str, str]:
    """The settings of a way to connect."""
    given = {
        "": where.addresses,
        "_SECURITY": where.security,
        "_CA": where.ca,
        "_MECHANISM": where.mechanism,
        "_USER": where.user,
        "_PASSWORD": where.password,
    }
    return {f"PATROL_KAFKA{name}": value for name, value in given.items() if value}


@pytest.mark.parametrize(
    "words",
    [
        *("init", "init --check", "ingest", "worker", "timers", "up", "status", "dead-letters list"),
        *("replay ROW", "bridge tcp://127.0.0.1:0", "bridge ROW"),
    ],
)
def test_each_command_says_at_once_that_it_is_refused(
    kafka: SecureKafka,
    no_settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database: str,
    tmp_path: Path,
    words: str,
) -> None:
    """A wrong password ends each command that speaks to Kafka with one line."""
    row = tmp_path / "row.jsonl"
    row.write_text('{"device_id":"A","time":"2026-11-20T14:00:00Z","lat":52.6,"lon":-1.1}\n')
    monkeypatch.setenv("PATROL_DATABASE", database)
    for name, value in variables(kafka.brokers("users", password="Zq-wrong")).items():
        monkeypatch.setenv(name, value)
    with connect(database) as connection:
        migrate(connection)
        agreed(connection, load())
    monkeypatch.setattr(sys, "argv", ["patrol", *shlex.split(words.replace("ROW", str(row)))])
    # What an earlier command of this process set up writes to a standard error that is closed by now.
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "handlers", [])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr()
    lines = [line for line in (said.err + said.out).splitlines() if "PATROL_KAFKA_USER=patrol" in line]
    assert len(lines) == 1, said
    assert leaving.value.code == (3 if words == "status" else 2), said
    assert "Zq" not in said.err + said.out
    assert "Traceback" not in said.err


def test_what_a_user_may_not_use_is_named(
    kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch, no_settings: None
) -> None:
    """A topic or group that a user may not use is told with its name, the user's, and what to do."""
    where = kafka.brokers("users", user="nobody", password=PASSWORDS["nobody"])
    monkeypatch.setenv("PATROL_KAFKA_USER", "nobody")
    asyncio.run(topics.ensure_topics(kafka.bootstrap, [NewTopic("closed", 1, 1)]))

    async def send() -> None:
        async with AIOKafkaProducer(**options(where)) as producer:
            await producer.send_and_wait("closed", b"value")

    async def read() -> None:
        async with AIOKafkaConsumer(**options(where), group_id="closed-group") as consumer:
            consumer.subscribe(["closed"])
            await consumer.getone()

    for work, named in ((send, "the topic closed: "), (read, "the consumer group closed-group: ")):
        with pytest.raises(KafkaError) as caught:
            asyncio.run(work())
        assert told(caught.value).startswith(f"Kafka does not let user nobody use {named}"), caught.value
    assert "closed" not in asyncio.run(topics.existing(where))


def test_a_new_password_is_taken_at_the_next_connection(kafka: SecureKafka, tmp_path: Path) -> None:
    """A client that runs goes on after its password was changed at the broker and in its file."""
    allow(kafka.bootstrap, "other", "", [("topic", "", "all"), ("group", "", "all")])
    file = tmp_path / "password"
    file.write_text(f"{PASSWORDS['other']}\n")
    where = kafka.brokers("users", user="other", password=Secret.of(str(file)))

    async def work() -> None:
        await topics.ensure_topics(where, [NewTopic("rotated", 1, 1)])
        producer = rotating(AIOKafkaProducer(**options(where)), where)
        async with producer:
            await producer.send_and_wait("rotated", b"before")
            await asyncio.to_thread(change_password, kafka.bootstrap, "other", "Zq-new")
            with pytest.raises(AccessError):
                await access(where)
            file.write_text("Zq-new\n")
            for connection in list(producer.client._conns.values()):
                connection.close()
            await producer.send_and_wait("rotated", b"after")
        assert await access(where)

    asyncio.run(work())
    with closing(topics.opened(KafkaAdminClient, where)) as admin:
        assert "rotated" in admin.list_topics()


def test_a_new_certificate_is_taken_at_the_next_connection(kafka: SecureKafka) -> None:
    """A client whose certificate has ended goes on with the one that was put in its place."""
    papers = kafka.papers
    certificate, key = papers.issue("renewed", ca=papers.stranger)
    where = kafka.brokers("mutual", certificate=certificate, key=key)
    with pytest.raises(AccessError):
        access_now(where)
    papers.issue("renewed")
    assert access_now(where)


def test_files_that_cannot_be_used_are_named(papers: Papers, tmp_path: Path) -> None:
    """An authority, certificate or key that is not there, is none, or does not fit is refused by name."""
    ca = papers.authority()
    certificate, key = papers.issue("one")
    _, other = papers.issue("two")
    sealed, sealed_key = papers.issue("three", password=KEY_PASSWORD)
    (tmp_path / "rubbish.pem").write_text("rubbish")
    rubbish = str(tmp_path / "rubbish.pem")
    usual = {"PATROL_KAFKA": "kafka:9093", "PATROL_KAFKA_SECURITY": "tls"}
    for changes, said in (
        ({"CA": "/nowhere.pem"}, "/nowhere.pem: No such file or directory"),
        ({"CA": rubbish}, f"PATROL_KAFKA_CA={rubbish}: there is no usable certificate or key in it"),
        ({"CA": str(tmp_path)}, f"PATROL_KAFKA_CA={tmp_path}: "),
        ({"CA": ca, "KEY": key}, "PATROL_KAFKA_CERTIFICATE is not set"),
        ({"CERTIFICATE": certificate, "KEY": other}, "the key is not the certificate's"),
        ({"CERTIFICATE": certificate}, f"PATROL_KAFKA_CERTIFICATE={certificate}: there is no usable"),
        (
            {"CERTIFICATE": rubbish, "KEY": key},
            f"PATROL_KAFKA_CERTIFICATE={rubbish}, PATROL_KAFKA_KEY={key}: ",
        ),
        ({"CERTIFICATE": sealed, "KEY": sealed_key}, "PATROL_KAFKA_KEY_PASSWORD does not open it"),
        (
            {"CERTIFICATE": sealed, "KEY": sealed_key, "KEY_PASSWORD": "wrong"},
            "PATROL_KAFKA_KEY_PASSWORD does not open it",
        ),
    ):
        with pytest.raises(SettingsError) as caught:
            load(usual | {f"PATROL_KAFKA_{name}": value for name, value in changes.items()})
        assert said in str(caught.value), changes
        assert "wrong" not in str(caught.value)
    right = {"CERTIFICATE": sealed, "KEY": sealed_key, "KEY_PASSWORD": KEY_PASSWORD, "CA": ca}
    assert load(usual | {f"PATROL_KAFKA_{name}": value for name, value in right.items()}).brokers.tls
