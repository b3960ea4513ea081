"""Clients that hold connections: others are served, and the limits hold."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from campus import Campus
from load import Load, report, wait_until
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server

HALF_A_BODY = b"POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nPackage="


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """An account in a database of its own."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('connections') / 'rollbook.db'}")
    migrate(database)
    yield Campus(database)
    database.close()


@pytest.fixture(scope="module")
def strict(campus: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with narrow limits."""
    folder = tmp_path_factory.mktemp("strict")
    with run_server(
        _url(campus), folder, "--no-worker", head_seconds=1, write_seconds=0.5, max_connections=20
    ) as server:
        yield server


def _url(campus: Campus) -> str:
    return str(campus.database.engine.url)


class Hoard:
    """Many connections, held by one client."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._context = server.tls_context()
        self.held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def add(self, count: int, sent: bytes = b"") -> None:
        """Open connections, and send the same bytes on each."""
        for _ in range(count):
            plain = socket.socket()
            # Without a limit the system buffers megabytes for a client that does not read.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            plain.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self._server.port))
            opened = await asyncio.open_connection(sock=plain, ssl=self._context, server_hostname="localhost")
            opened[1].write(sent)
            self.held.append(opened)

    async def close(self) -> None:
        """Abort all of them."""
        for _, writer in self.held:
            writer.transport.abort()
        await asyncio.sleep(0)


def _sockets(server: ServerProcess) -> int:
    count = 0
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += "socket:" in str(file.readlink())
    return count


def _report(campus: Campus) -> bytes:
    package = campus.call("getLearnerReport", "<Report><PageSize>1000</PageSize><Filters/><Columns/></Report>")
    body = urlencode({"Package": package}).encode()
    head = f"POST /apiv2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body


def test_idle_slow_and_unreading_clients_do_not_block_others(campus: Campus, tmp_path: Path, soaks: bool) -> None:
    idle, slow, deaf = (1000, 200, 20) if soaks else (150, 30, 3)
    ids = campus.enroll(20_000 if soaks else 2_000)

    async def hoard(server: ServerProcess) -> None:
        hoard, before = Hoard(server), time.monotonic()
        await hoard.add(idle)
        await hoard.add(slow, HALF_A_BODY)
        await hoard.add(deaf, _report(campus) * 20)
        opened_in = time.monotonic() - before
        with Load(campus, server, ids) as load:
            for _ in range(200 if soaks else 20):
                await asyncio.sleep(0.1)
                for _, writer in hoard.held[idle : idle + slow]:
                    writer.write(b"%3C")
        report("connections hoarded", load, held=_sockets(server), opened_in=opened_in)
        assert set(load.statuses) == {200}
        assert len(load.calls) > 20
        assert load.wrong == []
        await hoard.close()

    with run_server(_url(campus), tmp_path, "--no-worker", head_seconds=120) as server:
        asyncio.run(hoard(server))
        wait_until(lambda: _sockets(server) < 20)


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /apiv2/ HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000],
    ids=["nothing", "half_a_head", "an_endless_head"],
)
def test_connection_without_a_complete_head_is_closed(strict: ServerProcess, sent: bytes) -> None:
    assert asyncio.run(_read_until_closed(strict, sent)) == b""


def test_client_that_never_reads_responses_is_disconnected(strict: ServerProcess, campus: Campus) -> None:
    campus.enroll(1_000)
    asyncio.run(_leave_unread(strict, _report(campus) * 50))


async def _leave_unread(server: ServerProcess, sent: bytes) -> None:
    hoard = Hoard(server)
    await hoard.add(1, sent)
    own_port = hoard.held[0][1].get_extra_info("sockname")[1]
    ends = re.compile(rf":{server.port:04X} \w+:{own_port:04X} 01 ")  # the server's, connected
    table = Path("/proc/net/tcp")
    assert ends.search(table.read_text())
    async with asyncio.timeout(30):
        while ends.search(table.read_text()):
            await asyncio.sleep(0.05)
    await hoard.close()


async def _read_until_closed(server: ServerProcess, sent: bytes) -> bytes:
    hoard, read = Hoard(server), b""
    await hoard.add(1, sent)
    with suppress(ConnectionResetError):
        read = await asyncio.wait_for(hoard.held[0][0].read(), 30)
    await hoard.close()
    return read


def test_longest_idle_connection_is_closed_above_the_limit(strict: ServerProcess, campus: Campus) -> None:
    ids = campus.enroll(100)

    async def hoard() -> None:
        hoard = Hoard(strict)
        await hoard.add(1, HALF_A_BODY)
        await hoard.add(19)
        with Load(campus, strict, ids, clients=1) as load:
            load.wait_for_answers(1)
        assert set(load.statuses) == {200}
        # The second has been idle longest; the first is in the middle of a call.
        assert await asyncio.wait_for(hoard.held[1][0].read(), 10) == b""
        assert not hoard.held[0][0].at_eof()
        await hoard.close()

    asyncio.run(hoard())
    assert "too many connections" in strict.log.read_text()
