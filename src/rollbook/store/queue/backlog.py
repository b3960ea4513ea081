"""The backlog of all queues for the operator: how many items, and how long they have waited."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.sql import PENDING
from rollbook.store.database.tables import accounts, unenrollments


@dataclass(frozen=True)
class Backlog:
    """Pending items: `due` now, `held` until later, or `paused` with their queue; the time of the oldest request.

    `late_since` is the earliest due time of an item that a worker could finish; None without one.
    """

    due: int = 0
    held: int = 0
    paused: int = 0
    paused_accounts: int = 0
    oldest_pending_at: datetime | None = None
    late_since: datetime | None = None


def read_backlog(connection: sa.Connection, now: datetime) -> Backlog:
    """Add up the queues of all accounts."""
    u = unenrollments.c
    # Each part reads a partial index of pending items, never the history.
    pending = sa.and_(u.account_id == accounts.c.id, sa.text(f"unenrollments.{PENDING}"))
    count, first = sa.select(sa.func.count()).where(pending), sa.select(u.due_at).where(pending)
    first = first.order_by(u.due_at).limit(1)
    parts = {
        "pending": count,
        "due": count.where(u.due_at <= now),
        "first_due_at": first,
        "first_requested_at": first.with_only_columns(u.requested_at),
    }
    query = sa.select(accounts.c.queue_paused_at, *(part.scalar_subquery().label(name) for name, part in parts.items()))
    rows = connection.execute(query).all()
    running = [row for row in rows if row.queue_paused_at is None]
    paused = [row for row in rows if row.queue_paused_at is not None]
    waiting = [row for row in rows if row.pending]
    return Backlog(
        due=sum(row.due for row in running),
        held=sum(row.pending - row.due for row in running),
        paused=sum(row.pending for row in paused),
        paused_accounts=len(paused),
        oldest_pending_at=min((row.first_requested_at for row in waiting), default=None),
        late_since=min((row.first_due_at for row in running if row.due), default=None),
    )
