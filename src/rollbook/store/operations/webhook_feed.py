"""Reads what a webhook has not delivered yet, beside the items of the feed (history.py): batches and audit lines.

Ids are given before a transaction commits, so that a lower one may become visible later. A webhook therefore stores
every recent id that it has passed; ids older than WINDOW are passed by one number.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.model import Action, UnenrollmentStatus
from rollbook.store.database.tables import audit, batches, unenrollments, webhook_passed, webhooks
from rollbook.store.operations.webhooks import Webhook

# No transaction lasts so long after it has got the id of a batch or audit line.
WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class Source:
    """A table whose new rows are events. `through` is the column of the webhook with the number of the passed ones."""

    table: sa.Table
    time: sa.ColumnElement[datetime]
    chosen: sa.ColumnElement[bool]

    @property
    def through(self) -> str:
        """The column of the webhook up to which all ids are passed."""
        return f"{self.table.name}_through"


BATCHES = Source(batches, batches.c.requested_at, sa.true())
# Progress written by calls and files; a roster's import writes enrollments too.
PROGRESS = Source(audit, audit.c.happened_at, audit.c.action.in_([Action.UPDATE_PROGRESS, Action.IMPORT]))
SOURCES = (BATCHES, PROGRESS)


def begin(connection: sa.Connection, webhook: Webhook, now: datetime) -> None:
    """Pass everything that is visible now: a new webhook begins with what becomes visible later."""
    for source in SOURCES:
        through = _find_last_old(connection, webhook, source, now)
        mine = webhooks.c.id == webhook.id
        connection.execute(webhooks.update().where(mine).values({source.through: through}))
        id_ = source.table.c.id
        recent = sa.select(sa.literal(webhook.id), sa.literal(source.table.name), id_)
        recent = recent.where(source.table.c.account_id == webhook.account_id, id_ > through, source.chosen)
        connection.execute(webhook_passed.insert().from_select(["webhook_id", "kind", "number"], recent))


def find_new(
    connection: sa.Connection, webhook: Webhook, source: Source, limit: int, among: Collection[int] | None = None
) -> Sequence[sa.Row[tuple[Any, ...]]]:
    """Read the rows that the webhook has not passed; `among` are the only ids wanted."""
    query = sa.select(source.table).where(_is_new(webhook, source)).order_by(source.table.c.id).limit(limit)
    if among is not None:
        query = query.where(source.table.c.id.in_(among))
    return connection.execute(query).all()


def _is_new(webhook: Webhook, source: Source) -> sa.ColumnElement[bool]:
    id_, p = source.table.c.id, webhook_passed.c
    passed = sa.exists().where(p.webhook_id == webhook.id, p.kind == source.table.name, p.number == id_)
    mine = sa.and_(source.table.c.account_id == webhook.account_id, id_ > getattr(webhook, source.through))
    return sa.and_(mine, source.chosen, ~passed)


def settle(connection: sa.Connection, webhook: Webhook, now: datetime) -> None:
    """Pass by one number every batch and audit line before WINDOW, up to the first that is not delivered."""
    for source in SOURCES:
        through = _find_last_old(connection, webhook, source, now)
        first = connection.execute(sa.select(sa.func.min(source.table.c.id)).where(_is_new(webhook, source))).scalar()
        through = through if first is None else min(through, first - 1)
        if through > getattr(webhook, source.through):
            update = webhooks.update().where(webhooks.c.id == webhook.id, webhooks.c[source.through] < through)
            connection.execute(update.values({source.through: through}))
            p = webhook_passed.c
            mine = sa.and_(p.webhook_id == webhook.id, p.kind == source.table.name, p.number <= through)
            connection.execute(webhook_passed.delete().where(mine))


def _find_last_old(connection: sa.Connection, webhook: Webhook, source: Source, now: datetime) -> int:
    old = sa.and_(source.table.c.account_id == webhook.account_id, source.time < now - WINDOW)
    id_ = source.table.c.id
    return connection.execute(sa.select(id_).where(old).order_by(id_.desc()).limit(1)).scalar() or 0


def is_finished(connection: sa.Connection, account_id: int, batch_id: int, change: int) -> bool:
    """Tell whether a batch has no pending items, and none that changed after `change`."""
    u = unenrollments.c
    pending = sa.exists().where(u.batch_id == batch_id, u.status == UnenrollmentStatus.PENDING)
    later = sa.exists().where(u.account_id == account_id, u.change > change, u.batch_id == batch_id)
    return bool(connection.execute(sa.select(~pending & ~later)).scalar_one())
