"""Counts statements on the driver, sent by SQLAlchemy or by the store's own `execute`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

# Not counted: transactions and the settings of a connection.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collect the statements of every connection that a pool of this process hands out inside the block."""
    seen: list[str] = []
    traced: list[Any] = []

    def note(statement: str) -> None:
        if not statement.lstrip().startswith(CONTROL):
            seen.append(statement)

    class NotingCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Any:
            note(str(query))
            return super().execute(query, *args, **options)

        def executemany(self, query: Any, *args: Any, **options: Any) -> None:
            note(str(query))
            super().executemany(query, *args, **options)

    def trace(raw: Any, *_: object) -> None:
        traced.append(raw)
        if isinstance(raw, sqlite3.Connection):
            raw.set_trace_callback(note)
        else:
            raw.cursor_factory = NotingCursor

    sa.event.listen(sa.Pool, "checkout", trace)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Pool, "checkout", trace)
        for raw in traced:
            if isinstance(raw, sqlite3.Connection):
                raw.set_trace_callback(None)
            else:
                raw.cursor_factory = psycopg.Cursor
