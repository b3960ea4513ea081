"""Accepts enrollments into the unenrollment queue: a new batch, or more items of one (ULM:03, ULM:04, hold).

Rows are touched in the order of the enrollment's id, always, so that two calls at once cannot deadlock.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.errors import TransportError
from rollbook.model import Acceptance, Policies, RejectReason, UnenrollRequest
from rollbook.store.database.deadline import renew_deadline
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import write_ids
from rollbook.store.database.tables import batches, refusals

# These statements find their rows by the index of the ids. All other conditions stand where no index matches them, in
# the select list of a subquery or in a CASE: PostgreSQL's statistics promise hardly a row for a new account, so that it
# would compare every row of the account with every id (decision 0002).

_OPEN_BATCHES = """
    INSERT INTO batches (account_id, requested_by, reason, idempotency_key, requested_at)
    SELECT :account_id, CAST(item ->> 'requested_by' AS BIGINT), item ->> 'reason', item ->> 'idempotency_key',
           :requested_at
    FROM {rows} AS request ORDER BY block RETURNING id
"""

_FIND_LAST_BLOCK = """
    SELECT COALESCE(MAX(block), 0)
    FROM (SELECT MAX(block) AS block FROM unenrollments WHERE batch_id = :batch_id
          UNION ALL SELECT MAX(block) FROM refusals WHERE batch_id = :batch_id) AS blocks
"""

# Accepts the current enrollments of the account among the ids of several batches; an id that two of them name goes to
# the first.
_ACCEPT = """
    INSERT INTO unenrollments (batch_id, block, account_id, enrollment_id, status, requested_at, due_at)
    SELECT batch_id, block, :account_id, id, 'Pending', :requested_at, :due_at
    FROM (SELECT batch_id, block, id,
                 (SELECT account_id = :account_id AND unenrolled_at IS NULL
                         AND NOT (:protect_completed AND status = 'Completed')
                  FROM enrollments AS e WHERE e.id = asked.id) AS leaves
          FROM {lists} AS asked) AS looked_up
    WHERE leaves
    ORDER BY id, batch_id
    ON CONFLICT DO NOTHING
    RETURNING batch_id, block
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


def accept_batches(
    connection: sa.Connection,
    account_id: int,
    policies: Policies,
    requests: Sequence[UnenrollRequest],
    requested_at: datetime,
) -> list[Acceptance]:
    """Put enrollments into the unenrollment queue, as one batch for each request.

    Errors: TransportError 422 when a batch cannot be continued (D32). The connection must be in a transaction of
    Database.write.
    """
    asked: dict[str, object] = {"account_id": account_id, "protect_completed": policies.protect_completed}
    times = {"requested_at": requested_at, "due_at": requested_at + timedelta(seconds=policies.hold_seconds)}
    opened = iter(_open_batches(connection, account_id, requests, requested_at))
    begun = [
        (next(opened), 0)
        if request.batch_id is None
        else (request.batch_id, _continue_batch(connection, account_id, request.batch_id, request, requested_at))
        for request in requests
    ]
    accepted: dict[int, list[int]] = {batch_id: [] for batch_id, _ in begun}
    parts = [*_parts(requests, begun, connection.dialect.name)]
    for rows in parts:
        for batch_id, block in execute(connection, _ACCEPT, {**asked, **times, "rows": rows}):
            accepted[batch_id].append(block)
        if len(parts) > 1:
            renew_deadline()
    return [
        _conclude(connection, asked, request, batch_id, before, sorted(block - before for block in accepted[batch_id]))
        for request, (batch_id, before) in zip(requests, begun, strict=True)
    ]


def _open_batches(
    connection: sa.Connection, account_id: int, requests: Sequence[UnenrollRequest], requested_at: datetime
) -> list[int]:
    """Insert a batch for each request that continues none, and return their ids in the same order."""
    rows = [
        {"requested_by": request.by.user_id, "reason": request.reason, "idempotency_key": request.idempotency_key}
        for request in requests
        if request.batch_id is None
    ]
    if not rows:
        return []
    given = {"account_id": account_id, "rows": rows, "requested_at": requested_at}
    return sorted(id_ for (id_,) in execute(connection, _OPEN_BATCHES, given))


def _parts(
    requests: Sequence[UnenrollRequest], begun: Sequence[tuple[int, int]], dialect: str
) -> Iterator[list[dict[str, object]]]:
    """Yield the lists of ids of one statement after the other."""
    part: list[dict[str, object]] = []
    size = 0
    for request, (batch_id, before) in zip(requests, begun, strict=True):
        for start in range(0, len(request.ids), STEP):
            ids = request.ids[start : start + STEP]
            if size + len(ids) > STEP:
                yield part
                part, size = [], 0
            part.append({"batch_id": batch_id, "before": before + start, "ids": write_ids(ids, dialect)})
            size += len(ids)
    if part:
        yield part


def _conclude(
    connection: sa.Connection,
    asked: dict[str, object],
    request: UnenrollRequest,
    batch_id: int,
    before: int,
    accepted: list[int],
) -> Acceptance:
    """Delete a new batch without items, and find out why the others were refused."""
    is_empty = request.batch_id is None and not accepted
    if is_empty:
        connection.execute(batches.delete().where(batches.c.id == batch_id))
    refused = _explain_refusals(connection, asked, request.ids, {*accepted})
    return Acceptance(None if is_empty else batch_id, tuple(accepted), refused, before)


def _continue_batch(
    connection: sa.Connection, account_id: int, batch_id: int, request: UnenrollRequest, now: datetime
) -> int:
    """Lock a batch until the transaction ends, and return its last block."""
    b = batches.c
    mine = sa.and_(b.id == batch_id, b.account_id == account_id, b.requested_by == request.by.user_id)
    young = sa.and_(mine, b.requested_at > now - CONTINUED)
    found = connection.execute(sa.select(b.reason).where(young).with_for_update()).first()
    if found is None:
        raise TransportError(422, "Rollbook-Batch names no batch that this caller has begun within 24 hours")
    if request.reason not in (None, found.reason):
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
