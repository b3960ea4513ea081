"""Enrolments: what happens to their progress when retention is over. The only SQL about it."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.store.dialects import statement
from rollbook.store.engine import Database
from rollbook.store.tables import accounts

_PURGE = """
    UPDATE enrollments
    SET purged_at = :purged_at, progress = NULL, grade = NULL, grade_percentage = NULL, points = NULL,
        started_at = NULL, completed_at = NULL, last_accessed_at = NULL
    WHERE id IN (
        SELECT id FROM enrollments
        WHERE account_id = :account_id AND unenrolled_at <= :ended_at AND purged_at IS NULL
        ORDER BY id LIMIT :step {claim_lock})
"""


def purge_progress(database: Database, now: datetime, limit: int) -> int:
    """Empty the progress of up to `limit` enrolments an account whose retention is over; return how many.

    The enrolment itself stays, for the history; it can no longer be restored.
    """
    with database.read() as connection:
        kept = sa.select(accounts.c.id, accounts.c.retention_days).where(accounts.c.retention_days.is_not(None))
        policies = connection.execute(kept).all()
    purged = 0
    for account_id, retention_days in policies:
        due = {"ended_at": now - timedelta(days=retention_days), "purged_at": now}
        with database.write() as connection:
            done = connection.execute(statement(connection, _PURGE), {"account_id": account_id, "step": limit, **due})
            purged += done.rowcount
    return purged
