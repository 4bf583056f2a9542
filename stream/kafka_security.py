"""How clients connect to Kafka: with TLS, as which user, and why a broker refuses them.

Every client of Kafka in this program is made of :func:`options`, whichever library it is of: their names for
these things are the same. A password, key or certificate whose file has changed is taken at the next
connection (:func:`rotating`), and at the latest when a client is made anew.

What a broker refuses (a wrong authority, an expired certificate, another name, a wrong password, TLS on a
port without it) the clients take for one that is away, and some of them wait for ever. So :func:`access`
connects once itself, says what is wrong in a line, and leaves everything else to the clients.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from stream.secret_files import current

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

PLAINTEXT, TLS, SASL_PLAINTEXT, SASL_TLS = "plaintext", "tls", "sasl_plaintext", "sasl_tls"
PROTOCOLS: Final[Mapping[str, str]] = {
    PLAINTEXT: "PLAINTEXT",
    TLS: "SSL",
    SASL_PLAINTEXT: "SASL_PLAINTEXT",
    SASL_TLS: "SASL_SSL",
}
"""The values of PATROL_KAFKA_SECURITY, and Kafka's own names, which are taken too."""
SCRAM_512: Final = "SCRAM-SHA-512"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", SCRAM_512)

ANSWER_S: Final = 5.0
"""How long a broker may take for each step of a connection before it is called silent, seconds."""
CLOSE_S: Final = 1.0
"""How long it may take for its end."""


class AccessError(OSError):
    """A broker and this program do not come to terms; the message says why, and which setting to look at."""


@dataclass(frozen=True, slots=True)
class Brokers:
    """Kafka's addresses, and how to connect to them.

    Attributes:
        addresses: ``host:port`` separated by commas.
        security: ``plaintext``, ``tls``, ``sasl_tls`` or ``sasl_plaintext``.
        ca: the file of the authorities that are trusted, PEM; empty: those that the system trusts.
        certificate: this program's own, PEM, for brokers that want one; empty: none.
        key: its key, PEM; empty: it stands beside the certificate.
        key_password: what the key is encrypted with; empty: nothing.
        mechanism: of SASL: one of ``MECHANISMS``.
        user, password: of SASL.
    """

    addresses: str
    security: str = PLAINTEXT
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)
    mechanism: str = SCRAM_512
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def servers(self) -> list[tuple[str, int]]:
        """Hosts and ports."""
        pairs = (address.strip().rpartition(":") for address in self.addresses.split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in pairs if port]

    @property
    def tls(self) -> bool:
        """Whether what is said is encrypted."""
        return self.security in (TLS, SASL_TLS)

    @property
    def sasl(self) -> bool:
        """Whether a user signs in."""
        return self.security in (SASL_PLAINTEXT, SASL_TLS)

    def context(self) -> ssl.SSLContext | None:
        """What TLS connections are made of, with the files as they are now; None: there are none.

        Raises:
            AccessError: a file cannot be read or used.
        """
        if not self.tls:
            return None
        files = tuple((path, _state(path)) for path in (self.ca, self.certificate, self.key))
        return _context(*files, current(self.key_password))


Where: TypeAlias = "str | Brokers"
"""Kafka: its addresses alone, for one that asks for nothing, or with how to connect."""


def brokers(where: Where) -> Brokers:
    """The same with how to connect."""
    return where if isinstance(where, Brokers) else Brokers(where)


def options(where: Where) -> dict[str, Any]:
    """The options of a client's constructor that say where Kafka is and how to connect.

    They are those of ``aiokafka`` and of ``kafka-python``.

    Raises:
        AccessError: a certificate or key cannot be read or used.
    """
    there = brokers(where)
    found: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in there.addresses.split(",")],
        "security_protocol": PROTOCOLS[there.security],
    }
    if there.tls:
        found["ssl_context"] = there.context()
    if there.sasl:
        found["sasl_mechanism"] = there.mechanism
        found["sasl_plain_username"] = there.user
        found["sasl_plain_password"] = current(there.password)
    return found


def rotating(client: Any, where: Where) -> Any:
    """Has a client of aiokafka take the password and the certificate that there are when it connects.

    It reads them from its own attributes at each connection, and has no setting for anything but a text.

    Args:
        client: a consumer, producer or client for administration, not started yet.
        where: what it was made of.

    Returns:
        the client.
    """
    there = brokers(where)
    if there.security != PLAINTEXT:
        inner = getattr(client, "_client", None) or client.client
        inner.__class__ = _rotating(type(inner))
        inner.brokers = there
    return client


def _rotating(kind: Any) -> Any:
    class Rotating(kind):  # type: ignore[misc]  # aiokafka's client
        brokers: Brokers

        @property
        def _sasl_plain_password(self) -> str:
            return current(self.brokers.password)

        @property
        def _ssl_context(self) -> Any:
            return self.brokers.context()

    return Rotating


def _state(path: str) -> tuple[int, int, int]:
    """Differs after a file was written or replaced."""
    if not path:
        return 0, 0, 0
    try:
        found = Path(path).stat()
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}: it is named by a PATROL_KAFKA_… setting") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


@functools.lru_cache(maxsize=8)
def _context(
    ca: tuple[str, object], certificate: tuple[str, object], key: tuple[str, object], password: str
) -> ssl.SSLContext:
    """A context for files in a certain state."""
    import ssl

    try:
        made = ssl.create_default_context(cafile=ca[0] or None)
    except (OSError, ValueError) as error:  # an error of OpenSSL is an OSError
        raise AccessError(f"PATROL_KAFKA_CA={ca[0]}: {_unusable(error)}: give certificates in PEM") from error
    if certificate[0]:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            made.load_cert_chain(certificate[0], key[0] or None, lambda: password)
        except (OSError, ValueError) as error:
            files = f"PATROL_KAFKA_CERTIFICATE={certificate[0]}"
            files += f", PATROL_KAFKA_KEY={key[0]}" if key[0] else ""
            sealed = _encrypted(key[0] or certificate[0]) and "MISMATCH" not in str(error)
            why = _SEALED if sealed else _unusable(error)
            raise AccessError(f"{files}: {why}") from error
    return made


_SEALED: Final = "the key is encrypted, and PATROL_KAFKA_KEY_PASSWORD does not open it"


def _encrypted(path: str) -> bool:
    """Whether a key is; OpenSSL says of a wrong password what it says of rubbish."""
    with contextlib.suppress(OSError):
        return b"ENCRYPTED" in Path(path).read_bytes()
    return False


def _unusable(error: Exception) -> str:
    """Why a file of a certificate or a key is of no use."""
    import ssl

    if not isinstance(error, ssl.SSLError):
        return getattr(error, "strerror", None) or str(error)
    reason = str(error.reason or error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    if reason in ("NO_START_LINE", "NO_CERTIFICATE_OR_CRL_FOUND") or "PEM lib" in str(error):
        return "there is no usable certificate or key in it, in PEM"
    return reason


# ── What a broker says to a connection ────────────────────────────────────────────────────────────────────


async def access(where: Where) -> bool:
    """Connects to the brokers as the clients will, and says why one refuses that.

    Returns:
        whether any broker was reached; one that is silent counts as reached.

    Raises:
        AccessError: no broker lets this program in, and one that was reached says why.
    """
    there = brokers(where)
    there.context()  # files that cannot be used are no fault of the brokers
    silent, refused = False, None
    for host, port in there.servers:
        try:
            await _let_in(there, host, port)
        except AccessError as error:
            refused = refused or error
        except TimeoutError:
            silent = True
        except OSError:
            continue
        else:
            return True
    if refused is not None:
        raise refused
    return silent


def access_now(where: Where) -> bool:
    """The same where no event loop runs, or in a thread beside it; errors as there."""
    import asyncio
    import threading

    found: list[bool | BaseException] = []

    def ask() -> None:
        try:
            found.append(asyncio.run(access(where)))
        except BaseException as error:
            found.append(error)

    asking = threading.Thread(target=ask, name="kafka access", daemon=True)
    asking.start()
    asking.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


async def _let_in(there: Brokers, host: str, port: int) -> None:
    """Connects to one broker and asks it something.

    Raises:
        AccessError: it refuses, and this is why.
        TimeoutError: it does not answer.
        OSError: it cannot be reached, or went away.
    """
    import ssl

    from aiokafka.errors import (
        IllegalSaslStateError,
        KafkaError,
        SaslAuthenticationFailed,
        UnsupportedSaslMechanismError,
    )
    from aiokafka.protocol.metadata import MetadataRequest

    at = f"Kafka at {host}:{port}"
    given = options(there)
    del given["bootstrap_servers"]
    try:
        async with _connection(host, port, given) as connection:
            await connection.send(MetadataRequest([]))
    except ssl.SSLCertVerificationError as error:
        raise AccessError(f"{at}: {_unverified(there, error)}") from error
    except SaslAuthenticationFailed as error:
        raise AccessError(
            f"{at} does not take PATROL_KAFKA_USER={there.user} with its password ({there.mechanism})"
        ) from error
    except UnsupportedSaslMechanismError as error:
        offered = await _mechanisms(host, port, given)
        raise AccessError(
            f"{at} does not offer PATROL_KAFKA_MECHANISM={there.mechanism}"
            + (f", but {', '.join(offered)}" if offered else "")
        ) from error
    except IllegalSaslStateError as error:
        raise AccessError(
            f"{at} asks for no user on this port: write PATROL_KAFKA_SECURITY="
            f"{TLS if there.tls else PLAINTEXT}, or name a port that does"
        ) from error
    except (KafkaError, OSError, ValueError, EOFError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            raise TimeoutError from error
        if why := await _why_closed(there, host, port, error):
            raise AccessError(f"{at} {why}") from error
        raise ConnectionError(str(error)) from error


@contextlib.asynccontextmanager
async def _connection(host: str, port: int, given: Mapping[str, Any]) -> AsyncIterator[Any]:
    """One connection of aiokafka's, on which the user has signed in; gone when it is left."""
    import asyncio

    from aiokafka.conn import AIOKafkaConnection

    made: Any = AIOKafkaConnection(
        host, port, client_id="patrol-start", request_timeout_ms=round(ANSWER_S * 1000), **given
    )
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            await made.connect()
        yield made
    finally:
        gone = made.close()
        if made._protocol is not None:  # it came so far
            done, _ = await asyncio.wait([gone], timeout=CLOSE_S)
            if not done and made._protocol._transport is not None:
                made._protocol._transport.abort()


async def _why_closed(there: Brokers, host: str, port: int, error: BaseException) -> str:
    """Why a broker that was reached ended the connection; empty: it may only have gone away."""
    import ssl

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    reason = str(getattr(cause, "reason", "") or "")
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        if not there.certificate:
            return "asks for a certificate of this program: set PATROL_KAFKA_CERTIFICATE and PATROL_KAFKA_KEY"
        said = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return f"refuses PATROL_KAFKA_CERTIFICATE={there.certificate} ({said})"
    plain = {"security_protocol": PROTOCOLS[PLAINTEXT]}
    if there.tls:
        with contextlib.suppress(Exception):
            async with _connection(host, port, plain):
                pass
            security = SASL_PLAINTEXT if there.sasl else PLAINTEXT
            said = "speaks no TLS on this port: name a port that does, or write PATROL_KAFKA_SECURITY="
            return f"{said}{security}"
        if reason:
            return f"and this program agree on no TLS ({reason.replace('_', ' ').lower()})"
    elif await _speaks_tls(host, port):
        security = SASL_TLS if there.sasl else TLS
        return f"speaks TLS on this port: write PATROL_KAFKA_SECURITY={security}"
    if not there.sasl and (offered := await _mechanisms(host, port, options(there))):
        security = SASL_TLS if there.tls else SASL_PLAINTEXT
        return (
            f"asks for a user ({', '.join(offered)}): write PATROL_KAFKA_SECURITY={security}, "
            "PATROL_KAFKA_USER and PATROL_KAFKA_PASSWORD"
        )
    return ""


async def _mechanisms(host: str, port: int, given: Mapping[str, Any]) -> list[str]:
    """The mechanisms of SASL that a broker offers; empty: none, or it does not say."""
    from aiokafka.protocol.admin import SaslHandShakeRequest

    bare = {name: value for name, value in given.items() if name == "ssl_context"}
    bare["security_protocol"] = PROTOCOLS[TLS if bare else PLAINTEXT]
    with contextlib.suppress(Exception):
        async with _connection(host, port, bare) as connection:
            # One that nobody has: what is offered is told in any case.
            return sorted((await connection.send(SaslHandShakeRequest("NONE"))).enabled_mechanisms)
    return []


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether something answers a TLS handshake: whose certificate it shows does not matter here."""
    import asyncio
    import ssl

    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
        writer.transport.abort()
        return True
    return False


def _unverified(there: Brokers, error: ssl.SSLCertVerificationError) -> str:
    """Why a broker's certificate is not believed, and what to do."""
    said = error.verify_message
    if error.verify_code in (62, 64):  # the name, an address
        return f"{said.rstrip('.')}: write in PATROL_KAFKA the name that its certificate has"
    if error.verify_code in (9, 10):  # not yet, no longer
        return f"its certificate is of no use now ({said}): look at its dates and at this machine's clock"
    trusted = f"PATROL_KAFKA_CA={there.ca}" if there.ca else "those that this system trusts (PATROL_KAFKA_CA)"
    return f"its certificate is not of an authority in {trusted} ({said})"
