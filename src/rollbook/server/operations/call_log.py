"""The call log, written behind the answers: calls queue in memory, and a thread writes them once a second."""

import queue
import threading
from collections.abc import Callable

import structlog

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.database import Database
from rollbook.store.operations.call_log import AnsweredCall, keep_calls

log = structlog.get_logger("rollbook.server")

INTERVAL_SECONDS = 1.0
# How long a stop waits for the last write.
STOP_SECONDS = 2
# Calls in memory at most, and so the size of one write; further ones are dropped.
MAX_QUEUE = 2000


class CallLog:
    """Queues answered calls and writes them; `count_dropped` receives the number of calls that were lost."""

    def __init__(self, database: Database, count_dropped: Callable[[int], None]) -> None:
        self._database = database
        self._count_dropped = count_dropped
        self._waiting: queue.SimpleQueue[AnsweredCall] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call-log", daemon=True)
        self._available = True

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write a last time, for STOP_SECONDS at most."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def add(self, call: AnsweredCall) -> None:
        """Queue a call, or drop it when MAX_QUEUE calls wait. Never blocks."""
        if self._waiting.qsize() < MAX_QUEUE:
            self._waiting.put(call)
        else:
            self._count_dropped(1)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        waiting = [self._waiting.get() for _ in range(self._waiting.qsize())]
        if not waiting:
            return
        try:
            with self._database.write() as connection:
                keep_calls(connection, waiting)
            self._available = True
        except Exception as error:
            self._count_dropped(len(waiting))
            if not isinstance(error, DatabaseUnavailableError):
                log.exception("last calls not kept")
            elif self._available:  # once an outage, not once a second
                log.warning("last calls not kept", detail=error.detail)
                self._available = False
