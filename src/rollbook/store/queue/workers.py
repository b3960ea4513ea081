"""Workers and their heartbeats.

A worker of SQLite sends them by the time of a file beside the database, because a long transaction of another process
would delay them in it; on PostgreSQL the commit waits for no disk. So they cost next to nothing.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from rollbook.model import SILENT_SECONDS
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import workers

_SEEN = """
    INSERT INTO workers (name, seen_at) VALUES (:name, :seen_at)
    ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at
"""


def note_worker(database: Database, name: str, now: datetime) -> None:
    """Store the heartbeat of a worker."""
    if (file := heartbeat_file(database.engine)) is not None:
        file.touch(mode=0o600)
        os.utime(file, (now.timestamp(), now.timestamp()))
        return
    with database.write() as connection:
        execute(connection, "SET LOCAL synchronous_commit = off")
        execute(connection, _SEEN, {"name": name, "seen_at": now})


def heartbeat_file(engine: sa.Engine) -> Path | None:
    """Return the file that the workers of a SQLite database touch; None on PostgreSQL."""
    return Path(f"{engine.url.database}-worker") if engine.dialect.name == "sqlite" else None


def find_last_seen(connection: sa.Connection) -> datetime | None:
    """Return the last heartbeat of any worker; None without one."""
    # Workers of the previous release store it in the table on SQLite too.
    seen: datetime | None = connection.execute(sa.select(sa.func.max(workers.c.seen_at))).scalar_one()
    file = heartbeat_file(connection.engine)
    if file is None or not file.exists():
        return seen
    touched = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return touched if seen is None else max(seen, touched)


def is_silent(seen_at: datetime | None, now: datetime) -> bool:
    """Tell whether no worker runs, judged by the last heartbeat."""
    return seen_at is None or now - seen_at > timedelta(seconds=SILENT_SECONDS)


def purge_workers(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` workers without a heartbeat for a week; return how many."""
    return delete_expired(database, workers, workers.c.seen_at < now - timedelta(days=7), limit)
