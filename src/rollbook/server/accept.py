"""Takes in connections in turns with the other processes of a server, so that none has many while another has few.

The system would give nearly all to one: it wakes every process, and the same is first each time.
"""

import asyncio
import socket
from collections.abc import Callable, MutableSequence
from ssl import SSLContext
from typing import TypedDict

import structlog

log = structlog.get_logger("rollbook.server")

# How long a process that has more connections than another leaves a new one to that.
TURN_SECONDS = 0.002
# How long it takes in none when the system has no more files.
PAUSE_SECONDS = 1


class TlsOptions(TypedDict, total=False):
    """How to take in a connection with TLS; of a plain one nothing."""

    ssl: SSLContext
    ssl_handshake_timeout: float
    ssl_shutdown_timeout: float


class Shares:
    """The connections of each process of a server; `place` is this one's."""

    def __init__(self, counts: MutableSequence[int], place: int) -> None:
        self._counts = counts
        self._place = place
        self._counts[place] = 0

    def change(self, by: int) -> None:
        """Count connections that have come or gone."""
        self._counts[self._place] += by

    def exceeded(self) -> bool:
        """Tell whether another process has fewer."""
        return self._counts[self._place] > min(self._counts)


class Listener:
    """Takes in the connections of one listening socket until it is closed, and gives each a protocol of `connect`."""

    def __init__(
        self,
        listening: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        shares: Shares,
        options: TlsOptions | None = None,
    ) -> None:
        self._listening = listening
        self._connect = connect
        self._shares = shares
        self._options = options or {}
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take in no more."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    async def wait_closed(self) -> None:
        """Return at once: who waits for the connections too knows them himself."""

    def _listen(self) -> None:
        self._loop.add_reader(self._listening, self._come)

    def _come(self) -> None:
        if self._shares.exceeded():
            self._wait(TURN_SECONDS)
        else:
            self._take()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._later = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._listen()
        self._take()

    def _take(self) -> None:
        try:
            taken, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process was first, or the caller has gone
        except OSError as error:
            log.warning("no connection can be taken in", detail=str(error))
            self._wait(PAUSE_SECONDS)
            return
        taken.setblocking(False)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._shares.change(1)
        task = self._loop.create_task(self._greet(taken))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    async def _greet(self, taken: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connect, taken, **self._options)
        except OSError:  # of TLS too: what somebody sends instead of it is nothing to the log
            self._shares.change(-1)
