"""The queue of an account as a whole: paused or running, how much of what, and the order of its changes."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.direct import run
from rollbook.store.tables import accounts, unenrollments
from rollbook.store.workers import find_last_seen

_BEGIN_CHANGE = "UPDATE accounts SET last_change = last_change + 1 WHERE id = :account_id RETURNING last_change"


@dataclass(frozen=True)
class QueueState:
    """Since when the queue is paused, how many items have which status, since when the oldest pending one waits.

    `worker_seen_at` is when a worker was last at work, None when none ever was.
    """

    paused_at: datetime | None
    counts: dict[UnenrollmentStatus, int]
    oldest_pending_at: datetime | None
    worker_seen_at: datetime | None


@dataclass(frozen=True)
class BatchState:
    """What a batch waits for: its queue to be resumed, a worker, or only its turn when items of it are `due`."""

    paused_at: datetime | None
    worker_seen_at: datetime | None
    due: bool


def begin_change(connection: sa.Connection, account_id: int) -> int:
    """Wait for the account's turn, keep it until the transaction ends, and return the number of this change.

    Numbers become visible in the order in which they were given, so that who reads the changes by number misses none.
    """
    [(number,)] = run(connection, _BEGIN_CHANGE, {"account_id": account_id})
    return int(number)


def pause_queue(connection: sa.Connection, account_id: int, now: datetime) -> bool:
    """Let nothing be processed from now on; False when it was paused already, which keeps the time of then."""
    running = sa.and_(accounts.c.id == account_id, accounts.c.queue_paused_at.is_(None))
    return connection.execute(accounts.update().where(running).values(queue_paused_at=now)).rowcount > 0


def resume_queue(connection: sa.Connection, account_id: int) -> bool:
    """Let what is due be processed again; False when nothing was paused."""
    paused = sa.and_(accounts.c.id == account_id, accounts.c.queue_paused_at.is_not(None))
    return connection.execute(accounts.update().where(paused).values(queue_paused_at=None)).rowcount > 0


def read_queue(connection: sa.Connection, account_id: int) -> QueueState:
    """Describe the queue of an account as it is now."""
    paused_at = connection.execute(
        sa.select(accounts.c.queue_paused_at).where(accounts.c.id == account_id)
    ).scalar_one()
    mine = unenrollments.c.account_id == account_id
    counted = (
        sa.select(unenrollments.c.status, sa.func.count().label("items")).where(mine).group_by(unenrollments.c.status)
    )
    found = {row.status: row.items for row in connection.execute(counted)}
    pending = sa.and_(mine, unenrollments.c.status == sa.literal_column("'Pending'"))
    oldest = connection.execute(sa.select(sa.func.min(unenrollments.c.requested_at)).where(pending)).scalar_one()
    counts = {status: found.get(status, 0) for status in UnenrollmentStatus}
    return QueueState(paused_at, counts, oldest, find_last_seen(connection))


def read_batch_state(connection: sa.Connection, account_id: int, batch_id: int, now: datetime) -> BatchState:
    """Tell what a batch of the account waits for now."""
    u = unenrollments.c
    pending = sa.and_(u.batch_id == batch_id, u.status == sa.literal_column("'Pending'"), u.due_at <= now)
    due = sa.exists(sa.select(u.batch_id).where(pending, u.account_id + 0 == account_id))
    query = sa.select(accounts.c.queue_paused_at, due).where(accounts.c.id == account_id)
    paused_at, is_due = connection.execute(query).one()
    return BatchState(paused_at, find_last_seen(connection), bool(is_due))
