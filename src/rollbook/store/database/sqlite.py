"""Opens SQLite: pragmas, transactions, the write-ahead log, and what its error codes mean."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from rollbook.errors import UserError
from rollbook.store.database.deadline import remaining
from rollbook.store.database.execute import execute

BUSY_SECONDS = 10
# The largest size of the write-ahead log after its pages are written back.
LOG_BYTES = 64 << 20
# How long truncating the log may block other writers.
TRUNCATE_MILLISECONDS = 200

# SQLite reports every error as one class. These codes mean "not now"; all others mean an error in our code.
UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_sqlite(url: str, pool_size: int) -> sa.Engine:
    """Make the engine, and the file with its folder if they do not exist; errors: UserError."""
    path = url.removeprefix("sqlite:///")
    if not path or path.startswith(":memory:"):
        raise UserError("Rollbook keeps records: give the SQLite database a file, as in sqlite:////var/lib/rollbook.db")
    # Only the owner may read names, grades and digests; the mode of existing files stays as it is.
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(path).touch(mode=0o600)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}. See ROLLBOOK_DATA_DIR.") from None
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),  # a path with any characters
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `_begin` begins transactions
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Calls change pages all over the tables: a rare checkpoint writes most of them once for many commits.
    connection.execute("PRAGMA wal_autocheckpoint = 10000")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # for the statement journal of savepoints


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    if writes:  # another process may be writing
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(remaining(BUSY_SECONDS) * 1000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def truncate_log(connection: sa.Connection) -> None:
    """Write the write-ahead log back into the database file and truncate it, unless other connections read from it."""
    execute(connection, "PRAGMA wal_checkpoint(PASSIVE)")  # does most of the work without blocking writers
    execute(connection, f"PRAGMA busy_timeout = {TRUNCATE_MILLISECONDS}")
    execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    execute(connection, f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")


def is_damaged(error: BaseException | None) -> bool:
    """Tell whether SQLite's error means that the file is damaged or is no database."""
    return _code(error) in DAMAGED


def is_unavailable(error: sqlite3.Error) -> bool:
    """Tell whether SQLite's error means that the database cannot be used at present."""
    return _code(error) in UNAVAILABLE | DAMAGED


def _code(error: BaseException | None) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
