"""TLS without a proxy: a certificate and its key, and their renewal while the program runs.

A certificate lives for weeks, the program for months: each handshake looks whether the files have changed,
and takes the new pair once it is whole.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.settings import Settings

_LOG = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """A certificate with its key, as files; the newest that could be read is used.

    Args:
        certificate: the file of the certificate and its chain, PEM.
        key: the file of its key, PEM, without a password.

    Raises:
        SettingsError: the files cannot be used.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._files = certificate, key
        try:
            self._seen = self._stamp()
            self._current = self._read()
        except OSError as error:  # ssl.SSLError is one
            raise SettingsError(self._complaint(error)) from error

    def context(self, *_uvicorn: object) -> ssl.SSLContext:
        """For a server: every handshake has the certificate that the files hold then."""
        front = self._read()
        front.sni_callback = self._renew
        return front

    def _renew(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        try:
            found = self._stamp()
            if found != self._seen:
                self._seen = found  # what cannot be read is told once, and looked at when it changes again
                self._current = self._read()
                _LOG.info("the certificate was renewed: %s", self._files[0])
        except OSError as error:
            _LOG.warning("%s; the one before is used on", self._complaint(error))
        handshake.context = self._current

    def _stamp(self) -> Stamp:
        found = (Path(name).stat() for name in self._files)
        return tuple((item.st_mtime_ns, item.st_size, item.st_ino) for item in found)

    def _read(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.set_alpn_protocols(["http/1.1"])
        # Without a password given OpenSSL would ask for one at a terminal.
        made.load_cert_chain(*self._files, password=lambda: b"")
        return made

    def _complaint(self, error: OSError) -> str:
        certificate, key = self._files
        why = error.strerror or str(error)
        if isinstance(error, ssl.SSLError):
            why = "they are no pair of certificate and key in PEM, without a password"
        return f"PATROL_TLS_CERTIFICATE={certificate}, PATROL_TLS_KEY={key}: {why}"


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate that the settings name; None: none.

    Raises:
        SettingsError: it cannot be used.
    """
    if not settings.tls_certificate:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)
