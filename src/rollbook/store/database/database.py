"""Opens SQLite or PostgreSQL: pragmas, connections, transactions, bulk loading. The SQL text is for dialects."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import psycopg
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rollbook.errors import ConflictError, DatabaseUnavailableError, LockTimeoutError, UserError
from rollbook.store.database.deadline import remaining
from rollbook.store.database.execute import execute
from rollbook.store.database.group_commit import GroupCommit
from rollbook.store.database.postgresql import open_postgresql

audit_log = structlog.get_logger("rollbook.audit")

BUSY_SECONDS = 10
# What is left of SQLite's write-ahead log, at most, once it has been written back.
LOG_BYTES = 64 << 20
# How long other writers wait while the end of it is cut off, at most.
TRIM_MILLISECONDS = 200
# So often work is begun in all when other transactions are in its way.
ATTEMPTS = 3

# SQLite reports every trouble as one class; these codes mean "not now", the others mean a mistake of ours.
SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}

SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """Something to be done on a connection, in a transaction that somebody else begins and ends."""

    def __call__(self, connection: sa.Connection, /) -> T_co: ...


class Database:
    """One SQLite file or one PostgreSQL database.

    `url` is `sqlite:///path` or a libpq `postgresql://…` address. `pool_size` is the number of connections kept open,
    `statement_seconds` the longest that a statement may take on PostgreSQL; None is for as long as it takes.
    """

    def __init__(self, url: str, pool_size: int = 10, statement_seconds: float | None = None) -> None:
        if url.startswith("sqlite:///"):
            self.engine = _open_sqlite(url, pool_size)
        elif url.startswith(("postgresql://", "postgres://")):
            self.engine = open_postgresql(url, pool_size, statement_seconds)
        else:
            raise UserError("ROLLBOOK_DATABASE_URL starts with neither sqlite:/// nor postgresql://.")
        # SQLite has one writer: threads of one process queue for it here rather than by polling the file's lock.
        self._group_commit = GroupCommit(self.engine, BUSY_SECONDS) if self.engine.dialect.name == "sqlite" else None

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection whose work is rolled back at the end; errors: DatabaseUnavailableError."""
        with _translated_errors(self.engine), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[sa.Connection]:
        """Give a connection for one statement that only reads: it costs no transaction around it.

        Errors: DatabaseUnavailableError.
        """
        with _translated_errors(self.engine), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, rollback: bool = False) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that is committed, durably, when the block ends without an exception.

        With `rollback` everything is undone instead. What the block has put into the audit is logged when it is
        committed. Errors: DatabaseUnavailableError.
        """
        committed: list[dict[str, object]] = []
        with _translated_errors(self.engine), self._transaction(rollback=rollback) as connection:
            connection.execution_options(committed=committed)
            yield connection
        for line in () if rollback else committed:
            audit_log.info("audit", **line)

    def transact(self, work: Work[T], *, rollback: bool = False) -> T:
        """Do the work in a transaction as `write` does, and begin anew when another transaction was in its way.

        Begun anew, the work sees what the other has changed. Errors: those of the work; ConflictError or IntegrityError
        when every attempt met with one; DatabaseUnavailableError.
        """
        for _ in range(ATTEMPTS - 1):
            with suppress(IntegrityError, ConflictError), self.write(rollback=rollback) as connection:
                return work(connection)
        with self.write(rollback=rollback) as connection:
            return work(connection)

    @contextmanager
    def _transaction(self, *, rollback: bool) -> Iterator[sa.Connection]:
        if self._group_commit is not None:
            with self._group_commit.work(rollback=rollback) as connection:
                yield connection
            return
        with self.engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if rollback:
                transaction.rollback()

    def trim_log(self) -> None:
        """Write SQLite's log back into its file and cut it off, unless others read from it; no-op on PostgreSQL."""
        if self.engine.dialect.name != "sqlite":
            return
        with self.autocommit() as connection:
            execute(connection, "PRAGMA wal_checkpoint(PASSIVE)")  # does the work, and holds up no writer
            execute(connection, f"PRAGMA busy_timeout = {TRIM_MILLISECONDS}")
            execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            execute(connection, f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """Give a connection for several transactions, whose temporary tables vanish with it at the end.

        For commands: its writes do not queue with those of other threads. Errors: DatabaseUnavailableError.
        """
        with _translated_errors(self.engine), self.engine.connect() as connection:
            connection.detach()
            yield connection


def load_rows(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Sequence[object]], names: Sequence[str] = ()
) -> None:
    """Add rows, given in the order of `names` or else of the table's columns, by the fastest way the database has."""
    names = names or [column.name for column in table.columns]
    raw = connection.connection.dbapi_connection
    if isinstance(raw, psycopg.Connection):
        copy_sql = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
            psycopg.sql.Identifier(table.name), psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names))
        )
        with raw.cursor() as cursor, cursor.copy(copy_sql) as copy:
            for row in rows:
                copy.write_row(row)
    elif isinstance(raw, sqlite3.Connection):
        places = ", ".join("?" * len(names))
        raw.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608 our own names
    else:
        raise TypeError(f"no bulk loading for {type(raw).__name__}")


def _open_sqlite(url: str, pool_size: int) -> sa.Engine:
    path = url.removeprefix("sqlite:///")
    if not path or path.startswith(":memory:"):
        raise UserError("Rollbook keeps records: give the SQLite database a file, as in sqlite:////var/lib/rollbook.db")
    # Names, grades and digests are nobody else's business; what exists already is left as it is.
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(path).touch(mode=0o600)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}. See ROLLBOOK_DATA_DIR.") from None
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),  # whatever characters are in its name
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Calls touch pages all over the tables: most are written back once for many commits, and not after every few.
        connection.execute("PRAGMA wal_autocheckpoint = 10000")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # what a savepoint may have to undo is kept there

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        if writes:  # another process may be the one that writes
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(remaining(BUSY_SECONDS) * 1000)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _translated_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:  # met while a connection was opened, where SQLAlchemy passes it on as it is
        raise _unusable(error, engine) from error
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("no database connection became free in time") from error
    except DBAPIError as error:
        if isinstance(error.orig, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
            raise ConflictError("two transactions waited for each other") from error
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise LockTimeoutError("others held what was needed for too long") from error
        if isinstance(error.orig, psycopg.DataError) and "NUL" in str(error.orig):
            raise UserError("Text cannot hold the character U+0000.") from error
        if _means_unavailable(error):
            raise _unusable(error.orig, engine) from error
        raise


def _unusable(error: BaseException | None, engine: sa.Engine) -> DatabaseUnavailableError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in SQLITE_DAMAGED:
        file = engine.url.database
        return DatabaseUnavailableError(f"{file} is no SQLite database, or is damaged: {error}. Restore a backup.")
    return DatabaseUnavailableError(f"the database cannot be used: {error}")


def _means_unavailable(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in SQLITE_UNAVAILABLE | SQLITE_DAMAGED
    return error.connection_invalidated or isinstance(error.orig, (psycopg.OperationalError, psycopg.InterfaceError))
