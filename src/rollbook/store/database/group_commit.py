"""Group commit on SQLite: concurrent writers share one transaction and one fsync.

Each writer has its own savepoint and its own thread, one writes at a time, and none returns before the commit.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import sqlalchemy as sa

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.deadline import remaining
from rollbook.store.database.execute import execute

# The most writers in a transaction; with more, the fsync is a small part of their cost.
MAX_GROUP_SIZE = 32


class GroupCommit:
    """The queue of writers on a file; a writer with none behind it commits for the whole group."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._waiting = 0
        self._busy = False
        self._group: _Group | None = None

    @contextmanager
    def work(self, engine: sa.Engine, *, rollback: bool) -> Iterator[sa.Connection]:
        """Yield the connection to one writer and commit; its work is undone if it raises, or with `rollback`.

        The engine of its first writer connects a group. A writer that raises waits for the commit too: it may have read
        what others of the group wrote. Errors: DatabaseUnavailableError, when other writers take too long or the commit
        fails.
        """
        self._take_turn()
        try:
            self._group = group = self._group or _Group(engine)
        except BaseException:
            self._pass_turn()
            raise
        try:
            with group.savepoint(rollback=rollback):
                yield group.connection
        finally:
            if not self._leave_to_next(group):
                self._group = None
                group.end()
                self._pass_turn()
            group.wait()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep all writers of the queue waiting, for a writer with a connection of its own."""
        self._take_turn()
        try:
            if self._group is not None:
                group, self._group = self._group, None
                group.end()
            yield
        finally:
            self._pass_turn()

    def _take_turn(self) -> None:
        seconds = remaining(self._wait_seconds)
        with self._changed:
            self._waiting += 1
            try:
                free = self._changed.wait_for(lambda: not self._busy, seconds)
            finally:
                self._waiting -= 1
            if not free:
                raise DatabaseUnavailableError("the database stayed busy with other writes")
            self._busy = True

    def _leave_to_next(self, group: "_Group") -> bool:
        """Leave the open transaction to the next writer, if one is waiting and may join the group."""
        with self._changed:
            leaving = self._waiting > 0 and group.failure is None and group.size < MAX_GROUP_SIZE
            if leaving:
                self._free()
            return leaving

    def _pass_turn(self) -> None:
        with self._changed:
            self._free()

    def _free(self) -> None:
        self._busy = False
        self._changed.notify()


class _Group:
    """A transaction that several writers share."""

    def __init__(self, engine: sa.Engine) -> None:
        self.size = 0
        self.failure: BaseException | None = None
        self._ended = threading.Event()
        self.connection = engine.connect().execution_options(writes=True)
        try:
            self._transaction = self.connection.begin()
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def savepoint(self, *, rollback: bool) -> Iterator[None]:
        """Keep the work of the block, or undo it alone."""
        self.size += 1
        execute(self.connection, "SAVEPOINT work")
        try:
            yield
            if rollback:
                execute(self.connection, "ROLLBACK TO work")
            execute(self.connection, "RELEASE work")
        except BaseException as error:
            self._undo(error)
            raise

    def _undo(self, error: BaseException) -> None:
        try:
            execute(self.connection, "ROLLBACK TO work")
            execute(self.connection, "RELEASE work")
        except sa.exc.DBAPIError:
            # A full or broken disk: SQLite has rolled back the whole transaction.
            self.failure = error

    def end(self) -> None:
        """Commit, unless the transaction has failed, and wake the writers of the group."""
        try:
            if self.failure is None:
                self._transaction.commit()
        except BaseException as error:
            self.failure = error  # raised in every writer of the group
            self.connection.invalidate()  # its transaction is still open
        try:
            self.connection.close()
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Wait until the group is durable; errors: DatabaseUnavailableError when its commit has failed."""
        self._ended.wait()
        if self.failure is not None:
            raise DatabaseUnavailableError(f"the database cannot be written: {self.failure}") from self.failure


_queues: WeakValueDictionary[Path, GroupCommit] = WeakValueDictionary()
_queues_lock = threading.Lock()


def queue_of_writers(file: str, wait_seconds: float) -> GroupCommit:
    """Return the queue of a file, which all engines of the process share.

    At SQLite's file lock, which is polled, a writer of many short transactions starves the others: a worker the calls.
    """
    path = Path(file).resolve()
    with _queues_lock:
        queue = _queues.get(path)
        if queue is None:
            queue = _queues[path] = GroupCommit(wait_seconds)
        return queue
