"""Keeps the last calls with no database write in a call's way: they queue here, a thread writes them once a second."""

import queue
import threading
from collections.abc import Callable

import structlog

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.calls import AnsweredCall, keep_calls
from rollbook.store.engine import Database

log = structlog.get_logger("rollbook.server")

INTERVAL_SECONDS = 1.0
# What waits at most, and so what one write holds at most: beyond it a call is dropped, for the sake of the others.
LONGEST_QUEUE = 2000
# How long the end of the server waits for the last write.
STOP_SECONDS = 2


class LastCalls:
    """Writes answered calls after their answers; `count_dropped` is told how many could not be kept."""

    def __init__(self, database: Database, count_dropped: Callable[[int], None]) -> None:
        self._database = database
        self._count_dropped = count_dropped
        self._waiting: queue.SimpleQueue[AnsweredCall] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-calls", daemon=True)
        self._available = True

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what still waits, unless that takes too long."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def add(self, call: AnsweredCall) -> None:
        """Have a call written soon, or dropped when too many wait already. Never blocks."""
        if self._waiting.qsize() < LONGEST_QUEUE:
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
        except DatabaseUnavailableError as error:
            self._drop(waiting, error.detail)
        except Exception:
            log.exception("last calls not kept", calls=len(waiting))
            self._count_dropped(len(waiting))

    def _drop(self, waiting: list[AnsweredCall], detail: str) -> None:
        self._count_dropped(len(waiting))
        if self._available:  # once for each trouble, not once a second
            log.warning("last calls not kept: database unavailable", calls=len(waiting), detail=detail)
        self._available = False
