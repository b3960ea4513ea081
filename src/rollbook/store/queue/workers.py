"""Workers and their heartbeats."""

from datetime import datetime, timedelta

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
    with database.write() as connection:
        execute(connection, _SEEN, {"name": name, "seen_at": now})


def find_last_seen(connection: sa.Connection) -> datetime | None:
    """Return the last heartbeat of any worker; None without one."""
    seen: datetime | None = connection.execute(sa.select(sa.func.max(workers.c.seen_at))).scalar_one()
    return seen


def is_silent(seen_at: datetime | None, now: datetime) -> bool:
    """Tell whether no worker runs, judged by the last heartbeat."""
    return seen_at is None or now - seen_at > timedelta(seconds=SILENT_SECONDS)


def purge_workers(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` workers without a heartbeat for a week; return how many."""
    return delete_expired(database, workers, workers.c.seen_at < now - timedelta(days=7), limit)
