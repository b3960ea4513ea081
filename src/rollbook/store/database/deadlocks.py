"""Locks of other transactions: how long to wait for them, and repeating work after a deadlock or another conflict."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from rollbook.errors import ConflictError
from rollbook.store.database.execute import execute

# How often work is attempted when it conflicts with other transactions.
ATTEMPTS = 3

T = TypeVar("T")


def limit_lock_waits(connection: Connection, milliseconds: int) -> None:
    """Let each wait of this transaction for a lock end in a LockTimeoutError; SQLite's transactions wait for none."""
    if connection.dialect.name == "postgresql":
        execute(connection, f"SET LOCAL lock_timeout = {milliseconds}")


def repeat(work: Callable[[], T]) -> T:
    """Do the work, and again after a conflict with another transaction, which a new attempt sees the changes of.

    Errors: those of the work; ConflictError or IntegrityError when every attempt conflicts.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(IntegrityError, ConflictError):
            return work()
    return work()
