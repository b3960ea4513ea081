"""One SQLite file or one PostgreSQL database: connections, transactions, and their errors in Rollbook's classes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol, TypeVar

import psycopg
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rollbook.errors import ConflictError, DatabaseUnavailableError, LockTimeoutError, UserError
from rollbook.store.database.deadlocks import repeat
from rollbook.store.database.postgresql import lift_statement_limit, open_postgresql
from rollbook.store.database.sqlite import BUSY_SECONDS, is_damaged, is_unavailable, open_sqlite, truncate_log
from rollbook.store.database.writers import Writers, writers_of

audit_log = structlog.get_logger("rollbook.audit")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """A function that works in a transaction of its caller, and may be called again in another one."""

    def __call__(self, connection: sa.Connection, /) -> T_co: ...


class Database:
    """The database at `url`: `sqlite:///path` or a libpq address `postgresql://…`.

    `pool_size` is the largest number of connections. `statement_seconds` limits each statement on PostgreSQL; None is
    no limit.
    """

    def __init__(self, url: str, pool_size: int = 10, statement_seconds: float | None = None) -> None:
        self._writers: Writers | None = None
        if url.startswith("sqlite:///"):
            self.engine = open_sqlite(url, pool_size)
            self._writers = writers_of(str(self.engine.url.database), BUSY_SECONDS)
        elif url.startswith(("postgresql://", "postgres://")):
            self.engine = open_postgresql(url, pool_size, statement_seconds)
        else:
            raise UserError("ROLLBOOK_DATABASE_URL starts with neither sqlite:/// nor postgresql://.")

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection whose work is rolled back at the end; errors: DatabaseUnavailableError."""
        with _translated_errors(self.engine), self.engine.connect() as connection:
            yield connection

    # For one statement of `execute` that only reads: `execute` begins no transaction.
    autocommit = read

    @contextmanager
    def write(self, *, rollback: bool = False) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction; it is committed, durably, when the block ends without an exception.

        With `rollback` it is rolled back instead. The audit lines of the block are logged after the commit. Errors:
        DatabaseUnavailableError.
        """
        committed: list[dict[str, object]] = []
        with _translated_errors(self.engine), self._transaction(rollback=rollback) as connection:
            connection.execution_options(committed=committed)
            yield connection
        for line in () if rollback else committed:
            audit_log.info("audit", **line)

    def transact(self, work: Work[T], *, rollback: bool = False) -> T:
        """Do the work in a transaction of `write`, and again in a new one after a conflict with another transaction.

        A new attempt sees the changes of the other transaction. Errors: those of the work; ConflictError or
        IntegrityError when every attempt conflicts; DatabaseUnavailableError.
        """

        def attempt() -> T:
            with self.write(rollback=rollback) as connection:
                return work(connection)

        return repeat(attempt)

    @contextmanager
    def _transaction(self, *, rollback: bool) -> Iterator[sa.Connection]:
        turn = self._writers.turn() if self._writers else nullcontext()
        with turn, self.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin() as transaction:
                yield connection
                if rollback:
                    transaction.rollback()

    def trim_log(self) -> None:
        """Truncate SQLite's write-ahead log; no-op on PostgreSQL."""
        if self.engine.dialect.name == "sqlite":
            with self.autocommit() as connection:
                truncate_log(connection)

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """Yield a connection for several transactions, with temporary tables that are dropped at the end.

        Its statements are limited by the deadline alone, and its writes queue with those of other threads only within
        `turn`. Errors: DatabaseUnavailableError.
        """
        with _translated_errors(self.engine), self.engine.connect() as connection:
            lift_statement_limit(connection)
            try:
                yield connection
            finally:
                connection.invalidate()  # the pool makes a new one in its place

    @contextmanager
    def turn(self, connection: sa.Connection, *, rollback: bool) -> Iterator[None]:
        """Let a session write in the block, before the other threads of the process.

        The audit lines of the block are logged at its end, unless it is to be rolled back.
        """
        committed: list[dict[str, object]] = []
        connection.execution_options(committed=None if rollback else committed)
        with self._writers.turn() if self._writers else nullcontext():
            yield
        for line in committed:
            audit_log.info("audit", **line)


@contextmanager
def _translated_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:  # while a connection is opened; SQLAlchemy does not wrap these
        raise _unusable(error, engine) from error
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("no database connection became free in time") from error
    except DBAPIError as error:
        if isinstance(error.orig, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
            raise ConflictError("two transactions waited for each other") from error
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise LockTimeoutError("another transaction held a lock for too long") from error
        if isinstance(error.orig, psycopg.DataError) and "NUL" in str(error.orig):
            raise UserError("Text cannot hold the character U+0000.") from error
        if _means_unavailable(error):
            raise _unusable(error.orig, engine) from error
        raise


def _unusable(error: BaseException | None, engine: sa.Engine) -> DatabaseUnavailableError:
    if is_damaged(error):
        file = engine.url.database
        return DatabaseUnavailableError(f"{file} is no SQLite database, or is damaged: {error}. Restore a backup.")
    return DatabaseUnavailableError(f"the database cannot be used: {error}")


def _means_unavailable(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return is_unavailable(error.orig)
    return error.connection_invalidated or isinstance(error.orig, (psycopg.OperationalError, psycopg.InterfaceError))
