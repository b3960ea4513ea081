"""The queue of an account: paused or running, its counts, and the numbers of its changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import PENDING, unindexed
from rollbook.store.database.tables import accounts, unenrollments
from rollbook.store.database.tables.learning import ENDED
from rollbook.store.queue.workers import find_last_seen

# Counts that included the previous change include this one, with the items that `count_items` adds.
_BEGIN_CHANGE = """
    UPDATE accounts
    SET last_change = last_change + 1,
        counted_change = CASE WHEN counted_change = last_change THEN last_change + 1 ELSE counted_change END,
        counted_complete = counted_complete + :complete, counted_failed = counted_failed + :failed
    WHERE id = :account_id RETURNING last_change
"""

_COUNTS = [accounts.c[f"counted_{status.lower()}"].label(status) for status in ENDED]
_UNCOUNTED = sa.func.coalesce(accounts.c.counted_change, -1) != accounts.c.last_change


@dataclass(frozen=True)
class QueueState:
    """Since when the queue is paused, its items by status, and the time of the oldest pending request.

    `worker_seen_at` is the last heartbeat of a worker, None without one.
    """

    paused_at: datetime | None
    counts: dict[UnenrollmentStatus, int]
    oldest_pending_at: datetime | None
    worker_seen_at: datetime | None


@dataclass(frozen=True)
class BatchState:
    """What a batch waits for: a paused queue, a missing worker, or nothing but its turn when items are `due`."""

    paused_at: datetime | None
    worker_seen_at: datetime | None
    due: bool


def begin_change(connection: sa.Connection, account_id: int, complete: int = 0, failed: int = 0) -> int:
    """Lock the account until the transaction ends, and return the number of this change.

    Numbers become visible in their order, so that a reader polling by change number never skips one. `complete` and
    `failed` are the items of a worker's step; other changes call `count_items`.
    """
    [(number,)] = execute(connection, _BEGIN_CHANGE, {"account_id": account_id, "complete": complete, "failed": failed})
    return int(number)


def count_items(connection: sa.Connection, account_id: int, counts: Mapping[UnenrollmentStatus, int]) -> None:
    """Add the items of the current change to the account's counts, unless `begin_change` has counted them."""
    values = {f"counted_{status.lower()}": items for status, items in counts.items() if items}
    if values:
        more = {name: accounts.c[name] + items for name, items in values.items()}
        connection.execute(accounts.update().where(accounts.c.id == account_id).values(more))


def recount_items(database: Database) -> int:
    """Count the history of one account whose counts are outdated; return 0 when no account's are.

    Counts are outdated after an upgrade, and while servers of the previous release run.
    """
    with database.read() as connection:
        account_id = connection.execute(sa.select(accounts.c.id).where(_UNCOUNTED).limit(1)).scalar()
    return 0 if account_id is None else database.transact(partial(_recount, account_id=account_id))


def _recount(connection: sa.Connection, account_id: int) -> int:
    mine = accounts.c.id == account_id
    last_change = connection.execute(sa.select(accounts.c.last_change).where(mine).with_for_update()).scalar_one()
    found = _count_ended(connection, account_id)
    counted = {f"counted_{status.lower()}": found.get(status, 0) for status in ENDED}
    connection.execute(accounts.update().where(mine).values(counted | {"counted_change": last_change}))
    return 1


def _count_ended(connection: sa.Connection, account_id: int) -> dict[str, int]:
    u = unenrollments.c
    ended = sa.select(u.status, sa.func.count().label("items")).where(u.account_id == account_id, u.status.in_(ENDED))
    return {row.status: row.items for row in connection.execute(ended.group_by(u.status))}


def pause_queue(connection: sa.Connection, account_id: int, now: datetime) -> bool:
    """Pause the queue; False when it is paused already, which keeps its time."""
    running = sa.and_(accounts.c.id == account_id, accounts.c.queue_paused_at.is_(None))
    return connection.execute(accounts.update().where(running).values(queue_paused_at=now)).rowcount > 0


def resume_queue(connection: sa.Connection, account_id: int) -> bool:
    """Resume the queue; False when it is not paused."""
    paused = sa.and_(accounts.c.id == account_id, accounts.c.queue_paused_at.is_not(None))
    return connection.execute(accounts.update().where(paused).values(queue_paused_at=None)).rowcount > 0


def read_queue(connection: sa.Connection, account_id: int) -> QueueState:
    """Read the state of a queue: pending items are counted, the others have stored counts."""
    query = sa.select(accounts.c.queue_paused_at, _UNCOUNTED.label("uncounted"), *_COUNTS)
    row = connection.execute(query.where(accounts.c.id == account_id)).one()._asdict()
    found = _count_ended(connection, account_id) if row["uncounted"] else row
    u = unenrollments.c
    pending = sa.and_(u.account_id == account_id, sa.text(PENDING))
    waiting, oldest = connection.execute(sa.select(sa.func.count(), sa.func.min(u.requested_at)).where(pending)).one()
    counts = {UnenrollmentStatus.PENDING: waiting} | {status: found.get(status, 0) for status in ENDED}
    in_order = {status: counts[status] for status in UnenrollmentStatus}
    return QueueState(row["queue_paused_at"], in_order, oldest, find_last_seen(connection))


def read_batch_state(connection: sa.Connection, account_id: int, batch_id: int, now: datetime) -> BatchState:
    """Read what a batch of the account waits for."""
    u = unenrollments.c
    pending = sa.and_(u.batch_id == batch_id, sa.text(PENDING), u.due_at <= now)
    due = sa.exists(sa.select(u.batch_id).where(pending, unindexed(u.account_id) == account_id))
    query = sa.select(accounts.c.queue_paused_at, due).where(accounts.c.id == account_id)
    paused_at, is_due = connection.execute(query).one()
    return BatchState(paused_at, find_last_seen(connection), bool(is_due))
