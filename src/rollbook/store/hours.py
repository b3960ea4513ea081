"""What the queue of an account has done hour by hour. The only SQL about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.tables import unenrollments


@dataclass(frozen=True)
class Hour:
    """How many items were accepted and completed within an hour, and how many waited at its end."""

    begins_at: datetime
    accepted: int
    completed: int
    waiting: int


def read_hours(connection: sa.Connection, account_id: int, now: datetime, waiting: int, count: int) -> list[Hour]:
    """Describe the last hours, the present one too; `waiting` is how many wait now."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=back) for back in range(count - 1, -1, -1)]
    u = unenrollments.c
    accepted = _count(connection, account_id, u.requested_at, hours[0])
    left = _count(connection, account_id, u.finished_at, hours[0])
    processed = u.status.in_([UnenrollmentStatus.COMPLETE, UnenrollmentStatus.RESTORED])
    # Restored ones that had only been waiting are Removed, so that these had all been completed.
    completed = _count(connection, account_id, u.finished_at, hours[0], processed)
    described: list[Hour] = []
    for begins_at in reversed(hours):
        key = f"{begins_at:%Y-%m-%d %H}"
        described.append(Hour(begins_at, accepted.get(key, 0), completed.get(key, 0), max(0, waiting)))
        waiting += left.get(key, 0) - accepted.get(key, 0)
    return described[::-1]


def _count(
    connection: sa.Connection,
    account_id: int,
    moment: sa.ColumnElement[datetime],
    since: datetime,
    *conditions: sa.ColumnElement[bool],
) -> dict[str, int]:
    # Both databases write a time down as year-month-day hour:…, in UTC.
    hour = sa.func.substr(sa.cast(moment, sa.Text), 1, 13).label("hour")
    query = sa.select(hour, sa.func.count().label("items"))
    query = query.where(unenrollments.c.account_id == account_id, moment >= since, *conditions)
    return {row.hour: row.items for row in connection.execute(query.group_by(sa.text("1")))}
