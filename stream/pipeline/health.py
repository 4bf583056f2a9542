"""``/healthz``, ``/readyz`` and ``/metrics`` of a process without pages, on a port of its own."""

from __future__ import annotations

import contextlib
import json
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name that it has above
        """Says nothing of requests that come every few seconds."""


@contextlib.contextmanager
def served(
    port: int, registry: CollectorRegistry, waiting_for: Callable[[], str], *, host: str = "127.0.0.1"
) -> Iterator[int]:
    """Answers on a port while the block runs.

    Args:
        port: 0 for a free one.
        registry: what ``/metrics`` tells.
        waiting_for: what the process waits for; empty: it is ready. It is called in another thread.
        host: the address to listen on: this machine's own unless told otherwise.

    Yields:
        The port.

    Raises:
        OSError: the port cannot be listened on.
    """
    metrics = make_wsgi_app(registry)

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environment["PATH_INFO"]:
            case "/metrics":
                told: Iterable[bytes] = metrics(environment, start)
                return told
            case "/healthz":
                status, body = "200 OK", {"status": "up"}
            case "/readyz" if detail := waiting_for():
                status, body = "503 Service Unavailable", {"status": "waiting", "detail": detail}
            case "/readyz":
                status, body = "200 OK", {"status": "ready"}
            case _:
                status, body = "404 Not Found", {"status": "no such page"}
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    server = make_server(host, port, answer, _Server, _Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
