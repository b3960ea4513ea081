"""The call log, written behind the answers: calls queue in memory, and a thread writes them once a second."""

import queue
from collections.abc import Callable

from rollbook.server.operations.periodic import PeriodicTask
from rollbook.store.database.database import Database
from rollbook.store.operations.call_log import AnsweredCall, keep_calls

# Calls in memory at most, and so the size of one write; further ones are dropped.
MAX_QUEUE = 2000


class CallLog:
    """Queues answered calls and writes them; `count_dropped` receives the number of calls that were lost."""

    def __init__(self, database: Database, count_dropped: Callable[[int], None]) -> None:
        self._database = database
        self._count_dropped = count_dropped
        self._waiting: queue.SimpleQueue[AnsweredCall] = queue.SimpleQueue()
        task = PeriodicTask("call-log", self._write, "last calls not kept")
        self.start, self.stop = task.start, task.stop

    def add(self, call: AnsweredCall) -> None:
        """Queue a call, or drop it when MAX_QUEUE calls wait. Never blocks."""
        if self._waiting.qsize() < MAX_QUEUE:
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
