"""Settings: the environment before the file, secrets from files, nonsense refused by name."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from stream.core.policy import Policies
from stream.settings import EVENTS, SETTINGS, Settings, SettingsError, load, read_policies

if TYPE_CHECKING:
    from pathlib import Path


def test_every_setting_has_its_meaning_and_no_other() -> None:
    """What help and documentation print is exactly what there is to set."""
    assert list(SETTINGS) == [item.name for item in fields(Settings)]
    assert all(SETTINGS.values())


def test_without_anything_the_defaults_hold() -> None:
    """An empty environment gives the defaults, and no file of policies the rules' own."""
    assert load({}) == Settings()
    assert read_policies("") == Policies()


@given(
    st.integers(1, 10_000),
    st.floats(0.001, 1e6),
    st.text(st.characters(codec="ascii", exclude_categories=["C"])),
)
def test_a_variable_is_read_with_its_type(partitions: int, publish_s: float, prefix: str) -> None:
    """Whole numbers, numbers and texts come back as what they are."""
    found = load(
        {
            "PATROL_PARTITIONS": str(partitions),
            "PATROL_PUBLISH_S": repr(publish_s),
            "PATROL_TOPIC_PREFIX": prefix,
        }
    )
    assert (found.partitions, found.publish_s, found.topic_prefix) == (partitions, publish_s, prefix)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """A variable overrides the file; what only the file says holds."""
    file = tmp_path / "settings.toml"
    file.write_text('kafka = "file:9092"\npartitions = 4\nclock = "events"\n')
    found = load({"PATROL_CONFIG": str(file), "PATROL_KAFKA": "environment:9092"})
    assert found == Settings(kafka="environment:9092", partitions=4, clock=EVENTS)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_the_content_of_its_file(tmp_path: Path, end: str) -> None:
    """``…_FILE`` names a file; its content without the newline at the end is the value."""
    secret = tmp_path / "dsn"
    secret.write_text(f"postgresql://patrol:p%20w@db/patrol{end}", newline="")
    assert load({"PATROL_DATABASE_FILE": str(secret)}).database == "postgresql://patrol:p%20w@db/patrol"
    both = {"PATROL_DATABASE_FILE": str(secret), "PATROL_DATABASE": "postgresql://other"}
    assert load(both).database == "postgresql://other"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"PATROL_PARTITIONS": "many"},
            "PATROL_PARTITIONS='many' is not a whole number: partitions of the topics",
        ),
        ({"PATROL_PARTITIONS": "2.5"}, "PATROL_PARTITIONS='2.5' is not a whole number"),
        ({"PATROL_PARTITIONS": "0"}, "PATROL_PARTITIONS must be above 0"),
        ({"PATROL_PUBLISH_S": "-1"}, "PATROL_PUBLISH_S must be above 0: seconds between live figures"),
        ({"PATROL_CLOCK": "sun"}, "PATROL_CLOCK='sun': write wall or events"),
        (
            {"PATROL_PROJECTION_DONE": "1.5"},
            "PATROL_PROJECTION_DONE must be at most 1: how much",
        ),
        ({"PATROL_CONFIG": "/nowhere/settings.toml"}, "PATROL_CONFIG=/nowhere/settings.toml: "),
        ({"PATROL_DATABASE_FILE": "/nowhere/dsn"}, "PATROL_DATABASE_FILE=/nowhere/dsn: "),
    ],
)
def test_nonsense_is_refused_with_the_setting_s_name(environment: dict[str, str], message: str) -> None:
    """A value that makes no sense is refused in one line that names the variable and says what it is."""
    with pytest.raises(SettingsError) as caught:
        load(environment)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("kafak = 'a'", "unknown setting 'kafak'; known: kafka, database"), ("kafka =", "PATROL_CONFIG=")],
)
def test_a_file_with_nonsense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A misspelt setting, or a file that is not TOML, is refused."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load({"PATROL_CONFIG": str(file)})


@pytest.mark.parametrize(
    "text", ["partitions = 8.7", "partitions = true", "publish_s = nan", "publish_s = inf"]
)
def test_a_number_of_the_wrong_kind_is_refused(tmp_path: Path, text: str) -> None:
    """8.7 partitions, a truth value, and what is no finite number are refused, not rounded or believed."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        load({"PATROL_CONFIG": str(file)})


def test_what_is_needed_and_missing_is_named() -> None:
    """A command that needs a server says which variable to set, with an example."""
    settings = Settings(kafka="k:9092")
    settings.need("kafka")
    with pytest.raises(SettingsError, match=r"PATROL_DATABASE is not set: PostgreSQL's DSN, for example"):
        settings.need("kafka", "database")


def test_a_policy_file_is_read_and_a_bad_one_named(tmp_path: Path) -> None:
    """Policies come from the file named; one that is missing or makes no sense is named in the message."""
    file = tmp_path / "policy.toml"
    file.write_text("[[policy]]\ntarget = 0.7\n")
    assert read_policies(load({"PATROL_POLICY": str(file)}).policy).at(0).target == 0.7
    file.write_text("[[policy]]\ntarget = 7\n")
    with pytest.raises(
        SettingsError, match=r"policy file .*policy.toml: policy 1: target is a share from 0 to 1"
    ):
        read_policies(str(file))
    with pytest.raises(SettingsError, match="policy file /nowhere: "):
        read_policies("/nowhere")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PATROL_FOO": "1"}, "unknown setting PATROL_FOO; known: "),
        ({"PATROL_KAFKA": "localhost:abc"}, "PATROL_KAFKA is not host:port: "),
        ({"PATROL_KAFKA": "kafka1:9092,kafka2"}, "PATROL_KAFKA is not host:port: "),
        ({"PATROL_DATABASE": "nonsense dsn"}, "PATROL_DATABASE is not a DSN"),
    ],
)
def test_what_no_server_could_understand_is_refused_at_once(
    environment: dict[str, str], message: str
) -> None:
    """A setting nobody knows, an address without a port, a DSN that is none: one line, at once."""
    with pytest.raises(SettingsError) as caught:
        load(environment)
    assert str(caught.value).startswith(message)


DSNS = (
    "postgresql://patrol:{}@db/patrol",
    "postgres://patrol:{}@db:5432/patrol",
    "postgresql:/patrol:{}@db/patrol",
    "mysql://patrol:{}@db/patrol",
    "patrol:{}@db/patrol",
    "postgresql://patrol:{}@[::1/patrol",
    "postgresql://patrol:{}@db:port/patrol",
    "host=db password={} user=patrol",
    "host=db password='{} user=patrol",
    "host=db passwrd={}",
    "postgresql://db/patrol?pasword={}",
    "{}",
)


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=12),
    form=st.sampled_from(DSNS),
)
def test_no_part_of_a_password_is_told(password: str, form: str) -> None:
    """However wrongly a password stands in a DSN, no message has any of it, nor is it taken for a host."""
    secret = f"Zq{password}xK9w"
    parts = [part for part in re.split(r"\W", secret, flags=re.ASCII) if len(part) > 3]
    try:
        found = conninfo_to_dict(load({"PATROL_DATABASE": form.format(secret)}).database)
    except SettingsError as error:
        said = str(error)
    else:
        said = " ".join(str(found.get(name)) for name in ("host", "port", "dbname", "user"))
    assert not [part for part in (secret, *parts) if part in said]


SERVERS = (
    "patrol:{}@kafka:9092",
    "kafka:9092,SASL_SSL://patrol:{}@kafka:9093",
    "sasl://patrol:{}:kafka:9092",
    "patrol:{}:kafka:9092",
    "kafka:9092?password={}",
    "kafka:9092;{}",
    "kafka:{}",
    "[{}]:9092",
)


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=12),
    form=st.sampled_from(SERVERS),
)
def test_no_password_among_the_servers_of_kafka_is_told(password: str, form: str) -> None:
    """However a user and password stand among Kafka's servers, they are refused and not repeated."""
    secret = f"Zq{password}xK9w"
    with pytest.raises(SettingsError, match=r"PATROL_KAFKA (has an @ in it|is not host:port)") as caught:
        load({"PATROL_KAFKA": form.format(secret)})
    assert secret not in str(caught.value)
    assert "xK9w" not in str(caught.value)


@pytest.mark.parametrize("address", ["kafka_1.force.example:9092", "[2001:db8::1]:9092,10.0.0.7:9092", "é:1"])
def test_servers_of_kafka_are_names_or_addresses(address: str) -> None:
    """Names with dots, dashes and underscores are servers, and so are addresses of either kind."""
    assert load({"PATROL_KAFKA": address}).kafka == address


def test_settings_do_not_show_passwords() -> None:
    """Settings that are printed, as in a traceback's note, show no DSN, mail server or password of MQTT."""
    secret = "xK9w"
    settings = Settings(
        database=f"postgresql://patrol:{secret}@db/patrol",
        smtp=f"smtp://patrol:{secret}@mail",
        mqtt_password=secret,
    )
    assert secret not in f"{settings!r} {settings}"


def test_a_file_without_an_end_is_no_secret(tmp_path: Path) -> None:
    """A file far longer than a value, such as a device, is refused and not read to its end."""
    (tmp_path / "secret").symlink_to("/dev/zero")
    with pytest.raises(SettingsError, match="is longer than a setting can be"):
        load({"PATROL_DATABASE_FILE": str(tmp_path / "secret")})


WORDS = st.text(st.sampled_from("ABCXYZ019"), min_size=1, max_size=6)
SERVICES = st.lists(WORDS, max_size=3).map(lambda words: "_".join(["PATROL", *words]))


@given(
    service=st.one_of(SERVICES, st.sampled_from(["PATROL_HEALTH", "PATROL_WEB", "PATROL_KAFKA"])),
    address=st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda at: f"[{at}]")),
    port=st.integers(1, 65535),
    named=WORDS,
    protocol=st.sampled_from(["tcp", "udp", "sctp"]),
)
def test_what_kubernetes_tells_of_services_is_no_setting(
    service: str, address: str, port: int, named: str, protocol: str
) -> None:
    """A service called patrol-anything ends no process by the variables that Kubernetes injects for it."""
    url = f"{protocol}://{address}:{port}"
    begin = f"{service}_PORT_{port}_{protocol.upper()}"
    variables = {
        f"{service}_SERVICE_HOST": address.strip("[]"),
        f"{service}_SERVICE_PORT": str(port),
        f"{service}_SERVICE_PORT_{named}": str(port),
        f"{service}_PORT": url,
        begin: url,
        f"{begin}_PROTO": protocol,
        f"{begin}_PORT": str(port),
        f"{begin}_ADDR": address.strip("[]"),
    }
    assert load({**variables, "PATROL_PARTITIONS": "3"}) == Settings(partitions=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATROL_HELTH_PORT", "9101"),
        ("PATROL_WEB_PORT", "8080"),
        ("PATROL_WEB_PORT", "tcp://web:8080"),
        ("PATROL_WEB_SERVICE_HOST", "web"),
        ("PATROL_KAFKA_SERVICE", "10.0.0.1"),
        ("PATROL_WEB_PORT_80_TCP_PROTO", "http"),
    ],
)
def test_a_mistyped_setting_is_still_told(name: str, value: str) -> None:
    """A variable that only resembles what Kubernetes injects is an unknown setting."""
    with pytest.raises(SettingsError, match=f"unknown setting {name};"):
        load({name: value})
