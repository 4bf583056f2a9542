"""A Kafka as a force runs it, for tests: TLS, users, certificates of clients, and rules of who may do what.

The certificates are made for each run; nothing of them outlives it.
"""

from __future__ import annotations

import datetime
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stream.embedded import Keeper, ThrowawayServer, _unprivileged, free_port
from stream.kafka_security import Brokers
from tests.shell.kafka import RealKafka

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_PASSWORD = "opens the key"
PROVIDERS = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}


@dataclass(frozen=True)
class Papers:
    """Certificates and keys of a test, as PEM files in a folder.

    Attributes:
        folder: where they are.
        ca, stranger: the authority that everybody trusts, and one that nobody does.
    """

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    stranger: trustme.CA = field(default_factory=trustme.CA)

    def authority(self, ca: trustme.CA | None = None) -> str:
        """The file of an authority's certificate."""
        path = self.folder / ("ca.pem" if ca is None else "stranger.pem")
        (ca or self.ca).cert_pem.write_to_path(str(path))
        return str(path)

    def issue(
        self,
        name: str,
        *names: str,
        ca: trustme.CA | None = None,
        password: str = "",
        expired: bool = False,
    ) -> tuple[str, str]:
        """The files of a certificate and of its key, and one with both: ``name.pem``.

        Args:
            name: of the files, and what it is issued to.
            names: hosts and addresses; none: for a client.
            ca: who issues it, if not the one that everybody trusts.
            password: of the key.
            expired: whether its time is over.
        """
        now = datetime.datetime.now(datetime.UTC)
        ends = now + datetime.timedelta(-1 if expired else 9)
        made = (ca or self.ca).issue_cert(
            *(names or (f"{name}@force.example",)),
            common_name=name,
            not_before=now - datetime.timedelta(9),
            not_after=ends,
        )
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        sealed = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        files = [self.folder / f"{name}.{kind}.pem" for kind in ("certificate", "key")]
        # Java reads keys of PKCS #8 only.
        contents = [
            b"".join(blob.bytes() for blob in made.cert_chain_pems),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed),
        ]
        for path, content in zip(files, contents, strict=True):
            path.write_bytes(content)
        (self.folder / f"{name}.pem").write_bytes(b"".join(contents))
        return str(files[0]), str(files[1])


class SecureKafka(RealKafka):
    """Kafka with a port for each way of connecting, beside the open one, by which tests administer it.

    ``tls`` shows a certificate, ``mutual`` wants one, ``users`` has users over TLS and ``open`` without,
    ``expired`` and ``misnamed`` show certificates that are of no use. Whoever is on the plain port, or on
    one without users, may do everything; users may do what they are allowed (``allow``).

    Args:
        papers: where certificates are made.
        passwords: by user, the same for every mechanism.
    """

    patience_s = 120.0  # it makes keys for six ports, on a machine that may be busy
    PORTS = ("tls", "mutual", "users", "open", "expired", "misnamed")

    def __init__(self, papers: Papers, passwords: dict[str, str]) -> None:
        super().__init__()
        self.papers = papers
        self._passwords = passwords
        self.listening = {name: free_port() for name in self.PORTS}

    def address(self, port: str, host: str = "127.0.0.1") -> str:
        """``host:port`` of one of the ports."""
        return f"{host}:{self.listening[port]}"

    def brokers(self, port: str, **changes: Any) -> Brokers:
        """How a client that does everything right connects to a port, or one that does not."""
        made = Brokers(self.address(port))
        if port != "open":
            made = replace(made, security="tls", ca=self.papers.authority())
        if port == "mutual":
            certificate, key = self.papers.issue("client")
            made = replace(made, certificate=certificate, key=key)
        if port in ("users", "open"):
            name, password = next(iter(self._passwords.items()))
            security = "sasl_tls" if port == "users" else "sasl_plaintext"
            made = replace(made, security=security, user=name, password=password)
        return replace(made, **changes)

    def format_words(self) -> Sequence[str]:
        """Users of SCRAM are made with the folder."""
        return [
            word
            for name, password in self._passwords.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]

    def _write(self, folder: Path, port: int, controller: int) -> Path:
        path = super()._write(folder, port, controller)
        protocol = dict.fromkeys(self.PORTS, "SSL") | {"users": "SASL_SSL", "open": "SASL_PLAINTEXT"}
        shows = {
            **dict.fromkeys(("tls", "mutual", "users"), "server"),
            "expired": "expired",
            "misnamed": "misnamed",
        }
        self.papers.issue("server", "localhost", "127.0.0.1")
        self.papers.issue("expired", "localhost", "127.0.0.1", expired=True)
        self.papers.issue("misnamed", "kafka.force.example")
        listens = [f"{name.upper()}://127.0.0.1:{number}" for name, number in self.listening.items()]
        plain = f"PLAINTEXT://127.0.0.1:{port}"
        lines = {
            "listeners": ",".join([plain, f"CONTROLLER://127.0.0.1:{controller}", *listens]),
            "advertised.listeners": ",".join([plain, *listens]),
            "listener.security.protocol.map": ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
                + [f"{name.upper()}:{kind}" for name, kind in protocol.items()]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:CN=client;User:CN=sealed",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.papers.authority(),
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:.*CN=([^,]*).*/CN=$1/,DEFAULT",
        }
        for name, shown in shows.items():
            lines[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            lines[f"listener.name.{name}.ssl.keystore.location"] = str(self.papers.folder / f"{shown}.pem")
        known = " ".join(f'user_{name}="{password}"' for name, password in self._passwords.items())
        for name, mechanisms in (("users", tuple(PROVIDERS)), ("open", ("SCRAM-SHA-512",))):
            lines[f"listener.name.{name}.sasl.enabled.mechanisms"] = ",".join(mechanisms)
            for mechanism in mechanisms:
                module = f"org.apache.kafka.common.security.{PROVIDERS[mechanism]} required"
                more = f" {known};" if mechanism == "PLAIN" else ";"
                lines[f"listener.name.{name}.{mechanism.lower()}.sasl.jaas.config"] = module + more
        with path.open("a") as file:  # what is said later holds
            file.write("".join(f"{name}={value}\n" for name, value in lines.items()))
        return path


def allow(administered: str, user: str, prefix: str, rules: Sequence[tuple[str, str, str]]) -> None:
    """Lets a user do something with everything whose name begins so; with everything, if with nothing.

    Args:
        administered: the open port.
        user: who.
        prefix: goes before each name.
        rules: kind (``topic``, ``group``), beginning of the name, operation.
    """
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        KafkaAdminClient,
        ResourcePattern,
        ResourceType,
    )

    admin: Any = KafkaAdminClient(bootstrap_servers=administered)
    try:
        told = admin.create_acls(
            [
                ACL(
                    f"User:{user}",
                    "*",
                    ACLOperation[operation.upper()],
                    ACLPermissionType.ALLOW,
                    ResourcePattern(
                        ResourceType[kind.upper()],
                        prefix + name or "*",
                        ACLResourcePatternType.PREFIXED if prefix + name else ACLResourcePatternType.LITERAL,
                    ),
                )
                for kind, name, operation in rules
            ]
        )
    finally:
        admin.close()
    assert not told["failed"], told


def change_password(administered: str, user: str, password: str) -> None:
    """Gives a user of SCRAM another password."""
    from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

    admin: Any = KafkaAdminClient(bootstrap_servers=administered)
    try:
        wanted = [
            UserScramCredentialUpsertion(user, mechanism, password)
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        for each in wanted:
            admin.alter_user_scram_credentials([each])
    finally:
        admin.close()


PROGRAMS = Path("/usr/lib/postgresql/15/bin")
"""Where Debian has a PostgreSQL that speaks TLS; the embedded one does not."""


class TlsDatabase(ThrowawayServer):
    """A PostgreSQL that others reach over TLS only, with passwords; tests administer it by its socket.

    Args:
        papers: where its certificate is made.
    """

    name = "database"
    stop_signal = signal.SIGINT

    def __init__(self, papers: Papers) -> None:
        self.port = free_port()
        self._papers = papers

    def begin(self) -> None:
        """Makes it where it is new, starts it and returns when it answers."""
        if not PROGRAMS.is_dir():
            pytest.skip("needs PostgreSQL 15 with TLS (Debian 12: apt-get install postgresql-15)")
        user = _unprivileged()
        if self.keeper is None:
            self.keeper = Keeper("database", user)
        folder, data = self.keeper.folder, self.keeper.folder / "data"
        data.mkdir(mode=0o700)
        names = self._papers.issue("database", "localhost", "127.0.0.1")
        if user is not None:
            os.chown(data, *user)
        made = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
        self.keeper.ask("run", command=[str(PROGRAMS / "initdb"), "-D", str(data), *made], env={})
        rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        for name, content in (
            ("server.crt", Path(names[0]).read_bytes()),
            ("server.key", Path(names[1]).read_bytes()),
            ("data/pg_hba.conf", rules.encode()),
        ):
            path = folder / name
            path.write_bytes(content)
            path.chmod(0o600)
            if user is not None:
                os.chown(path, *user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "timezone": "UTC",
            "ssl": "on",
            "ssl_cert_file": folder / "server.crt",
            "ssl_key_file": folder / "server.key",
        }
        command = [str(PROGRAMS / "postgres"), "-D", str(data)]
        for setting, value in settings.items():
            command += ["-c", f"{setting}={value}"]
        self.launch(command, lambda _: (data / "postmaster.pid").exists() and self._ready(data))

    @staticmethod
    def _ready(data: Path) -> bool:
        return "ready" in (data / "postmaster.pid").read_text()

    def dsn_of(self, database: str) -> str:
        """By the socket, as its administrator."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def over_tls(self, user: str, password: str, database: str = "postgres", **changes: str) -> str:
        """As a force's processes connect."""
        words = {"sslmode": "verify-full", "sslrootcert": self._papers.authority()} | changes
        host = words.pop("host", "localhost")
        more = "&".join(f"{name}={value}" for name, value in words.items())
        return f"postgresql://{user}:{password}@{host}:{self.port}/{database}?{more}"
