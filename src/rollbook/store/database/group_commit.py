"""SQLite's one writer: works that come while others are at it share their transaction, and one sync of the disk.

Every work is alone in a savepoint of its own and in its own thread; none returns before the commit that keeps it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from rollbook.errors import DatabaseUnavailableError
from rollbook.store.database.deadline import remaining
from rollbook.store.database.execute import execute

# So many works at most wait for one another; beyond it a sync is a small part of what they cost.
MAX_GROUP_SIZE = 32


class GroupCommit:
    """Lets works on an engine take turns; the one that has nobody behind it commits for all before it."""

    def __init__(self, engine: sa.Engine, wait_seconds: float) -> None:
        self._engine = engine
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._waiting = 0
        self._busy = False
        self._group: _Group | None = None

    @contextmanager
    def work(self, *, rollback: bool) -> Iterator[sa.Connection]:
        """Give the connection for one work, which is undone if it raises or is to be rolled back, and commit.

        A work that raises waits for the commit too: it may have seen what others wrote before it. Errors:
        DatabaseUnavailableError, when the turn does not come in time or the commit fails.
        """
        self._take_turn()
        try:
            self._group = group = self._group or _Group(self._engine)
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
        """Pass the turn on with the transaction still open, if there is somebody to go on with it."""
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
    """A transaction that several works share, begun with the first."""

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
        """Keep what the block has done, or undo it and no more."""
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
            # The disk is full, or broken: SQLite has rolled back everything.
            self.failure = error

    def end(self) -> None:
        """Commit, if it can be, and let everybody know."""
        try:
            if self.failure is None:
                self._transaction.commit()
        except BaseException as error:
            self.failure = error  # for every work of the group, this one too
            self.connection.invalidate()  # SQLite has its transaction still open
        try:
            self.connection.close()
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Return when the works of the group are durable; errors: DatabaseUnavailableError when they will never be."""
        self._ended.wait()
        if self.failure is not None:
            raise DatabaseUnavailableError(f"the database cannot be written: {self.failure}") from self.failure
