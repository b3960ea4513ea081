"""HTTP/1.1 is read by the letter or refused: no body becomes a call, no client chooses its address."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from campus import Campus
from conftest import Served
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server

POST = "POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
PROXY = "127.0.0.2"  # trusted by the servers of the tests

Segments = pytest.mark.parametrize("segments", [1, 2], ids=["one_segment", "two_segments"])


class Line:
    """A TLS connection for raw bytes."""

    def __init__(self, server: ServerProcess) -> None:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(PROXY, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = server.tls_context().wrap_socket(raw, server_hostname="localhost")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._tls.close()

    def send(self, head: str | bytes, rest: str | bytes = b"", segments: int = 1) -> None:
        """Send all bytes in one segment, or `rest` in a second segment a moment later."""
        parts = [part.encode() if isinstance(part, str) else part for part in (head, rest)]
        for part in parts if segments == 2 else [b"".join(parts)]:
            self._tls.sendall(part)
            time.sleep(0.05 * (segments - 1))

    def is_open(self, seconds: float) -> bool:
        """Wait up to `seconds` for the server to close the connection."""
        self._tls.settimeout(seconds)
        try:
            return bool(self._tls.recv(65_536))
        except TimeoutError:
            return True
        except OSError:
            return False

    def read(self) -> bytes:
        """Return everything received until the server closes the connection."""
        read = b""
        try:
            while part := self._tls.recv(65_536):
                read += part
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        return read


UPGRADES = {
    "h2c": "Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n",
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AA==\r\n",
    "twice": "Upgrade: h2c\r\nConnection: upgrade\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
}


def _call(package: str) -> bytes:
    return urlencode({"Package": package}).encode()


def _answers(read: bytes) -> list[bytes]:
    """Split the answers, each from its status line."""
    return [b"HTTP/1.1 " + part for part in read.split(b"HTTP/1.1 ")[1:]]


def _client(served: Served, answer: bytes) -> str:
    """Return the client address that the log has for an answered call."""
    request_id = answer.partition(b"x-request-id: ")[2][:16].decode()
    lines = [line for line in served.server.log.read_text().splitlines() if request_id in line]
    return str(json.loads(lines[-1])["client"])


@Segments
@pytest.mark.parametrize("asked", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_body_of_an_upgrade_request_is_not_a_request(
    served: Served, campus: Campus, asked: str, framing: str, segments: int
) -> None:
    (id_,) = campus.enroll(1)
    inner = _call(campus.package([id_]))
    forged = f"{POST}{FORM}X-Forwarded-For: 203.0.113.9\r\nContent-Length: {len(inner)}\r\n\r\n".encode() + inner
    body, length = forged, f"Content-Length: {len(forged)}\r\n"
    if framing == "chunks":
        body, length = b"%x\r\n%b\r\n0\r\n\r\n" % (len(forged), forged), "Transfer-Encoding: chunked\r\n"
    with Line(served.server) as line:
        line.send(f"{POST}{FORM}{asked}{length}\r\n", body, segments)
        line.send(f"{POST}Connection: close\r\n\r\n")
        answers = _answers(line.read())
    assert len(answers) == 2
    assert b"SU:02" in answers[0]  # a form without a package
    assert _client(served, answers[0]) == PROXY
    assert campus.queue() == {}


@Segments
def test_upgrade_request_is_executed_without_the_upgrade(served: Served, campus: Campus, segments: int) -> None:
    first, second = campus.enroll(2)
    calls = [_call(campus.package([id_])) for id_ in (first, second)]
    head = f"{POST}{FORM}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: "
    with Line(served.server) as line:
        line.send(f"{head}{len(calls[0])}\r\n\r\n", calls[0], segments)
        line.send(f"{head}{len(calls[1])}\r\nX-Last: 1\r\nConnection: close\r\n\r\n", calls[1], segments)
        answers = _answers(line.read())
    assert [b"<Result>Success</Result>" in answer for answer in answers] == [True, True]
    assert campus.queue() == {first: "Pending", second: "Pending"}


@Segments
@pytest.mark.parametrize("target", ["localhost:443", "localhost:443/apiv2/"])
def test_connect_is_refused_and_the_connection_closed(
    served: Served, campus: Campus, target: str, segments: int
) -> None:
    body = _call(campus.package(campus.enroll(1)))
    with Line(served.server) as line:
        line.send(
            f"CONNECT {target} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            f"{POST}{FORM}Content-Length: {len(body)}\r\n\r\n".encode() + body,
            segments,
        )
        (answer,) = _answers(line.read())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert campus.queue() == {}


AMBIGUOUS = {
    "both_lengths": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "both_lengths_turned": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two_lengths": "Content-Length: 5\r\nContent-Length: 6\r\n",
    "the_same_length_twice": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "a_list_of_lengths": "Content-Length: 5, 5\r\n",
    "a_length_with_a_sign": "Content-Length: +5\r\n",
    "a_length_beyond_64_bits": "Content-Length: 99999999999999999999\r\n",
    "a_blank_before_the_colon": "Content-Length : 5\r\n",
    "an_encoding_after_chunked": "Transfer-Encoding: chunked, identity\r\n",
    "an_encoding_that_is_not_chunked": "Transfer-Encoding: xchunked\r\n",
    "a_folded_line": "Transfer-Encoding:\r\n chunked\r\n",
    "a_folded_address": "X-Forwarded-For: 192.0.2.1,\r\n 203.0.113.9\r\n",
    "a_bare_line_feed": "X-A: b\nContent-Length: 5\r\n",
    "a_bare_carriage_return": "X-A: b\rContent-Length: 5\r\n",
    "a_nul": "X-A: b\0c\r\n",
}


@Segments
@pytest.mark.parametrize("header", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_head_is_refused(served: Served, campus: Campus, header: str, segments: int) -> None:
    body = _call(campus.package(campus.enroll(1)))
    follows = f"{POST}{FORM}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with Line(served.server) as line:
        line.send(f"{POST}{FORM}{header}\r\n", b"0\r\n\r\n" + follows, segments)
        (answer,) = _answers(line.read())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert campus.queue() == {}


@Segments
@pytest.mark.parametrize("body", ["1\nx\n0\n\n", "0x1\r\nx\r\n0\r\n\r\n", "1\r\nxyz0\r\n\r\n", "-1\r\nx\r\n0\r\n\r\n"])
def test_ambiguous_chunks_close_the_connection(served: Served, body: str, segments: int) -> None:
    with Line(served.server) as line:
        line.send(f"{POST}{FORM}Transfer-Encoding: chunked\r\n\r\n", body, segments)
        (answer,) = _answers(line.read())
    assert answer.startswith(b"HTTP/1.1 400 ")


@Segments
def test_trailers_are_ignored(served: Served, campus: Campus, segments: int) -> None:
    (id_,) = campus.enroll(1)
    body = _call(campus.package([id_]))
    head = f"{POST}{FORM}X-Forwarded-For: 192.0.2.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    trailers = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\nRollbook-Dry-Run: true\r\n"
    with Line(served.server) as line:
        chunks = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers.encode())
        line.send(head, chunks, segments)
        (answer,) = _answers(line.read())
    assert b"<Result>Success</Result>" in answer
    assert _client(served, answer) == "192.0.2.1"
    assert campus.queue() == {id_: "Pending"}


@pytest.mark.parametrize("endless", [b"X-Trailer: ", b"0;extension="], ids=["trailer", "chunk_extension"])
def test_endless_trailer_or_chunk_extension_closes_the_connection(served: Served, endless: bytes) -> None:
    begun = b"0\r\n" + endless if endless.startswith(b"X") else b"1\r\nx\r\n" + endless
    with Line(served.server) as line:
        line.send(f"{POST}{FORM}Transfer-Encoding: chunked\r\n\r\n", begun, segments=2)
        with suppress(OSError):
            for _ in range(100):
                line.send(b"x" * 65_536)
        assert not line.is_open(5)


@Segments
def test_expect_100_continue_is_answered_once(served: Served, campus: Campus, segments: int) -> None:
    ids = campus.enroll(1)
    body = _call(campus.package(ids))
    head = f"{POST}{FORM}Expect: 100-continue\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with Line(served.server) as line:
        line.send(head, body, segments)
        answers = _answers(line.read())
    assert [answer[9:12] for answer in answers] in ([b"100", b"200"], [b"200"])
    assert campus.queue() == {ids[0]: "Pending"}


@Segments
def test_http_1_0_call_is_answered_and_the_connection_closed(served: Served, campus: Campus, segments: int) -> None:
    first, second = campus.enroll(2)
    one, other = _call(campus.package([first])), _call(campus.package([second]))
    head = f"POST /apiv2/ HTTP/1.0\r\n{FORM}Connection: keep-alive\r\nContent-Length: "
    follows = one + f"{head}{len(other)}\r\n\r\n".encode() + other
    with Line(served.server) as line:
        line.send(f"{head}{len(one)}\r\n\r\n", follows, segments)
        (answer,) = _answers(line.read())
    assert b"<Result>Success</Result>" in answer
    assert campus.queue() == {first: "Pending"}


@Segments
def test_pipelined_calls_are_answered_in_order(served: Served, campus: Campus, segments: int) -> None:
    ids = campus.enroll(3)
    bodies = [_call(campus.package([id_])) for id_ in ids]
    sent = [f"{POST}{FORM}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    with Line(served.server) as line:
        line.send(b"".join(sent)[:900], b"".join(sent)[900:], segments)
        line.send(f"{POST}Connection: close\r\n\r\n")
        answers = _answers(line.read())
    numbers = [int(answer.partition(b"rollbook-batch: ")[2].split(b"\r\n")[0]) for answer in answers[:-1]]
    assert len(numbers) == 3
    assert numbers == sorted(numbers)
    assert b"SU:01" in answers[-1]
    assert set(campus.queue()) == set(ids)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that closes an idle connection after a second."""
    folder: Path = tmp_path_factory.mktemp("impatient")
    url = f"sqlite:///{folder / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    database.close()
    with run_server(url, folder, "--no-worker", keep_alive_seconds=1) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"x"], ids=["nothing", "empty_lines", "a_body"])
def test_idle_connection_is_closed_unless_it_sends_a_call(impatient: ServerProcess, sent: bytes) -> None:
    length = 1000 if sent == b"x" else 0  # SU:01 is answered before the body arrives
    with Line(impatient) as line:
        line.send(f"GET /apiv2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
        stops = time.monotonic() + 10
        while line.is_open(0.1):
            assert time.monotonic() < stops, "the connection stays open"
            with suppress(OSError):
                line.send(sent)


def test_connection_with_a_call_in_progress_is_not_idle(impatient: ServerProcess) -> None:
    head = f"{POST}{FORM}Content-Length: 1\r\n\r\n"
    with Line(impatient) as line:
        line.send(head + "x" + head)  # the second begins while the first is answered
        time.sleep(1.5)
        line.send("x")
        time.sleep(0.2)
        line.send(f"{POST}Connection: close\r\n\r\n")
        answers = _answers(line.read())
    assert [b"SU:02" in answer for answer in answers] == [True, True, False]
