"""Deletes the progress of ended enrollments whose retention is over."""

from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import accounts

# Stores how far the account's progress is deleted; like an undo it locks the account before its enrollments.
_NOTE = """
    UPDATE accounts SET purged_through = :ended_at
    WHERE id = :account_id AND (purged_through IS NULL OR purged_through < :ended_at)
"""

# In the order of the index, so that a step reads no more than it purges.
_FIND_OVER = """
    SELECT COUNT(*) AS found, {list_of_ids} AS ids
    FROM (SELECT id FROM enrollments
          WHERE account_id = :account_id AND unenrolled_at <= :ended_at AND purged_at IS NULL
          ORDER BY unenrolled_at LIMIT :step {claim_lock}) AS over
"""

_PURGE = """
    UPDATE enrollments
    SET purged_at = :purged_at, progress = NULL, grade = NULL, grade_percentage = NULL, points = NULL,
        started_at = NULL, completed_at = NULL, last_accessed_at = NULL
    WHERE id {in_ids}
"""


def purge_progress(database: Database, now: datetime, limit: int) -> int:
    """Delete the progress of up to `limit` enrollments of one account whose retention is over; return how many.

    The enrollment itself stays for the history; it can no longer be restored.
    """
    with database.read() as connection:
        kept = sa.select(accounts.c.id, accounts.c.retention_days).where(accounts.c.retention_days.is_not(None))
        policies = connection.execute(kept.order_by(accounts.c.id)).all()
    for account_id, days in policies:
        over = {"account_id": account_id, "ended_at": now - timedelta(days=days)}
        with database.read() as connection:
            [(found, _)] = execute(connection, _FIND_OVER, over | {"step": 1})
        if found and (purged := database.transact(partial(_purge, over=over | {"step": limit}, now=now))):
            return purged
    return 0


def _purge(connection: sa.Connection, over: dict[str, object], now: datetime) -> int:
    execute(connection, _NOTE, over)
    [(found, ids)] = execute(connection, _FIND_OVER, over)
    if found:
        execute(connection, _PURGE, {"ids": ids, "purged_at": now})
    return int(found)
