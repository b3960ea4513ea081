"""/livez, /readyz and /metrics: a small plain HTTP server on a port and in a thread of its own."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.store.database.schema import can_serve

log = structlog.get_logger("rollbook.server")

JSON = "application/json"
OK = "ok"
# A database that does not answer within this is not ready.
MAX_DATABASE_SECONDS = 2

ProbeResponse = tuple[int, str, bytes]


@contextmanager
def run_probes(listening: socket.socket, database: Database, stopping: threading.Event) -> Iterator[None]:
    """Answer on the socket until the block ends; the process is not ready once `stopping` is set."""
    paths = {
        "/livez": lambda: (200, JSON, _json({"status": "alive"})),
        "/readyz": lambda: _ready(database, stopping),
        "/metrics": lambda: (200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest()),
    }
    server = _Server(listening, paths)
    thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _ready(database: Database, stopping: threading.Event) -> ProbeResponse:
    parts = {**_check_database(database), "process": "shutting down" if stopping.is_set() else OK}
    ready = set(parts.values()) == {OK}
    return 200 if ready else 503, JSON, _json({"status": "ready" if ready else "not ready", **parts})


def _check_database(database: Database) -> dict[str, str]:
    try:
        with deadline(MAX_DATABASE_SECONDS):
            usable = can_serve(database)
    except DatabaseUnavailableError as error:
        return {"database": error.detail, "schema": "not known without the database"}
    return {"database": OK, "schema": OK if usable else "not the schema of this release; run: rollbook migrate"}


def _json(value: dict[str, str]) -> bytes:
    return json.dumps(value).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, paths: dict[str, Callable[[], ProbeResponse]]) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.paths = paths

    def handle_error(self, request: object, client_address: object) -> None:
        """Log an error, but not a client that closed its connection."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("operations request failed", client=str(client_address), exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # seconds until a silent client is disconnected
    server: _Server

    def do_GET(self) -> None:
        """Answer one of the paths."""
        respond = self.server.paths.get(self.path.partition("?")[0])
        status, kind, body = respond() if respond else (404, JSON, _json({"status": "no such path"}))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 the name that the library looks for

    def version_string(self) -> str:
        """Hide the versions of Python and of the library."""
        return "rollbook"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
        """Log nothing: probes are requested every few seconds."""
