"""How much the queue holds, and how long it has waited, over all accounts: for the operator, at a bounded cost."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.sql import UtcTime, statement

# Every part reads partial indexes of what is pending, never the history: a count of each account's index range, and
# one row an account, the first in line.
_BACKLOG = """
    SELECT a.queue_paused_at,
           (SELECT count(*) FROM unenrollments AS u
            WHERE u.account_id = a.id AND u.status = 'Pending') AS pending,
           (SELECT count(*) FROM unenrollments AS u
            WHERE u.account_id = a.id AND u.status = 'Pending' AND u.due_at <= :now_at) AS due,
           (SELECT u.due_at FROM unenrollments AS u
            WHERE u.account_id = a.id AND u.status = 'Pending' ORDER BY u.due_at LIMIT 1) AS first_due_at,
           (SELECT u.requested_at FROM unenrollments AS u
            WHERE u.account_id = a.id AND u.status = 'Pending' ORDER BY u.due_at LIMIT 1) AS first_requested_at
    FROM accounts AS a
"""


@dataclass(frozen=True)
class Backlog:
    """What is pending: `due` now, `held` until later, or `paused` with its queue; since when the first of it waits.

    `late_since` is when the first item fell due that a worker could finish; None when there is none.
    """

    due: int = 0
    held: int = 0
    paused: int = 0
    paused_accounts: int = 0
    oldest_pending_at: datetime | None = None
    late_since: datetime | None = None


def read_backlog(connection: sa.Connection, now: datetime) -> Backlog:
    """Add up the queues of all accounts."""
    times = dict.fromkeys(("queue_paused_at", "first_due_at", "first_requested_at"), UtcTime())
    rows = connection.execute(statement(connection, _BACKLOG).columns(**times), {"now_at": now}).all()
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
