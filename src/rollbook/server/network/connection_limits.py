"""Keeps the connections of a server process within limits, so that some senders cannot keep it from the others.

How long a body may take is for receive.
"""

import asyncio
import resource
import time
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rollbook.server.network.request_parser import RequestParser
from rollbook.settings import Settings

log = structlog.get_logger("rollbook.server")

# What a call may have before its body, between two chunks of it, and after it. What we read of it is short, but proxies
# and browsers add their own.
HEAD_BYTES = 65_536
# Who takes less of an answer than this within ROLLBOOK_WRITE_SECONDS does not read it.
READ_BYTES = 65_536
# Files that are no connections of callers: the database's, the log, the program's own.
OTHER_FILES = 256
# How often the log says that there are too many connections.
WARNING_SECONDS = 60


class ConnectionLimits:
    """The limits, and the connections that wait for a call, those that have waited longest first."""

    def __init__(self, settings: Settings) -> None:
        self.head_seconds = settings.head_seconds
        self.write_seconds = settings.write_seconds
        self.most = _raise_file_limit(settings.max_connections)
        self.waiting: dict[LimitedConnection, None] = {}
        self._next_warning = 0.0

    def make_room(self, newcomer: "LimitedConnection") -> None:
        """Close the connection that has waited longest; the newcomer, when all the others are at a call."""
        dropped = next(iter(self.waiting), newcomer)
        self.waiting.pop(dropped, None)
        dropped.transport.abort()
        if time.monotonic() >= self._next_warning:
            log.warning("too many connections; closing those that wait longest", max_connections=self.most)
            self._next_warning = time.monotonic() + WARNING_SECONDS


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's connection with a limit for the head of a call and for the reading of its answer."""

    def __init__(self, limits: ConnectionLimits, **given: Any) -> None:
        super().__init__(**given)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # all that uvicorn asks of one
        self._limits = limits
        self._in_head = False
        self._unparsed_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.most:
            self._limits.make_room(self)
        self._limits.waiting[self] = None
        self._expect_head(self._limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.waiting.pop(self, None)
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._expect_head(self._limits.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what stands after a body says nothing about it, nor where it came from
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.should_upgrade():
            return
        self._limits.waiting.pop(self, None)
        self._unparsed_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._limits.waiting[self] = None
            # uvicorn's own timer ends with any byte, also one that begins no call.
            self._expect_head(self.config.timeout_keep_alive)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _expect_head(self, seconds: float) -> None:
        """End the connection unless the head of a call is complete by then."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _watch_reader(self, unread: int) -> None:
        """End the connection, unless enough of what is unread now has been read by then."""

        def look_again() -> None:
            left = self.transport.get_write_buffer_size()
            if left > unread - READ_BYTES:
                self.transport.abort()
            else:
                self._watch_reader(left)

        self._write_timer = self.loop.call_later(self._limits.write_seconds, look_again)


def _raise_file_limit(connections: int) -> int:
    """Allow this process the files that so many connections need; return for how many that was possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warning("the system allows fewer files than the connections need", files=hard, max_connections=connections)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - OTHER_FILES)
