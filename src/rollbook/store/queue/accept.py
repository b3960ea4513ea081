"""Accepts enrollments into the unenrollment queue: a new batch, or more items of one (ULM:03, ULM:04, hold).

Rows are touched in the order of the enrollment's id, always, so that two calls at once cannot deadlock.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.errors import TransportError
from rollbook.model import Acceptance, Policies, RejectReason
from rollbook.store.database.deadline import renew_deadline
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import batches, refusals

# These statements find their rows by the index of the ids. All other conditions stand where no index matches them, in
# the select list of a subquery or in a CASE: PostgreSQL's statistics promise hardly a row for a new account, so that it
# would compare every row of the account with every id (decision 0002).

_OPEN_BATCH = """
    INSERT INTO batches (account_id, requested_by, reason, idempotency_key, requested_at)
    VALUES (:account_id, :requested_by, :reason, :idempotency_key, :requested_at) RETURNING id
"""

_FIND_LAST_BLOCK = """
    SELECT COALESCE(MAX(block), 0)
    FROM (SELECT MAX(block) AS block FROM unenrollments WHERE batch_id = :batch_id
          UNION ALL SELECT MAX(block) FROM refusals WHERE batch_id = :batch_id) AS blocks
"""

# Accepts the current enrollments of the account among the ids. The block is the position of the id in the list.
_ACCEPT = """
    INSERT INTO unenrollments (batch_id, block, account_id, enrollment_id, status, requested_at, due_at)
    SELECT :batch_id, block, :account_id, id, 'Pending', :requested_at, :due_at
    FROM (SELECT CAST(:before AS INTEGER) + block AS block, id,
                 (SELECT account_id = :account_id AND unenrolled_at IS NULL
                         AND NOT (:protect_completed AND status = 'Completed')
                  FROM enrollments AS e WHERE e.id = asked.id) AS leaves
          FROM {ids} AS asked) AS looked_up
    WHERE leaves
    ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING block
"""

# A refused current enrollment is in the queue already, unless it is completed, protected by the policy, and has no
# pending item from before it was completed.
_FIND_QUEUED = """
    SELECT id FROM enrollments AS e
    WHERE id {in_ids}
      AND CASE WHEN account_id = :account_id AND unenrolled_at IS NULL
               THEN NOT (:protect_completed AND status = 'Completed')
                    OR (SELECT u.status = 'Pending' FROM unenrollments AS u
                        WHERE u.enrollment_id = e.id AND u.{live}) END
"""

# How long a batch can be continued (D32).
CONTINUED = timedelta(hours=24)

# The most items of one statement; a batch may have any number.
STEP = 1000


def accept_batch(
    connection: sa.Connection,
    *,
    account_id: int,
    requested_by: int | None,
    ids: Sequence[int | None],
    policies: Policies,
    reason: str | None,
    requested_at: datetime,
    idempotency_key: str | None = None,
    batch_id: int | None = None,
) -> Acceptance:
    """Put enrollments into the unenrollment queue as one batch; the position of an id, from 1, is its block.

    None leaves a block out, and no id may occur twice (the caller answers D8). `requested_by` is the user, None for the
    operator. With `batch_id` the ids are appended to that batch; errors: TransportError 422 (D32). The connection must
    be in a transaction of Database.write.
    """
    is_new, first = batch_id is None, 0
    if batch_id is None:
        who = {"account_id": account_id, "requested_by": requested_by}
        why = {"reason": reason, "idempotency_key": idempotency_key, "requested_at": requested_at}
        [(batch_id,)] = execute(connection, _OPEN_BATCH, {**who, **why})
    else:
        first = _continue_batch(connection, account_id, requested_by, batch_id, reason, requested_at)
    asked = {"batch_id": batch_id, "account_id": account_id, "protect_completed": policies.protect_completed}
    times = {"requested_at": requested_at, "due_at": requested_at + timedelta(seconds=policies.hold_seconds)}
    accepted: set[int] = set()
    for before in range(0, len(ids), STEP):
        part = {"ids": ids[before : before + STEP], "before": first + before}
        accepted.update(block - first for (block,) in execute(connection, _ACCEPT, {**asked, **times, **part}))
        if len(ids) > STEP:
            renew_deadline()
    if is_new and not accepted:
        connection.execute(batches.delete().where(batches.c.id == batch_id))
    refused = _explain_refusals(connection, asked, ids, accepted)
    return Acceptance(batch_id if accepted or not is_new else None, tuple(sorted(accepted)), refused, first)


def _continue_batch(
    connection: sa.Connection,
    account_id: int,
    requested_by: int | None,
    batch_id: int,
    reason: str | None,
    now: datetime,
) -> int:
    """Lock a batch until the transaction ends, and return its last block."""
    b = batches.c
    mine = sa.and_(b.id == batch_id, b.account_id == account_id, b.requested_by == requested_by)
    young = sa.and_(mine, b.requested_at > now - CONTINUED)
    found = connection.execute(sa.select(b.reason).where(young).with_for_update()).first()
    if found is None:
        raise TransportError(422, "Rollbook-Batch names no batch that this caller has begun within 24 hours")
    if reason not in (None, found.reason):
        raise TransportError(422, "Rollbook-Reason is not the reason of the batch that Rollbook-Batch names")
    [(last,)] = execute(connection, _FIND_LAST_BLOCK, {"batch_id": batch_id})
    return int(last)


def keep_refusals(
    connection: sa.Connection, account_id: int, batch_id: int, outcomes: Sequence[tuple[int, str, str]]
) -> None:
    """Store the refusals of a batch: (block, identifier as it was sent, error code)."""
    names = ("block", "identifier", "code")
    row = {"account_id": account_id, "batch_id": batch_id}
    if outcomes:
        connection.execute(refusals.insert(), [row | dict(zip(names, outcome, strict=True)) for outcome in outcomes])


def _explain_refusals(
    connection: sa.Connection, asked: dict[str, object], ids: Sequence[int | None], accepted: Collection[int]
) -> dict[int, RejectReason]:
    left = {block: id_ for block, id_ in enumerate(ids, 1) if id_ is not None and block not in accepted}
    refused = [*left.values()]
    queued: set[int] = set()
    for start in range(0, len(refused), STEP):
        queued.update(
            id_ for (id_,) in execute(connection, _FIND_QUEUED, {**asked, "ids": refused[start : start + STEP]})
        )
    return {block: RejectReason.QUEUED if id_ in queued else RejectReason.UNKNOWN for block, id_ in left.items()}
