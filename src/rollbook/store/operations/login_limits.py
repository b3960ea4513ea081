"""Attempts to sign in, counted by the minute for all servers of the database."""

from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.tables import throttles

_ADD = """
    INSERT INTO throttles (subject, window_at, count) VALUES (:subject, :window_at, 1)
    ON CONFLICT (subject, window_at) DO UPDATE SET count = throttles.count + 1
"""


def count_attempt(connection: sa.Connection, window_at: datetime, subject: str) -> None:
    """Count an attempt of a subject in a window of time, and delete earlier windows."""
    connection.execute(throttles.delete().where(throttles.c.window_at < window_at))
    execute(connection, _ADD, {"subject": subject, "window_at": window_at})


def read_attempts(connection: sa.Connection, window_at: datetime, subject: str) -> int:
    """Return the number of attempts of a subject in a window of time."""
    mine = sa.and_(throttles.c.subject == subject, throttles.c.window_at == window_at)
    return connection.execute(sa.select(throttles.c.count).where(mine)).scalar_one_or_none() or 0
