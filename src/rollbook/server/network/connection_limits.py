"""Connections within limits of number and time, so that some clients cannot keep others from a server process.

The time limit of bodies is in call/body.
"""

import asyncio
import resource
import time
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rollbook.server.network.request_parser import RequestParser
from rollbook.settings import OTHER_FILES, Settings

log = structlog.get_logger("rollbook.server")

# Bytes before a body, between its chunks, and after it. Rollbook reads few headers; proxies and browsers add more.
MAX_HEAD_BYTES = 65_536
# Minimum bytes a client must read per ROLLBOOK_WRITE_SECONDS.
MIN_READ_BYTES = 65_536
# Minimum seconds between two warnings about too many connections.
WARNING_SECONDS = 60


class ConnectionLimits:
    """The limits, and the connections that wait for a call, the longest-idle first."""

    def __init__(self, settings: Settings) -> None:
        self.head_seconds = settings.head_seconds
        self.write_seconds = settings.write_seconds
        self.max_connections = _raise_file_limit(settings.max_connections)
        self.waiting: dict[LimitedConnection, None] = {}
        self._next_warning = 0.0

    def evict(self, newcomer: "LimitedConnection") -> None:
        """Close the longest-idle connection, or the newcomer when all others have a call in progress."""
        evicted = next(iter(self.waiting), newcomer)
        self.waiting.pop(evicted, None)
        evicted.transport.abort()
        if time.monotonic() >= self._next_warning:
            log.warning("too many connections; closing the longest-idle", max_connections=self.max_connections)
            self._next_warning = time.monotonic() + WARNING_SECONDS


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's connection with time limits for the head of a call and for reading its answer."""

    def __init__(self, limits: ConnectionLimits, **given: Any) -> None:
        super().__init__(**given)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # has every attribute that uvicorn uses
        self._limits = limits
        self._in_head = False
        self._unparsed_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._limits.evict(self)
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
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._expect_head(self._limits.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are ignored
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
            # uvicorn's own timer is cancelled by any byte, even one that begins no call.
            self._expect_head(self.config.timeout_keep_alive)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _expect_head(self, seconds: float) -> None:
        """Close the connection unless the head of a call is complete within `seconds`."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _watch_reader(self, unread: int) -> None:
        """Close the connection unless the client reads enough of the `unread` bytes in time."""

        def check() -> None:
            left = self.transport.get_write_buffer_size()
            if left > unread - MIN_READ_BYTES:
                self.transport.abort()
            else:
                self._watch_reader(left)

        self._write_timer = self.loop.call_later(self._limits.write_seconds, check)


def _raise_file_limit(connections: int) -> int:
    """Raise the limit of open files as far as `connections` need; return how many connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warning("the system allows fewer files than the connections need", files=hard, max_connections=connections)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - OTHER_FILES)
