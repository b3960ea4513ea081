"""The queue of writers on an SQLite file: the threads of a process write one after the other, in order.

At SQLite's file lock, which is polled, a writer of many short transactions starves the others: a worker the calls.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.deadline import remaining


class Writers:
    """Gives the writers of a file their turns in the order in which they asked."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()  # the first has its turn

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn of this writer, which lasts until the block ends; errors: DatabaseUnavailableError."""
        seconds = remaining(self._wait_seconds)
        mine = threading.Event()
        with self._lock:
            self._waiting.append(mine)
            self._call_first()
        try:
            if not mine.wait(seconds):
                raise DatabaseUnavailableError("the database stayed busy with other writes")
            yield
        finally:
            with self._lock:
                self._waiting.remove(mine)
                self._call_first()

    def _call_first(self) -> None:
        if self._waiting:
            self._waiting[0].set()


_queues: WeakValueDictionary[Path, Writers] = WeakValueDictionary()
_queues_lock = threading.Lock()


def writers_of(file: str, wait_seconds: float) -> Writers:
    """Return the queue of a file, which all engines of the process share."""
    path = Path(file).resolve()
    with _queues_lock:
        queue = _queues.get(path)
        if queue is None:
            queue = _queues[path] = Writers(wait_seconds)
        return queue
