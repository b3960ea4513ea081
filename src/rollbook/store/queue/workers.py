"""Which workers run, by what each of them says every few seconds. The only SQL about them."""

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
    """Write down that this worker is at work just now."""
    with database.write() as connection:
        execute(connection, _SEEN, {"name": name, "seen_at": now})


def find_last_seen(connection: sa.Connection) -> datetime | None:
    """Tell when any worker was last at work; None when none ever was."""
    seen: datetime | None = connection.execute(sa.select(sa.func.max(workers.c.seen_at))).scalar_one()
    return seen


def is_silent(seen_at: datetime | None, now: datetime) -> bool:
    """Tell whether no worker seems to run."""
    return seen_at is None or now - seen_at > timedelta(seconds=SILENT_SECONDS)


def purge_workers(database: Database, now: datetime, limit: int) -> int:
    """Forget up to `limit` workers that have not been seen for a week; return how many."""
    return delete_expired(database, workers, workers.c.seen_at < now - timedelta(days=7), limit)
