"""A network that loses every third answer after the server has done the work does not change the result."""

import contextlib
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from campus import Campus
from conftest import Served
from rollbook import Client

# A handshake is smaller than this from the client's side, a call of a hundred ids is larger.
CALL_BYTES = 4096


class LossyProxy:
    """Forwards TCP connections to a server; on every third, the answer to the first call is lost."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # shutdown wakes the thread blocked in accept; close does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count(1):
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                LossyConnection(self, client, server, loses=number % 3 == 0).start()


class LossyConnection:
    """One connection, forwarded in both directions."""

    def __init__(self, proxy: LossyProxy, client: socket.socket, server: socket.socket, *, loses: bool) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._loses = loses
        self._sent = 0

    def start(self) -> None:
        threading.Thread(target=self._pass_calls, daemon=True).start()
        threading.Thread(target=self._pass_answers, daemon=True).start()

    def _pass_calls(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65536):
                self._sent += len(data)
                self._server.sendall(data)
        self._close()

    def _pass_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if self._loses and self._sent > CALL_BYTES:
                    self._proxy.lost += 1
                    break
                self._client.sendall(data)
        self._close()

    def _close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def proxy(served: Served) -> Iterator[LossyProxy]:
    proxy = LossyProxy(served.server.port)
    yield proxy
    proxy.close()


def test_every_id_is_accepted_once_when_every_third_answer_is_lost(
    served: Served, campus: Campus, proxy: LossyProxy
) -> None:
    ids = campus.enroll(1000)
    address = f"https://127.0.0.1:{proxy.port}/apiv2/"
    accepted: list[str] = []
    for start in range(0, len(ids), 100):
        # A new client, and so a new connection, for every call.
        with Client(address, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
            outcomes = list(client.unenroll([*ids[start : start + 100], 2**62]))
        assert Counter((outcome.status, outcome.code) for outcome in outcomes) == {
            ("accepted", None): 100,
            ("refused", "ULM:03"): 1,
        }
        accepted += [outcome.id for outcome in outcomes if outcome.accepted]
    assert proxy.lost >= 3
    assert accepted == [str(id_) for id_ in ids]
    assert Counter(campus.queue().values()) == {"Pending": 1000}
