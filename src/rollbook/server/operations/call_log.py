"""The call log and the last use of keys, written behind the answers by a thread, once a second."""

import queue
import threading
import time
from collections.abc import Callable

import structlog

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.database import Database
from rollbook.store.operations.call_log import AnsweredCall, keep_calls
from rollbook.store.people.api_keys import USED_STEP, use_keys

log = structlog.get_logger("rollbook.server")

INTERVAL_SECONDS = 1.0
# How long a stop waits for the last write.
STOP_SECONDS = 2
# Calls in memory at most, and so the size of one write; further ones are dropped.
MAX_QUEUE = 2000


class CallLog:
    """Queues answered calls and writes them; `count_dropped` receives the number of calls that were lost.

    Without `keeps_calls` it stores only when keys were used.
    """

    def __init__(self, database: Database, count_dropped: Callable[[int], None], *, keeps_calls: bool = True) -> None:
        self._database = database
        self._count_dropped = count_dropped
        self._keeps_calls = keeps_calls
        self._used: set[int] = set()
        # When this process stored the use of a key, in monotonic seconds.
        self._written: dict[int, float] = {}
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

    def add(self, call: AnsweredCall, key_ids: tuple[int, ...] = ()) -> None:
        """Queue a call, or drop it when MAX_QUEUE calls wait; note its keys as used. Never blocks."""
        self._used.update(key_ids)
        if not self._keeps_calls:
            return
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
        used = self._take_used()
        if not waiting and not used:
            return
        try:
            with self._database.write() as connection:
                if waiting:
                    keep_calls(connection, waiting)
                if used:
                    use_keys(connection, used)
            self._available = True
        except Exception as error:
            self._count_dropped(len(waiting))
            if not isinstance(error, DatabaseUnavailableError):
                log.exception("last calls not kept")
            elif self._available:  # once an outage, not once a second
                log.warning("last calls not kept", detail=error.detail)
                self._available = False

    def _take_used(self) -> list[int]:
        """Return the keys whose use is to be stored: of each only the first in USED_STEP."""
        now = time.monotonic()
        used = [self._used.pop() for _ in range(len(self._used))]
        due = [key for key in used if now - self._written.get(key, float("-inf")) > USED_STEP.total_seconds()]
        self._written |= dict.fromkeys(due, now)
        return due
