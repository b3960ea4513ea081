"""/livez, /readyz and /metrics: a small plain HTTP server in a thread, for the operator's programs, on its own port."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from rollbook.server.operations.health import OK, Health

log = structlog.get_logger("rollbook.server")

JSON = "application/json"

Answer = tuple[int, str, bytes]


@contextmanager
def run_operations(listening: socket.socket, health: Health) -> Iterator[None]:
    """Answer on the socket as long as the block lasts, the end of the process included."""
    paths = {
        "/livez": lambda: (200, JSON, _json({"status": "alive"})),
        "/readyz": lambda: _ready(health),
        "/metrics": lambda: (200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest()),
    }
    server = _Server(listening, paths)
    thread = threading.Thread(target=server.serve_forever, name="operations", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _ready(health: Health) -> Answer:
    parts = health.check()
    ready = set(parts.values()) == {OK}
    return 200 if ready else 503, JSON, _json({"status": "ready" if ready else "not ready", **parts})


def _json(value: dict[str, str]) -> bytes:
    return json.dumps(value).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, paths: dict[str, Callable[[], Answer]]) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.paths = paths

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong, unless a client has only gone away."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("operations request failed", client=str(client_address), exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # seconds, for a client that says nothing
    server: _Server

    def do_GET(self) -> None:
        """Answer one of the paths."""
        answer = self.server.paths.get(self.path.partition("?")[0])
        status, kind, body = answer() if answer else (404, JSON, _json({"status": "no such path"}))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 the name that the library looks for

    def version_string(self) -> str:
        """Say no more of what runs here than that."""
        return "rollbook"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
        """Keep the log to the calls: these questions come every few seconds."""
