"""Generates load: calls over HTTPS with keep-alive, in a separate process that costs little CPU time.

As a program it reads a job as JSON from stdin and writes the result as JSON to stdout. `measure` starts it.
"""

import json
import selectors
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote_plus

LENGTH = b"content-length: "


@dataclass(frozen=True)
class Job:
    """Calls to make. A body is `head`, the call's ids joined by `between`, and `tail`, all urlencoded."""

    port: int
    ca_file: str
    connections: int
    first_call: int
    calls: int
    table: int
    per_call: int
    path: str
    head: str
    between: str
    tail: str
    expected: str


@dataclass(frozen=True)
class Measured:
    """The total time of the calls, the median of one, and how many had the expected answer."""

    seconds: float
    median_ms: float
    expected: int


def call_ids(call: int, table: int, per_call: int) -> range:
    """Return the ids of a call: spread over the table, and disjoint from other calls."""
    stride = table // per_call
    return range(call * 7919 % stride + 1, table + 1, stride)[:per_call]


def make_job(url: str, ca_file: Path, package: str, **given: int | str) -> Job:
    """Make a job from a package with two ids, each written as `@`."""
    head, between, tail = (quote_plus(part) for part in package.split("@"))
    port, path = url.split(":")[2].split("/", 1)
    defaults: dict[str, int | str] = {"first_call": 0, "table": 1_000_000, "per_call": 100, "path": f"/{path}"}
    fixed = {"port": int(port), "ca_file": str(ca_file), "head": f"Package={head}", "between": between, "tail": tail}
    return Job(**defaults | fixed | {"expected": "<Result>Success"} | given)  # type: ignore[arg-type]


def measure(job: Job) -> Measured:
    """Make the calls and return the measurement; each must have the expected answer."""
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(asdict(job)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = Measured(**json.loads(done.stdout))
    assert measured.expected == job.calls, f"{job.calls - measured.expected} of {job.calls} calls failed"
    return measured


class _Connection:
    """A keep-alive connection with at most one call in progress."""

    def __init__(self, job: Job, context: ssl.SSLContext) -> None:
        plain = socket.create_connection(("localhost", job.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> bytes:
        """Read one complete answer."""
        answer = self.socket.recv(65536)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        start = answer.lower().index(LENGTH, 0, end) + len(LENGTH)
        size = end + 4 + int(answer[start : answer.index(b"\r\n", start)])
        while len(answer) < size:
            answer += self._more()
        return answer

    def _more(self) -> bytes:
        received = self.socket.recv(65536)
        assert received, "the server closed the connection"
        return received


def _request(job: Job, ids: range) -> bytes:
    body = f"{job.head}{job.between.join(map(str, ids))}{job.tail}".encode()
    head = f"POST {job.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _run(job: Job) -> Measured:
    context = ssl.create_default_context(cafile=job.ca_file)
    connections = [_Connection(job, context) for _ in range(job.connections)]
    selector = selectors.DefaultSelector()
    for connection in connections:
        # Consumes the session tickets of TLS 1.3, so that only answers are left to read.
        connection.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.read()
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    wanted = job.expected.encode()
    requests = (
        _request(job, call_ids(call, job.table, job.per_call))
        for call in range(job.first_call, job.first_call + job.calls)
    )
    times: list[float] = []
    expected = 0
    started = time.perf_counter()
    for connection, request in zip(connections, requests, strict=False):
        connection.send(request)
    while len(times) < job.calls:
        for key, _ in selector.select():
            connection = key.data
            expected += wanted in connection.read()
            times.append(time.perf_counter() - connection.sent_at)
            if request := next(requests, b""):
                connection.send(request)
    seconds = time.perf_counter() - started
    return Measured(seconds, sorted(times)[len(times) // 2] * 1000, expected)


if __name__ == "__main__":
    print(json.dumps(asdict(_run(Job(**json.load(sys.stdin))))))
