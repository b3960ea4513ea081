"""Copies an SQLite database as of one moment while it is being written."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rollbook.errors import UserError

STEP_PAGES = 2000


def back_up(source: Path, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the database file `source` to `target`, which appears whole and checked or not at all; return its bytes.

    `progress` is called with the number of pages copied and of all pages. Errors: UserError.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise UserError(f"{str(target)[:200]} cannot be written: {error.strerror}.") from None
    os.close(handle)
    partial = Path(name)
    try:
        _copy(source, partial, progress)
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    except sqlite3.DatabaseError as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        raise UserError(
            f"{source} {'is damaged and ' if damaged else ''}cannot be backed up to {target}: {error}."
        ) from None
    except OSError as error:
        raise UserError(f"{source} cannot be backed up to {target}: {error}.") from None
    finally:
        for rest in (partial, *(partial.with_name(partial.name + suffix) for suffix in ("-journal", "-wal", "-shm"))):
            rest.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        # The transaction keeps one snapshot. Without it every write of other connections would restart the copy.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=STEP_PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
        reading.execute("ROLLBACK")
        found = [row[0] for row in writing.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        raise UserError(f"The copy of {source} is damaged, and so may be the database: {found[0]}")


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
