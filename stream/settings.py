"""Settings of the running processes: variables ``PATROL_*``, or a TOML file named by ``PATROL_CONFIG``.

It reads the environment and files. Environment variables take precedence over the file. A secret may be
given as ``…_FILE``: the name of a file whose content, without the newline at its end, is the value; it is
read anew where it is used (``stream.secret_files``). The settings of the accounting are not here but in a
policy (``stream.core.policy``), which is a fact of the database (``stream.store.policies``), because a figure
depends on them.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.kafka_security import MECHANISMS, PLAINTEXT, PROTOCOLS, SCRAM_512, AccessError, Brokers
from stream.secret_files import Secret, SecretFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from stream.core.keeping import Terms
    from stream.core.policy import Policies

WALL, EVENTS = "wall", "events"
FORWARDED, X_FORWARDED_FOR = "forwarded", "x-forwarded-for"
LOCAL_ACCOUNTS, OPENID, DEMONSTRATION = "local", "openid", "demonstration"
SIGN_INS = ("", LOCAL_ACCOUNTS, OPENID, DEMONSTRATION)
"""What PATROL_SIGN_IN may say."""


class SettingsError(ValueError):
    """A setting is missing or invalid; the message names it and says what to write."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; ``SETTINGS`` says what each means.

    Attributes:
        kafka: bootstrap servers.
        database: PostgreSQL's DSN.
        topic_prefix: goes before every topic's name.
        kafka_security: ``plaintext``, ``tls``, ``sasl_tls`` or ``sasl_plaintext``.
        kafka_ca, kafka_certificate, kafka_key: PEM files; empty: the system's authorities, no certificate,
            the key beside the certificate.
        kafka_key_password: what the key is encrypted with.
        kafka_mechanism, kafka_user, kafka_password: of SASL.
        partitions: of the topics that carry positions, duties and states.
        replication: copies of each partition.
        policy: a policy file that must say what the policies in the database say; empty: none.
        clock: ``wall``, or ``events``: the newest event's time is now, for replays.
        publish_s: seconds between two looks for live figures that changed, at least.
        tenths_s: so long after a live figure was told its tenths are news again, seconds.
        session_s: Kafka's session timeout, seconds.
        batch_fixes: the most fixes of one transaction.
        stale_s: how old the newest event may be before the live page says so.
        basemap: the background of the live page's map; empty for the areas alone.
        shift_s: how long a duty without an end is expected to last, for projections.
        projection_done: the part of the booked time that must be over before a share is projected.
        watch_s: seconds between two looks for alerts, at least.
        doubt_s: seconds between two looks for facts that contradict each other, at least.
        gather_s: for how many seconds positions gather in Kafka before ingest fetches them.
        hear_s: for how many seconds what was heard gathers before it is counted.
        examine_s: seconds between two looks at what devices were seen to do, at least.
        close_s: seconds between two looks for hours of facts that are over, at least.
        restate_s: seconds between two looks for facts that changed settled weeks, at least.
        alert_nobody_on_patch_s, alert_projected_miss_s, alert_priority_unvisited_s, alert_off_patch_s,
        alert_tracker_silent_s, alert_feed_stopped_s: how long a condition must hold before the alert is
            raised.
        alert_clear_s: how long a condition must be absent before its alert clears.
        database_connect_s, database_statement_s: how long ``patrol web`` waits for a connection, and for what
            it asks over it.
        database_answer_s: how long a request waits before it is told that the database does not answer.
        report_at: when the week's reports are published, local: ``Mon 06:00``.
        report_weeks: how many weeks back what was not published is published late.
        smtp: the mail server; empty: no mail. It may hold a password.
        mail: the file that says who gets which report by mail.
        page: the web pages' address as people reach it, for links in mail; empty: the public address.
        public_url: scheme, host and path prefix in people's browsers; empty: this machine's own port.
        trusted_proxies: addresses and networks whose word counts on whose request it is.
        proxy_header: which header they say it in: ``x-forwarded-for`` or ``forwarded``.
        tls_certificate, tls_key: files, in PEM, for TLS without a proxy; both or none.
        postcodes: the file of postcodes, for the finder.
        health_port: where processes without pages tell of themselves; 0: nowhere.
        health_host: the address at which they do.
        unusual_readers, unusual_read: from how many accounts that opened one officer's pages on a day, and
            officers whose pages one account opened, it is listed as unusual.
        purpose: ``ask``: whoever opens an officer's track says why.
        log: how log lines are written: ``plain``, or ``json``, an object a line.
        sign_in: how people sign in to the pages: ``local``, by accounts of the program's own; empty: not at
            all, and then they answer on this machine only; ``demonstration``: nobody signs in, and a menu
            shows the pages as each role sees them.
        openid_issuer: of ``openid``: the provider's name for itself, an address.
        openid_client, openid_secret: what it calls this program, and what it shares with it; no secret: a
            public client.
        roles: the file that says who gets which role, by the provider's claims.
        signed_in_s: how long somebody stays signed in at most, seconds.
        idle_s: after how many seconds without use somebody is signed out; a wall display is not.
        mqtt_password: of the MQTT broker that ``patrol bridge`` reads.
        keep_off_duty_h: how long positions outside duties are kept, hours.
        keep_fixes_days: how long positions are kept, days.
        keep_slices_days: how long slices, stays, bookings and states are kept, days.
        retain_s: seconds between two looks for what is older than it may be, at least.
        pseudonym_key: the secret by which ids become pseudonyms for analysts; empty: there are none.
    """

    kafka: str = ""
    database: str = field(default="", repr=False)
    topic_prefix: str = ""
    kafka_security: str = PLAINTEXT
    kafka_ca: str = ""
    kafka_certificate: str = ""
    kafka_key: str = ""
    kafka_key_password: str = field(default="", repr=False)
    kafka_mechanism: str = SCRAM_512
    kafka_user: str = ""
    kafka_password: str = field(default="", repr=False)
    partitions: int = 8
    replication: int = 1
    policy: str = ""
    clock: str = WALL
    publish_s: float = 0.5
    tenths_s: float = 15.0
    session_s: float = 10.0
    batch_fixes: int = 200_000
    stale_s: float = 15.0
    basemap: str = ""
    shift_s: float = 36_000.0
    projection_done: float = 0.4
    watch_s: float = 3.0
    doubt_s: float = 30.0
    gather_s: float = 1.5
    hear_s: float = 30.0
    examine_s: float = 300.0
    close_s: float = 60.0
    restate_s: float = 60.0
    alert_nobody_on_patch_s: float = 900.0
    alert_projected_miss_s: float = 900.0
    alert_priority_unvisited_s: float = 7200.0
    alert_off_patch_s: float = 3600.0
    alert_tracker_silent_s: float = 900.0
    alert_feed_stopped_s: float = 60.0
    alert_clear_s: float = 120.0
    database_connect_s: float = 3.0
    database_statement_s: float = 30.0
    database_answer_s: float = 4.0
    report_at: str = "Mon 06:00"
    report_weeks: int = 12
    smtp: str = field(default="", repr=False)
    mail: str = ""
    postcodes: str = ""
    page: str = ""
    public_url: str = ""
    trusted_proxies: str = ""
    proxy_header: str = "x-forwarded-for"
    tls_certificate: str = ""
    tls_key: str = ""
    health_port: int = 0
    health_host: str = "127.0.0.1"
    unusual_readers: int = 10
    unusual_read: int = 40
    purpose: str = ""
    log: str = "plain"
    sign_in: str = ""
    openid_issuer: str = ""
    openid_client: str = ""
    openid_secret: str = field(default="", repr=False)
    roles: str = ""
    signed_in_s: float = 43_200.0
    idle_s: float = 3600.0
    mqtt_password: str = field(default="", repr=False)
    keep_off_duty_h: float = 48.0
    keep_fixes_days: int = 31
    keep_slices_days: int = 400
    retain_s: float = 21_600.0
    pseudonym_key: str = field(default="", repr=False)

    @property
    def brokers(self) -> Brokers:
        """Kafka, and how to connect to it."""
        return Brokers(
            self.kafka,
            self.kafka_security,
            self.kafka_ca,
            self.kafka_certificate,
            self.kafka_key,
            self.kafka_key_password,
            self.kafka_mechanism,
            self.kafka_user,
            self.kafka_password,
        )

    @property
    def address(self) -> str:
        """The web pages' address for links in mail; empty: none is set."""
        return self.page or self.public_url

    def need(self, *names: str) -> None:
        """Checks that settings without a default are there.

        Raises:
            SettingsError: one is empty.
        """
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"PATROL_{name.upper()} is not set: {SETTINGS[name]}")


SETTINGS: Mapping[str, str] = {
    "kafka": "Kafka's bootstrap servers, for example kafka1:9092,kafka2:9092",
    "database": "PostgreSQL's DSN, for example postgresql://patrol@db/patrol (or PATROL_DATABASE_FILE)",
    "topic_prefix": "prefix of every topic's name, for several forces on one Kafka",
    "kafka_security": "how Kafka is spoken to: plaintext, tls, sasl_tls, or on this machine sasl_plaintext",
    "kafka_ca": "a PEM file of the authorities that issue the brokers' certificates; empty: the system's own",
    "kafka_certificate": "a PEM file of this program's own certificate, where the brokers want one",
    "kafka_key": "a PEM file of that certificate's key; empty: it stands beside the certificate",
    "kafka_key_password": "what that key is encrypted with (or PATROL_KAFKA_KEY_PASSWORD_FILE)",
    "kafka_mechanism": "how the user signs in (SASL): SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN",
    "kafka_user": "the user that Kafka knows this program as",
    "kafka_password": "that user's password (or PATROL_KAFKA_PASSWORD_FILE)",
    "partitions": "partitions of the topics for positions, duties and states; workers beyond it stand idle",
    "replication": "copies Kafka keeps of each partition: 3 where there are three brokers",
    "policy": "a policy file to be compared: nothing starts where the policy in the database differs from it",
    "clock": "what is now for live figures: wall, or events (the newest event's time, for replays)",
    "publish_s": "seconds between live figures on visibility.shares, at least: they follow each batch",
    "tenths_s": "seconds after which tenths of a per cent of a live figure that was sent are news again",
    "session_s": "seconds after which Kafka gives a silent process's partitions to another",
    "batch_fixes": "the most fixes in one transaction",
    "stale_s": "how old the newest event may be, in seconds, before the live page calls its data stale",
    "basemap": "background of the live page's map: a tile address with {z}, {x} and {y}, or a PMTiles file",
    "shift_s": "how many seconds a duty booked without an end is expected to last, for projected shares",
    "projection_done": "how much of the booked time must be over, from 0 to 1, before a share is projected",
    "watch_s": "seconds between two looks for alerts, at least",
    "doubt_s": "seconds between two looks for facts that contradict each other, at least",
    "gather_s": "for how many seconds positions gather in Kafka before ingest fetches them",
    "hear_s": "for how many seconds what was heard of devices gathers before it is counted",
    "examine_s": "seconds between two looks at what devices were seen to do by day, at least",
    "close_s": "seconds between two looks for hours of positions that are over, to be packed, at least",
    "restate_s": "seconds between two looks for later facts that changed settled weeks, at least",
    "alert_nobody_on_patch_s": "alert: officers on duty and none of them on patch for this many seconds",
    "alert_projected_miss_s": "alert: for this many seconds heading below the target, doubt included",
    "alert_priority_unvisited_s": "alert: a priority area unvisited for this many seconds of its own hours",
    "alert_off_patch_s": "alert: an officer off patch for more than this many seconds",
    "alert_tracker_silent_s": "alert: an officer on duty whose devices are silent for this many seconds",
    "alert_feed_stopped_s": "alert: no event at all for this many seconds",
    "alert_clear_s": "an alert clears when its condition has not held for this many seconds",
    "database_connect_s": "how many seconds patrol web waits for a connection to the database, from 2 on",
    "database_statement_s": "after how many seconds patrol web gives up a statement of its own",
    "database_answer_s": "after how many seconds patrol web says that the database does not answer",
    "report_at": "day and local time at which the last week's reports are published, for example Mon 06:00",
    "report_weeks": "how many weeks back reports that could not be published in time are published late",
    "smtp": "the mail server, for example smtp://user:password@mail.example:587 (or PATROL_SMTP_FILE)",
    "mail": "a TOML file that says who gets which report by mail (deploy/README.md)",
    "postcodes": "a CSV file (gzip or not) with postcode, lat and long, for the finder",
    "page": "the web pages' address for links in mail, where it is not that of PATROL_PUBLIC_URL",
    "public_url": "the web pages' address in people's browsers: https://patrol.force.example/patrol",
    "trusted_proxies": "addresses and networks of proxies whose word counts: 10.1.2.3,192.168.0.0/24",
    "proxy_header": "the header in which proxies say whose request it is: x-forwarded-for, or forwarded",
    "tls_certificate": "for TLS without a proxy: the file of the certificate and its chain, in PEM",
    "tls_key": "for TLS without a proxy: the file of the certificate's private key, in PEM",
    "health_port": "port for /healthz, /readyz and /metrics of a process without pages; patrol up: ingest's",
    "health_host": "address of that port; 0.0.0.0 where Prometheus is on another machine, or in a container",
    "unusual_readers": "from so many accounts that opened one officer on a day, it is listed as unusual",
    "unusual_read": "from so many officers whose pages one account opened on a day, it is listed as unusual",
    "purpose": "ask: whoever opens an officer's track says why, for the record; empty: nobody is asked",
    "log": "how log lines are written: plain, or json (an object a line)",
    "sign_in": "how people sign in: openid (a provider), local (accounts of its own); empty: not at all",
    "openid_issuer": "the OpenID provider's issuer, for example https://id.force.example/realms/force",
    "openid_client": "what the OpenID provider calls this program, its client id",
    "openid_secret": "the secret that the provider shares with this client (or PATROL_OPENID_SECRET_FILE)",
    "roles": "a TOML file that says who gets which role, by the provider's claims (deploy/README.md)",
    "signed_in_s": "after how many seconds somebody has to sign in again, however active",
    "idle_s": "after how many seconds without use somebody is signed out; wall displays are not",
    "mqtt_password": "password for the MQTT broker of patrol bridge (or PATROL_MQTT_PASSWORD_FILE)",
    "keep_off_duty_h": "hours for which positions outside duties are kept: so late a booking may claim them",
    "keep_fixes_days": "days for which positions are kept; what was counted from them stays",
    "keep_slices_days": "days for which slices, stays, bookings and states are kept; figures of weeks stay",
    "retain_s": "seconds between two looks for what is older than it may be, to be deleted",
    "pseudonym_key": "secret by which ids become pseudonyms for analysts (or PATROL_PSEUDONYM_KEY_FILE)",
}
"""Every setting with its meaning, as help and documentation print it."""


_PMTILES = b"PMTiles"
_HOST = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STARTTLS, TLS, PLAIN = "starttls", "tls", "plain"


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail server and how to connect to it.

    Attributes:
        tls: ``starttls``, ``tls`` from the first byte, or ``plain``, without any.
        user: empty: without a login.
    """

    host: str
    port: int
    tls: str = STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)


def relay(address: str) -> Relay:
    """The mail server that an address names.

    ``smtp://host`` speaks STARTTLS on port 587 and sends nothing where the server does not offer it;
    ``smtps://host`` speaks TLS from the start, on port 465; ``smtp://host?tls=no`` is for a server on this
    machine. A user and password stand before the host, with ``%40`` for an ``@`` in them.

    Raises:
        SettingsError: it is not one; the message does not repeat it, because it may hold a password.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        found = urlsplit(address)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    query = dict(parse_qsl(found.query, keep_blank_values=True))
    plain = query.pop("tls", "yes") == "no"
    if found.scheme not in {"smtp", "smtps"} or not found.hostname or found.path.strip("/") or query:
        raise SettingsError(
            f"PATROL_SMTP is not smtp://user:password@host:587 or smtps://…: {SETTINGS['smtp']}"
        )
    tls = TLS if found.scheme == "smtps" else PLAIN if plain else STARTTLS
    usual = 465 if tls == TLS else 587
    user, password = unquote(found.username or ""), unquote(found.password or "")
    if user and tls == PLAIN:
        raise SettingsError("PATROL_SMTP: a password is not sent without TLS: leave out ?tls=no, or the user")
    return Relay(found.hostname, port or usual, tls, user, password)


def public_parts(address: str) -> tuple[str, str, str, str]:
    """Scheme, host with port, host, and path prefix of ``https://patrol.force.example/patrol``.

    The usual port is left out, as browsers do; the prefix has no slash at its end.

    Raises:
        SettingsError: it is not such an address.
    """
    from urllib.parse import urlsplit

    try:
        found = urlsplit(address.strip())
        host, port = found.hostname or "", found.port
    except ValueError:
        found, host, port = urlsplit(""), "", None
    prefix = found.path.rstrip("/")
    named = host.isascii() and (":" in host or re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host))
    if (
        found.scheme not in {"http", "https"}
        or not named
        or found.username is not None
        or found.query
        or found.fragment
        or not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", prefix)
    ):
        raise SettingsError(
            f"PATROL_PUBLIC_URL={address!r} is not an address of scheme, host and perhaps a path, such as "
            f"https://patrol.force.example/patrol: {SETTINGS['public_url']}"
        )
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[found.scheme]
    return found.scheme, shown if port in (None, usual) else f"{shown}:{port}", host, prefix


def trusted_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of ``10.1.2.3,192.168.0.0/24``.

    Raises:
        SettingsError: one is none, or is everybody.
    """
    import ipaddress

    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ipaddress.ip_network(item)
        except ValueError as error:
            raise SettingsError(
                f"PATROL_TRUSTED_PROXIES has {item!r}: write addresses and networks: 10.1.2.3,192.168.0.0/24"
            ) from error
        if not network.prefixlen:
            raise SettingsError(
                f"PATROL_TRUSTED_PROXIES has {item}, which is everybody: name the proxies' own addresses"
            )
        found.append(network)
    return tuple(found)


def weekly_at(text: str) -> tuple[int, int, int]:
    """Day (Monday is 0), hour and minute of ``Mon 06:00``.

    Raises:
        SettingsError: it is no day and time.
    """
    found = re.fullmatch(rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if found is None:
        raise SettingsError(f"PATROL_REPORT_AT={text!r}: write it like Mon 06:00, in local time")
    return DAYS.index(found[1]), int(found[2]), int(found[3])


def read_policies(path: str) -> Policies:
    """The policies of a TOML file; the defaults where the path is empty.

    Windows' editors and shells write a byte order mark, and its redirection UTF-16: both are read.

    Raises:
        SettingsError: the file cannot be read or used.
    """
    from stream.core.policy import Policies, PolicyError, parse_policies

    if not path:
        return Policies()
    try:
        content = Path(path).read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return parse_policies(content.decode("utf-16" if wide else "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"policy file {path}: it is not text in UTF-8: save it as UTF-8") from error
    except (OSError, PolicyError) as error:
        raise SettingsError(f"policy file {path}: {error}") from error


_OF_A_PORT = r"PORT_[0-9]+_(?:TCP|UDP|SCTP)"
_INJECTED = tuple(
    (re.compile(rf"PATROL(?:_[A-Z0-9_]+)?_(?:{name})"), re.compile(value))
    for name, value in (
        (
            rf"PORT|{_OF_A_PORT}",
            r"(?:tcp|udp|sctp)://(?:[0-9.]+|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:]+):[0-9]+",
        ),
        (rf"SERVICE_PORT(?:_[A-Z0-9_]+)?|{_OF_A_PORT}_PORT", r"[0-9]+"),
        (rf"SERVICE_HOST|{_OF_A_PORT}_ADDR", r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*"),
        (rf"{_OF_A_PORT}_PROTO", r"tcp|udp|sctp"),
    )
)


def injected(name: str, value: str) -> bool:
    """Whether a variable is what Kubernetes and Docker links tell of a service called ``patrol-…``.

    ``PATROL_WEB_PORT=tcp://10.0.0.7:80`` is no setting, nor is ``PATROL_HEALTH_PORT`` with such a value.
    Both name and value have to be of that form, so that a mistyped setting is still told.
    """
    return any(names.fullmatch(name) and values.fullmatch(value) for names, values in _INJECTED)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment and the file that it names.

    Raises:
        SettingsError: an unknown setting in the file, or an invalid value.
    """
    from stream.core.toml import TomlError, toml

    given_all = os.environ if environment is None else environment
    environment = {name: value for name, value in given_all.items() if not injected(name, value)}
    names = {f"PATROL_{name.upper()}" for name in SETTINGS}
    allowed = names | {f"{name}_FILE" for name in names} | {"PATROL_CONFIG"}
    for name in sorted(environment):
        if name.startswith("PATROL_") and name not in allowed:
            raise SettingsError(f"unknown setting {name}; known: {', '.join(sorted(names))}")
    given: dict[str, Any] = {}
    if path := environment.get("PATROL_CONFIG"):
        try:
            given = toml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, TomlError) as error:
            raise SettingsError(f"PATROL_CONFIG={path}: {error}") from error
        unknown = sorted(set(given) - set(SETTINGS))
        if unknown:
            raise SettingsError(f"{path}: unknown setting '{unknown[0]}'; known: {', '.join(SETTINGS)}")
    for name in SETTINGS:
        variable = f"PATROL_{name.upper()}"
        if variable in environment:
            given[name] = environment[variable]
        elif file := environment.get(f"{variable}_FILE"):
            try:
                given[name] = Secret.of(file)
            except (OSError, UnicodeDecodeError, SecretFileError) as error:
                raise SettingsError(f"{variable}_FILE={file}: {error}") from error
    return _typed(given)


def check_files(settings: Settings) -> None:
    """Looks whether the files that the pages need are there.

    Raises:
        SettingsError: one is not, or cannot be read.
    """
    if settings.postcodes:
        _beginning("PATROL_POSTCODES", settings.postcodes, "give a CSV with postcode, lat and long")
    if settings.basemap and "{z}" not in settings.basemap:
        what = "give a PMTiles file, or a tile address with {z}, {x} and {y}"
        if _beginning("PATROL_BASEMAP", settings.basemap, what) != _PMTILES:
            raise SettingsError(f"PATROL_BASEMAP={settings.basemap}: is no PMTiles file: {what}")


def _beginning(setting: str, path: str, what: str) -> bytes:
    """The first bytes of a file that a setting names.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_PMTILES))
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{setting}={path}: {why}: {what}") from error


def _check_database(dsn: str) -> None:
    """Checks a DSN, and that no part of its password is taken for a host, a port or a database.

    Raises:
        SettingsError: it is none; the message repeats nothing of it, because it may hold a password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(dsn)
    except ProgrammingError as error:
        why = str(error).partition('"')[0].strip()
        raise SettingsError(f"PATROL_DATABASE is not a DSN ({why} …): {SETTINGS['database']}") from None
    host, port, name = (str(found.get(key) or "") for key in ("host", "port", "dbname"))
    if "@" in host + name or not re.fullmatch(r"[0-9, ]*", port):
        raise SettingsError(
            "PATROL_DATABASE names no host and port that can be: in a user or password of an address write "
            f"%40 for @, %3A for :, %2F for /, %3F for ? and %25 for %: {SETTINGS['database']}"
        )


def _check_reached(values: Mapping[str, Any]) -> None:
    """Checks what is said of how the pages are reached.

    Raises:
        SettingsError: it cannot be used, or a part is missing.
    """
    if values.get("public_url"):
        public_parts(values["public_url"])
    if trusted_networks(values.get("trusted_proxies", "")) and not values.get("public_url"):
        raise SettingsError(
            f"PATROL_PUBLIC_URL is not set, and PATROL_TRUSTED_PROXIES needs it: {SETTINGS['public_url']}"
        )
    if values.get("proxy_header", X_FORWARDED_FOR) not in (X_FORWARDED_FOR, FORWARDED):
        raise SettingsError(
            f"PATROL_PROXY_HEADER={values['proxy_header']!r}: write {X_FORWARDED_FOR} or {FORWARDED}"
        )
    if bool(values.get("tls_certificate")) != bool(values.get("tls_key")):
        missing = "tls_key" if values.get("tls_certificate") else "tls_certificate"
        raise SettingsError(f"PATROL_{missing.upper()} is not set, and TLS needs both: {SETTINGS[missing]}")


def terms_of(settings: Settings) -> Terms:
    """How long what is kept.

    Raises:
        SettingsError: the settings contradict each other.
    """
    from stream.core.keeping import RetentionError, Terms

    try:
        return Terms(settings.keep_off_duty_h, settings.keep_fixes_days, settings.keep_slices_days)
    except RetentionError as error:
        raise SettingsError(str(error)) from None


def _check_pseudonyms(key: str) -> None:
    """Checks the key of pseudonyms.

    Raises:
        SettingsError: it is too short; the message does not repeat it.
    """
    from stream.core.pseudonyms import PseudonymError, Pseudonyms

    try:
        Pseudonyms(key)
    except PseudonymError as error:
        raise SettingsError(f"PATROL_PSEUDONYM_KEY: {error}") from None


def _check_kafka(values: dict[str, Any]) -> None:
    """Checks how Kafka is to be connected to, and writes the names in one way.

    Raises:
        SettingsError: the settings do not fit together, or a file cannot be used.
    """
    given = str(values.get("kafka_security", PLAINTEXT))
    known = {**{name: name for name in PROTOCOLS}, **{his.lower(): name for name, his in PROTOCOLS.items()}}
    if (security := known.get(given.lower())) is None:
        raise SettingsError(f"PATROL_KAFKA_SECURITY={given!r}: write {', '.join(PROTOCOLS)}")
    mechanism = str(values.get("kafka_mechanism", SCRAM_512)).upper()
    if mechanism not in MECHANISMS:
        raise SettingsError(f"PATROL_KAFKA_MECHANISM={mechanism!r}: write {', '.join(MECHANISMS)}")
    values |= {"kafka_security": security, "kafka_mechanism": mechanism}
    made = Settings(**{name: value for name, value in values.items() if name.startswith("kafka")}).brokers
    for setting, value in (("CA", made.ca), ("CERTIFICATE", made.certificate), ("KEY", made.key)):
        if "-----BEGIN" in value:
            raise SettingsError(
                f"PATROL_KAFKA_{setting} holds a certificate or key: name the file that holds it"
            )
        if value and not made.tls:
            raise SettingsError(
                f"PATROL_KAFKA_{setting} is set, and without TLS of no use: write PATROL_KAFKA_SECURITY=tls"
                " or sasl_tls"
            )
    if made.key and not made.certificate:
        raise SettingsError(f"PATROL_KAFKA_CERTIFICATE is not set: {SETTINGS['kafka_certificate']}")
    for name in ("kafka_user", "kafka_password"):
        if made.sasl and not values.get(name):
            raise SettingsError(f"PATROL_{name.upper()} is not set: {SETTINGS[name]}")
        if values.get(name) and not made.sasl:
            raise SettingsError(
                f"PATROL_{name.upper()} is set, and nobody signs in with PATROL_KAFKA_SECURITY={security}: "
                f"write sasl_tls"
            )
    if (
        made.sasl
        and not made.tls
        and (far := sorted({host for host, _ in made.servers if not is_here(host)}))
    ):
        raise SettingsError(
            f"PATROL_KAFKA_SECURITY={security}: {far[0]} is another machine, and no password is sent there "
            "without TLS: write sasl_tls"
        )
    try:
        made.context()
    except AccessError as error:
        raise SettingsError(str(error)) from error


def is_here(host: str) -> bool:
    """Whether a name or an address is this machine's own: loopback, a socket of it, or none at all."""
    from ipaddress import ip_address

    if not host or host.startswith(("/", "@")) or host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def unprotected(settings: Settings) -> list[str]:
    """Which servers on other machines are spoken to without their certificates being verified, a line each.

    libpq encrypts where the server offers it and believes any certificate, unless the DSN says otherwise.
    """
    from psycopg.conninfo import conninfo_to_dict

    found = []
    brokers = settings.brokers
    if not brokers.tls and (far := sorted({host for host, _ in brokers.servers if not is_here(host)})):
        found.append(
            f"Kafka at {far[0]} is spoken to without TLS: set PATROL_KAFKA_SECURITY to tls or sasl_tls"
        )
    if settings.database:
        dsn = {"host": os.environ.get("PGHOST", ""), "sslmode": os.environ.get("PGSSLMODE", "")}
        dsn |= {name: str(value) for name, value in conninfo_to_dict(settings.database).items()}
        named = dsn.get("hostaddr") or dsn["host"]
        far = [host for host in named.split(",") if not is_here(host.strip())]
        if far and dsn["sslmode"] != "verify-full":
            mode = dsn["sslmode"] or "prefer"
            found.append(
                f"the certificate of PostgreSQL at {far[0]} is not verified (sslmode={mode}): "
                "write sslmode=verify-full and sslrootcert=… into PATROL_DATABASE"
            )
    return found


def _check_openid(values: Mapping[str, Any]) -> None:
    """Checks what is said of an OpenID provider.

    Raises:
        SettingsError: a part is missing, or the issuer is no address of https.
    """
    from urllib.parse import urlsplit

    if values.get("sign_in", "") != OPENID:
        return
    for name in ("public_url", "openid_issuer", "openid_client", "roles"):
        if not values.get(name):
            raise SettingsError(
                f"PATROL_{name.upper()} is not set, and PATROL_SIGN_IN=openid needs it: {SETTINGS[name]}"
            )
    try:
        issuer = urlsplit(values["openid_issuer"])
        host = issuer.hostname or ""
    except ValueError:
        issuer, host = urlsplit(""), ""
    plain = issuer.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")
    if not host or issuer.query or issuer.fragment or not (issuer.scheme == "https" or plain):
        raise SettingsError(
            f"PATROL_OPENID_ISSUER={values['openid_issuer']!r} is not an address of https: "
            f"{SETTINGS['openid_issuer']}"
        )


def _typed(given: Mapping[str, Any]) -> Settings:
    from urllib.parse import urlsplit

    values: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name not in given:
            continue
        kind = {"int": int, "float": float, "str": str}[str(item.type)]
        value = given[item.name]
        # From a file, a number of the wrong kind is a mistake too, not something to round.
        fits = kind is str or not (isinstance(value, bool) or (kind is int and isinstance(value, float)))
        with contextlib.suppress(TypeError, ValueError):
            if fits:
                # A secret keeps the name of its file.
                values[item.name] = value if kind is str and isinstance(value, str) else kind(value)
        if item.name not in values:
            what = "a whole number" if kind is int else "a number"
            raise SettingsError(f"PATROL_{item.name.upper()}={value!r} is not {what}: {SETTINGS[item.name]}")
        if kind is not str and not 0 < values[item.name] < math.inf:
            raise SettingsError(f"PATROL_{item.name.upper()} must be above 0: {SETTINGS[item.name]}")
    if "@" in values.get("kafka", ""):
        raise SettingsError(f"PATROL_KAFKA has an @ in it: name servers alone, no user: {SETTINGS['kafka']}")
    for address in filter(None, values.get("kafka", "").split(",")):
        host, _, port = address.strip().rpartition(":")
        if not (_HOST.fullmatch(host) and port.isascii() and port.isdigit() and int(port) < 65_536):
            # Not repeated: who takes it for a URL may have written a password into it.
            raise SettingsError(f"PATROL_KAFKA is not host:port: {SETTINGS['kafka']}")
    _check_kafka(values)
    if values.get("database"):
        _check_database(values["database"])
    if values.get("projection_done", 0.0) > 1:
        raise SettingsError(f"PATROL_PROJECTION_DONE must be at most 1: {SETTINGS['projection_done']}")
    if values.get("clock", WALL) not in (WALL, EVENTS):
        raise SettingsError(f"PATROL_CLOCK={values['clock']!r}: write wall or events")
    weekly_at(values.get("report_at", "Mon 06:00"))
    if values.get("health_port", 0) >= 65_536:
        raise SettingsError(f"PATROL_HEALTH_PORT={values['health_port']} is not a port: write 1 to 65535")
    if values.get("purpose", "") not in ("", "ask"):
        raise SettingsError(f"PATROL_PURPOSE={values['purpose']!r}: write ask, or leave it out")
    if values.get("log", "plain") not in ("plain", "json"):
        raise SettingsError(f"PATROL_LOG={values['log']!r}: write plain or json")
    if values.get("sign_in", "") not in SIGN_INS:
        raise SettingsError(f"PATROL_SIGN_IN={values['sign_in']!r}: write openid or local, or leave it empty")
    _check_openid(values)
    if values.get("smtp"):
        relay(values["smtp"])
    if values.get("pseudonym_key"):
        _check_pseudonyms(values["pseudonym_key"])
    if bool(values.get("smtp")) != bool(values.get("mail")):
        missing = "mail" if values.get("smtp") else "smtp"
        raise SettingsError(f"PATROL_{missing.upper()} is not set, and mail needs it: {SETTINGS[missing]}")
    _check_reached(values)
    page = urlsplit(values.get("page") or "https://none")
    if page.scheme not in {"http", "https"} or not page.netloc or page.query or page.fragment:
        raise SettingsError(f"PATROL_PAGE={values['page']!r} is not an address: {SETTINGS['page']}")
    found = Settings(**values)
    terms_of(found)
    return found
