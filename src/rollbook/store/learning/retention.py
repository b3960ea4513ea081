"""Until when an unenrollment can be undone: the account's retention, and how far its progress is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import accounts, enrollments, unenrollments


@dataclass(frozen=True)
class Retention:
    """How many days an account keeps progress after an unenrollment (None: no limit), and until when it is deleted."""

    days: int | None
    purged_through: datetime | None

    def kept_after(self, now: datetime) -> datetime | None:
        """Return the time of the latest unenrollment that can no longer be undone; None without one."""
        over = [] if self.days is None else [now - timedelta(days=self.days)]
        return max([*over, *([self.purged_through] if self.purged_through else [])], default=None)

    def until(self, ended_at: datetime) -> datetime | None:
        """Return until when an unenrollment of this time can be undone; None without limit."""
        if self.days is not None:
            return ended_at + timedelta(days=self.days)
        return self.purged_through if self.purged_through and ended_at <= self.purged_through else None


@dataclass(frozen=True)
class UndoTerm:
    """Of the `complete` items of a batch, `lost` can no longer be undone, all that ended by `kept_after`.

    The others can, the first of them until `until`; None without limit.
    """

    complete: int
    lost: int
    days: int | None
    kept_after: datetime | None
    until: datetime | None


def read_retention(connection: sa.Connection, account_id: int) -> Retention:
    """Read the retention of an account, and how far its progress is deleted."""
    query = sa.select(accounts.c.retention_days, accounts.c.purged_through).where(accounts.c.id == account_id)
    days, purged_through = connection.execute(query).one()
    return Retention(days, purged_through)


def find_undo_terms(
    connection: sa.Connection, account_id: int, batch_ids: Sequence[int], now: datetime
) -> dict[int, UndoTerm]:
    """Return for each of these batches of the account until when its complete items can be undone."""
    retention, u = read_retention(connection, account_id), unenrollments.c
    kept_after = retention.kept_after(now)
    lost = sa.false() if kept_after is None else u.finished_at <= kept_after
    columns = (
        u.batch_id,
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(sa.case((lost, 1), else_=0)), 0),
        sa.func.min(sa.case((sa.not_(lost), u.finished_at))),
    )
    items = sa.select(*columns).where(u.batch_id.in_(batch_ids), unindexed(u.account_id) == account_id)
    complete_items = items.where(u.status == UnenrollmentStatus.COMPLETE).group_by(u.batch_id)
    terms = {batch_id: UndoTerm(0, 0, retention.days, kept_after, None) for batch_id in batch_ids}
    for batch_id, complete, over, first in connection.execute(complete_items):
        until = retention.until(first) if first else None
        terms[batch_id] = UndoTerm(int(complete), int(over), retention.days, kept_after, until)
    return terms


def count_lost_undos(connection: sa.Connection, account_id: int, days: int | None, now: datetime) -> int:
    """Count the unenrollments that can be undone now but not with a retention of so many days."""
    if days is None:
        return 0
    e, kept_after = enrollments.c, read_retention(connection, account_id).kept_after(now)
    over = sa.and_(e.account_id == account_id, e.purged_at.is_(None), e.unenrolled_at <= now - timedelta(days=days))
    undoable = over if kept_after is None else sa.and_(over, e.unenrolled_at > kept_after)
    return int(connection.execute(sa.select(sa.func.count()).where(undoable)).scalar_one())
