"""A real nginx for tests, with the site of ``deploy/proxy`` as it is given to others."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from stream.embedded import Keeper, ThrowawayServer, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

SITE = Path(__file__).resolve().parents[2] / "deploy" / "proxy" / "nginx.conf"

_AROUND = """daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    include {types};
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def nginx_path() -> str:
    """The machine's nginx.

    Raises:
        pytest.skip.Exception: there is none.
    """
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        pytest.skip("needs nginx on this machine (Debian: apt-get install nginx-light)")
    return found


class Nginx(ThrowawayServer):
    """The site of ``deploy/proxy/nginx.conf`` for localhost, on free ports, before a program on this machine.

    Args:
        upstream: the program's port.
        instead: what stands in the site in place of what, beside hosts, ports and files.

    Attributes:
        port: where it answers with TLS.
        plain: where it sends people there.
        authority: who signed its certificate.
    """

    name = "nginx"

    def __init__(self, upstream: int, instead: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.port, self.plain = port or free_port(), free_port()
        self.authority = trustme.CA()
        self._upstream, self._instead = upstream, dict(instead or {})

    @property
    def address(self) -> str:
        """Where browsers go."""
        return f"https://localhost:{self.port}"

    def begin(self) -> None:
        """Writes the site and starts the server."""
        binary = nginx_path()
        if self.keeper is None:
            self.keeper = Keeper("nginx")
        folder = self.keeper.folder
        made = self.authority.issue_cert("localhost")
        (folder / "patrol.pem").write_bytes(b"".join(item.bytes() for item in made.cert_chain_pems))
        (folder / "patrol.key").write_bytes(made.private_key_pem.bytes())
        site = SITE.read_text("utf-8")
        for before, after in {
            "/etc/nginx/patrol": f"{folder}/patrol",
            "listen 80;": f"listen 127.0.0.1:{self.plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "https://patrol.force.example": self.address,
            "patrol.force.example": "localhost",
            "127.0.0.1:8080": f"127.0.0.1:{self._upstream}",
            **self._instead,
        }.items():
            assert before in site, before
            site = site.replace(before, after)
        (folder / "site.conf").write_text(site, "utf-8")
        around = _AROUND.format(
            folder=folder,
            types="/etc/nginx/mime.types",
            # What is passed on may need a file between, in a folder that nobody else may open.
            user="user root;" if os.geteuid() == 0 else "",
        )
        (folder / "nginx.conf").write_text(around, "utf-8")
        self.launch([binary, "-e", "stderr", "-c", str(folder / "nginx.conf")], lambda _pid: self._answers())

    def _answers(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0
