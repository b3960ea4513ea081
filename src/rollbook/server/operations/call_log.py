"""Keeps the last calls with no database write in a call's way: they queue here, and are written once a second."""

import queue
from collections.abc import Callable

from rollbook.server.operations.periodic import Rounds
from rollbook.store.database.database import Database
from rollbook.store.operations.call_log import AnsweredCall, keep_calls

# What waits at most, and so what one write holds at most: beyond it a call is dropped, for the sake of the others.
LONGEST_QUEUE = 2000


class LastCalls:
    """Writes answered calls after their answers; `count_dropped` is told how many could not be kept."""

    def __init__(self, database: Database, count_dropped: Callable[[int], None]) -> None:
        self._database = database
        self._count_dropped = count_dropped
        self._waiting: queue.SimpleQueue[AnsweredCall] = queue.SimpleQueue()
        self._rounds = Rounds("last-calls", self._write, "last calls not kept")

    def start(self) -> None:
        """Begin to write."""
        self._rounds.start()

    def stop(self) -> None:
        """Write what still waits, unless that takes too long."""
        self._rounds.stop()

    def add(self, call: AnsweredCall) -> None:
        """Have a call written soon, or dropped when too many wait already. Never blocks."""
        if self._waiting.qsize() < LONGEST_QUEUE:
            self._waiting.put(call)
        else:
            self._count_dropped(1)

    def _write(self) -> None:
        waiting = [self._waiting.get() for _ in range(self._waiting.qsize())]
        if not waiting:
            return
        try:
            with self._database.write() as connection:
                keep_calls(connection, waiting)
        except Exception:
            self._count_dropped(len(waiting))
            raise
