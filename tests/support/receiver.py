"""A receiver of webhooks on the loopback address, which verifies every event and can misbehave."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from standardwebhooks import Webhook as Signature

from campus import OPERATOR, Campus
from rollbook.actions.webhook_addresses import read_networks
from rollbook.actions.webhooks import add_webhook
from rollbook.store.database.database import Database
from rollbook.store.database.tables import webhooks
from rollbook.worker.webhooks import Webhooks

LOOPBACK = "127.0.0.0/8, ::1"
LATE_SECONDS = 0.2


@dataclass
class Receiver:
    """What arrived, as (id, event) in order, also what was then answered by an error.

    Each request takes the next of `answers`: a status, or `hang`, `late`, `drop`, `redirect` or `endless`; then 200.
    """

    secret: str = ""
    answers: list[int | str] = field(default_factory=list)
    arrived: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    accepted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    hosts: set[str] = field(default_factory=set)
    at_once: int = 0
    pause: float = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._inside = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count the requests that are answered at the same time."""
        with self.lock:
            self._inside += 1
            self.at_once = max(self.at_once, self._inside)
        yield
        with self.lock:
            self._inside -= 1

    def types(self) -> list[str]:
        """Return the types of the accepted events."""
        return [event["type"] for _, event in self.accepted]

    def items(self) -> list[tuple[int, str]]:
        """Return (enrollment, new status) of every item of the accepted events, without repeated events."""
        first = dict(self.accepted[::-1])
        told = [first.pop(id_) for id_, _ in self.accepted if id_ in first]
        return [
            (item["enrollment_id"], event["type"].removeprefix("items."))
            for event in told
            if event["type"].startswith("items.")
            for item in event["data"]["items"]
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # an answer in two packets would wait for an acknowledgment
    receiver: Receiver

    def do_POST(self) -> None:
        with self.receiver.inside():
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        receiver = self.receiver
        event = (self.headers["webhook-id"], Signature(receiver.secret).verify(body, dict(self.headers)))
        receiver.hosts.add(self.headers["Host"])
        with receiver.lock:
            answer = receiver.answers.pop(0) if receiver.answers else 200
            receiver.arrived.append(event)
        if answer == "hang":
            receiver.closing.wait(60)
        if answer in ("hang", "drop"):
            self.close_connection = True
            return
        time.sleep(LATE_SECONDS if answer == "late" else receiver.pause)
        status = answer if isinstance(answer, int) else 302 if answer == "redirect" else 200
        if status == 200:
            receiver.accepted.append(event)
        self.send_response(status)
        self.send_header("Location", receiver.url)
        self.send_header("Content-Length", str(10**12) if answer == "endless" else "2")
        self.end_headers()
        while answer == "endless" and not receiver.closing.is_set():
            self.wfile.write(b"x" * 65_536)
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Ignore clients that go away."""


@contextmanager
def run_receiver(certificate: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """Run a receiver; with a certificate and its key, for HTTPS at `localhost`."""
    receiver = Receiver()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": receiver}))
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook?token=t"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        receiver.url = f"https://localhost:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def subscribe(campus: Campus, receiver: Receiver, *, items: bool = True) -> int:
    """Add a webhook for a receiver, and return its number."""
    with campus.database.write() as connection:
        allowed = read_networks(LOOPBACK)
        number, receiver.secret = add_webhook(
            connection, OPERATOR, campus.account, receiver.url, items=items, allowed=allowed
        )
    return number


@contextmanager
def delivering(database: Database, allowed: str = LOOPBACK, seconds: float = 10) -> Iterator[None]:
    """Deliver webhooks in a thread during the block, as a worker does; a delivery may take so many seconds."""
    delivery = Webhooks(database, read_networks(allowed), seconds, 0.02)
    thread = threading.Thread(target=delivery.run)
    thread.start()
    try:
        yield
    finally:
        delivery.stop()
        thread.join()


def change_webhook(database: Database, number: int, **values: object) -> None:
    """Change the stored row of a webhook, as if time had passed."""
    with database.write() as connection:
        connection.execute(webhooks.update().where(webhooks.c.id == number).values(values))


def read_webhook(database: Database, number: int) -> Any:
    """Read the stored row of a webhook."""
    with database.read() as connection:
        return connection.execute(sa.select(webhooks).where(webhooks.c.id == number)).one()
