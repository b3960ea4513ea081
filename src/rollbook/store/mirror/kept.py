"""Enrollments that were removed on a server and kept here: what they were, and their successors there."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, UnenrollmentStatus
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import (
    accounts,
    batches,
    courses,
    enrollments,
    groups,
    reenrollments,
    unenrollments,
    users,
)
from rollbook.store.mirror.state import KEPT

Row = sa.Row[*tuple[Any, ...]]

# Less than the day within which a batch can be continued (D32).
CONTINUED = timedelta(hours=23)

_FIND_ENDED = """
    SELECT id FROM enrollments
    WHERE id {in_ids} AND {unindexed_account_id} = :account_id AND unenrolled_at IS NOT NULL
"""
_FIND_CURRENT = """
    SELECT e.id FROM {rows} AS r CROSS JOIN enrollments AS e
    WHERE e.id = CAST(r.item ->> 'id' AS BIGINT) AND e.{unindexed_account_id} = :account_id
      AND e.unenrolled_at IS NULL AND e.modified_at >= CAST(r.item ->> 'modified_at' AS {time_type})
"""
_SENT = """
    INSERT INTO reenrollments (enrollment_id, account_id, batch_id, known_ids, sent_at)
    SELECT CAST(item ->> 'id' AS BIGINT), :account_id, :batch_id, item ->> 'known_ids', :sent_at FROM {rows} AS r
    WHERE true
    ON CONFLICT (enrollment_id) DO UPDATE
    SET known_ids = excluded.known_ids, sent_at = excluded.sent_at, outcome = NULL, batch_id = excluded.batch_id
"""
_ANSWERED = """
    UPDATE reenrollments SET new_id = CAST(item ->> 'new_id' AS BIGINT), outcome = item ->> 'outcome'
    FROM {rows} AS r WHERE enrollment_id = CAST(item ->> 'id' AS BIGINT) AND account_id = :account_id
"""


def refuse_policies(connection: sa.Connection, account: Account) -> None:
    """Refuse an account that would not record what has happened on the server; errors: UserError."""
    paused = connection.execute(sa.select(accounts.c.queue_paused_at).where(accounts.c.id == account.id)).scalar_one()
    if account.policies.protect_completed:
        raise UserError(
            f"The account {account.name!r} protects completed enrollments, so that it cannot record their removal. "
            f"Run: rollbook account set {account.name!r} --no-protect-completed"
        )
    if paused is not None:
        raise UserError(f"The queue of the account {account.name!r} is paused, so that it cannot record the removal.")


def find_kept_batch(connection: sa.Connection, account_id: int, name: str, now: datetime) -> int | None:
    """Find the batch that an earlier part of a run has recorded, if it can be continued."""
    b = batches.c
    mine = sa.and_(b.account_id == account_id, b.idempotency_key == KEPT + name, b.requested_at > now - CONTINUED)
    number: int | None = connection.execute(sa.select(sa.func.max(b.id)).where(mine)).scalar_one()
    return number


def find_ended(connection: sa.Connection, account_id: int, ids: Sequence[int]) -> list[int]:
    """Find those of the enrollments that have ended here."""
    return sorted(id_ for (id_,) in execute(connection, _FIND_ENDED, {"account_id": account_id, "ids": ids}))


def find_current(connection: sa.Connection, account_id: int, modified: Mapping[int, datetime]) -> list[int]:
    """Find those of the enrollments, given by id, that are current here and were last modified then."""
    rows = [{"id": id_, "modified_at": time} for id_, time in modified.items()]
    return [id_ for (id_,) in execute(connection, _FIND_CURRENT, {"account_id": account_id, "rows": rows})]


def list_removed(connection: sa.Connection, account_id: int, batch_id: int) -> Sequence[Row] | None:
    """Read the unenrolled items of a batch with all that names them and what they were; None for an unknown batch."""
    mine = sa.and_(batches.c.id == batch_id, batches.c.account_id == account_id)
    if connection.execute(sa.select(batches.c.id).where(mine)).first() is None:
        return None
    u, r = unenrollments.c, reenrollments.c
    names = (
        *(users.c.email, users.c.employee_id, courses.c.name.label("course_name")),
        *(groups.c.name.label("group_name"), groups.c.identifier.label("group_identifier")),
    )
    query = (
        sa.select(enrollments, *names, r.known_ids, r.sent_at, r.new_id, r.outcome)
        .select_from(unenrollments)
        .join(enrollments, enrollments.c.id == u.enrollment_id)
        .join(users, users.c.id == enrollments.c.user_id)
        .join(courses, courses.c.id == enrollments.c.course_id)
        .join(groups, groups.c.id == enrollments.c.group_id)
        .outerjoin(reenrollments, r.enrollment_id == enrollments.c.id)
        .where(u.batch_id == batch_id, u.status == UnenrollmentStatus.COMPLETE)
        .order_by(u.block)
    )
    return connection.execute(query).all()


def note_sent(
    connection: sa.Connection, account_id: int, batch_id: int, known: Mapping[int, Collection[int]], now: datetime
) -> None:
    """Note, before a call, which enrollments it is about and what each learner has in the course on the server."""
    rows = [{"id": id_, "known_ids": json.dumps(sorted(ids))} for id_, ids in known.items()]
    given = {"account_id": account_id, "batch_id": batch_id, "sent_at": now, "rows": rows}
    execute(connection, _SENT, given)


def note_outcomes(connection: sa.Connection, account_id: int, rows: Sequence[Mapping[str, object]]) -> None:
    """Note `new_id` and `outcome` of enrollments after a call."""
    execute(connection, _ANSWERED, {"account_id": account_id, "rows": rows})
