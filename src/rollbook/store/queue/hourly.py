"""Items of a queue by the hour: accepted, completed and waiting."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.tables import batches, unenrollments


@dataclass(frozen=True)
class Hour:
    """How many items an hour accepted and completed, and how many waited at its end."""

    begins_at: datetime
    accepted: int
    completed: int
    waiting: int


def read_hours(connection: sa.Connection, account_id: int, now: datetime, waiting: int, count: int) -> list[Hour]:
    """Read the last hours, including the present one; `waiting` is how many items wait now."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=back) for back in range(count - 1, -1, -1)]
    accepted = _count_accepted(connection, account_id, hours[0])
    finished = _count_finished(connection, account_id, hours[0])
    described: list[Hour] = []
    for begins_at in reversed(hours):
        key = f"{begins_at:%Y-%m-%d %H}"
        left = finished.get(key, {})
        # A restored item was completed in that hour; restored while pending it would be Removed.
        completed = left.get(UnenrollmentStatus.COMPLETE, 0) + left.get(UnenrollmentStatus.RESTORED, 0)
        described.append(Hour(begins_at, accepted.get(key, 0), completed, max(0, waiting)))
        waiting += sum(left.values()) - accepted.get(key, 0)
    return described[::-1]


def _hour(moment: sa.ColumnElement[datetime]) -> sa.Label[str]:
    # Both databases write a time as year-month-day hour:…, in UTC.
    return sa.func.substr(sa.cast(moment, sa.Text), 1, 13).label("hour")


def _count_accepted(connection: sa.Connection, account_id: int, since: datetime) -> dict[str, int]:
    """Count by batch: there are far fewer of them, and the items of one are stored together."""
    size = sa.select(sa.func.count()).where(unenrollments.c.batch_id == batches.c.id).scalar_subquery()
    query = sa.select(_hour(batches.c.requested_at), sa.func.sum(size).label("items"))
    first = find_first(connection, batches.c.account_id == account_id, batches.c.id, batches.c.requested_at, since)
    mine = query.where(batches.c.account_id == account_id, batches.c.id >= first, batches.c.requested_at >= since)
    return {row.hour: int(row.items) for row in connection.execute(mine.group_by(sa.text("1")))}


def _count_finished(connection: sa.Connection, account_id: int, since: datetime) -> dict[str, dict[str, int]]:
    u = unenrollments.c
    query = sa.select(_hour(u.finished_at), u.status, sa.func.count().label("items"))
    of_account = sa.and_(u.account_id == account_id, u.change.is_not(None))
    first = find_first(connection, of_account, u.change, sa.func.coalesce(u.restored_at, u.finished_at), since)
    mine = query.where(of_account, u.change >= first, u.finished_at >= since).group_by(sa.text("1"), u.status)
    counts: dict[str, dict[str, int]] = {}
    for row in connection.execute(mine):
        counts.setdefault(row.hour, {})[row.status] = row.items
    return counts


def find_first(
    connection: sa.Connection, mine: sa.ColumnElement[bool], number: sa.Column[int], time: Any, since: datetime
) -> int:
    """Find the number of the first row since a time by bisection; numbers and times have the same order."""
    ends = sa.select(number).where(mine).limit(1)
    first, last = (connection.execute(ends.order_by(order)).scalar() for order in (number, number.desc()))
    if first is None or last is None:
        return 0

    def is_since(value: int) -> bool:
        row = sa.select(time).where(mine, number >= value).order_by(number).limit(1)
        return bool(connection.execute(row).scalar_one() >= since)

    return first + bisect_left(range(first, last + 1), True, key=is_since)
