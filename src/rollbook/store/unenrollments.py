"""The unenrollment queue and its history: accepting a batch, finishing what is due. The only SQL about them.

Rows are touched in the order of the enrolment's id, always, so that two calls at once cannot deadlock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from rollbook.errors import TransportError
from rollbook.model import Acceptance, Policies, Refusal, UnenrollmentStatus
from rollbook.store.deadline import renew_deadline
from rollbook.store.dialects import statement
from rollbook.store.direct import run
from rollbook.store.engine import Database
from rollbook.store.queue import begin_change, count_items
from rollbook.store.tables import batches, refusals

# The ids of these statements lead to their rows by one index. Whatever else is asked of a row stands where no other
# index matches it, in the list of a look-up or in a CASE: PostgreSQL's statistics say of a new account that it has
# hardly a row, and then it compares every row of the account with every id (decision 0002).

_OPEN_BATCH = """
    INSERT INTO batches (account_id, requested_by, reason, idempotency_key, requested_at)
    VALUES (:account_id, :requested_by, :reason, :idempotency_key, :requested_at) RETURNING id
"""

_FIND_LAST_BLOCK = """
    SELECT COALESCE(MAX(block), 0)
    FROM (SELECT MAX(block) AS block FROM unenrollments WHERE batch_id = :batch_id
          UNION ALL SELECT MAX(block) FROM refusals WHERE batch_id = :batch_id) AS blocks
"""

# Of the ids that are asked for, those that are current enrolments of the account and may leave. The id's place in the
# list is its block.
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

# A current enrolment that was refused is in the queue already, unless it is a completed one that the policy protects
# and that nobody had queued before it was completed.
_FIND_QUEUED = """
    SELECT id FROM enrollments AS e
    WHERE id {in_ids}
      AND CASE WHEN account_id = :account_id AND unenrolled_at IS NULL
               THEN NOT (:protect_completed AND status = 'Completed')
                    OR (SELECT u.status = 'Pending' FROM unenrollments AS u
                        WHERE u.enrollment_id = e.id AND u.status IN ('Pending', 'Complete')) END
"""

# What was accepted without a hold is due at once, also when the clock was set back since: it is looked for among the
# first that wait. A hold is never shortened. Only the first in line is read, to which the index of what is pending
# leads: EXISTS may come to read all the history.
_FIND_DUE_ACCOUNTS = """
    SELECT a.id FROM accounts AS a
    WHERE a.queue_paused_at IS NULL AND (
        (SELECT due_at FROM unenrollments AS u
         WHERE u.account_id = a.id AND u.status = 'Pending' ORDER BY u.due_at LIMIT 1) <= :due_at
        OR (a.hold_seconds = 0 AND (
            SELECT MIN(due_at) FROM (
                SELECT due_at, requested_at FROM unenrollments AS u
                WHERE u.account_id = a.id AND u.status = 'Pending' ORDER BY u.due_at LIMIT :ahead) AS first
            WHERE due_at = requested_at) IS NOT NULL))
    ORDER BY a.id
"""

# One worker at a time works on an account, and others go on to the next one. A pause waits for the step under way: once
# it is answered, nothing more is processed.
_TAKE_TURN = """
    SELECT protect_completed, hold_seconds FROM accounts WHERE id = :account_id AND queue_paused_at IS NULL {turn_lock}
"""

# Each enrolment is looked up by itself: a join may become one of all that is pending, or of the whole table, at every
# step. There is nothing to be known of one that somebody else is changing. The ids come back as they are sent again,
# as a list: to read a thousand of them one by one, and to write them twice, would be most of a worker's own work.
_CLAIM = """
    SELECT protected, COUNT(*) AS items, {list_of_ids} AS ids
    FROM (SELECT u.enrollment_id AS id,
                 (SELECT status = 'Completed' AND :protect_completed FROM enrollments AS e
                  WHERE id = u.enrollment_id AND account_id = u.account_id {claim_lock}) AS protected
          FROM (SELECT enrollment_id, account_id, due_at, requested_at FROM unenrollments
                WHERE account_id = :account_id AND status = 'Pending' AND due_at <= :latest_at
                ORDER BY due_at LIMIT :first {claim_lock}) AS u
          WHERE due_at <= :due_at OR due_at = requested_at LIMIT :step) AS claimed
    WHERE protected IS NOT NULL
    GROUP BY protected
"""

_END_ENROLLMENTS = """
    UPDATE enrollments SET unenrolled_at = :unenrolled_at
    WHERE id {in_ids} AND CASE WHEN account_id = :account_id THEN unenrolled_at IS NULL END
"""

# "Pending or Complete" are the words of the index by which the item of an enrolment is found.
_FINISH = """
    UPDATE unenrollments SET status = :status, notes = :notes, finished_at = :finished_at, change = :change
    WHERE enrollment_id {in_ids} AND status IN ('Pending', 'Complete')
      AND CASE status WHEN 'Pending' THEN account_id = :account_id END
"""

# How long a batch can be continued (D32).
CONTINUED = timedelta(hours=24)

# How many items one statement is about: a batch may hold any number.
STEP = 1000

END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
# Among so many of the first items that wait, one is looked for whose time to be due was set by a wrong clock.
AHEAD = 1000

PROTECTED_NOTE = "The course was completed, and the account protects completed enrolments."

# What becomes of an item: its status and the note with it.
_ENDED = (UnenrollmentStatus.COMPLETE, None)
_PROTECTED = (UnenrollmentStatus.FAILED, PROTECTED_NOTE)


@dataclass(frozen=True)
class Step:
    """What a worker has finished in one transaction."""

    complete: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """The number of items that are no longer pending."""
        return self.complete + self.failed


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
    """Put the enrollments into the unenrollment queue as one batch; an id's place in the list, from 1, is its block.

    None leaves a block out. There may be any number of ids: each statement is about a bounded part of them.
    `requested_by` is the user who asked, None for the operator. No id may stand in the list twice (D8 is the caller's
    to answer). With `batch_id` the ids are appended to that batch; errors: TransportError 422 (D32). The connection
    must be in a transaction of Database.write.
    """
    is_new, first = batch_id is None, 0
    if batch_id is None:
        who = {"account_id": account_id, "requested_by": requested_by}
        why = {"reason": reason, "idempotency_key": idempotency_key, "requested_at": requested_at}
        [(batch_id,)] = run(connection, _OPEN_BATCH, {**who, **why})
    else:
        first = _continue_batch(connection, account_id, requested_by, batch_id, reason, requested_at)
    asked = {"batch_id": batch_id, "account_id": account_id, "protect_completed": policies.protect_completed}
    times = {"requested_at": requested_at, "due_at": requested_at + timedelta(seconds=policies.hold_seconds)}
    accepted: set[int] = set()
    for before in range(0, len(ids), STEP):
        part = {"ids": ids[before : before + STEP], "before": first + before}
        accepted.update(block - first for (block,) in run(connection, _ACCEPT, {**asked, **times, **part}))
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
    """Keep a batch from other requests until the transaction ends, and return its last block."""
    b = batches.c
    mine = sa.and_(b.id == batch_id, b.account_id == account_id, b.requested_by == requested_by)
    young = sa.and_(mine, b.requested_at > now - CONTINUED)
    found = connection.execute(sa.select(b.reason).where(young).with_for_update()).first()
    if found is None:
        raise TransportError(422, "Rollbook-Batch names no batch that this caller has begun within 24 hours")
    if reason not in (None, found.reason):
        raise TransportError(422, "Rollbook-Reason is not the reason of the batch that Rollbook-Batch names")
    [(last,)] = run(connection, _FIND_LAST_BLOCK, {"batch_id": batch_id})
    return int(last)


def keep_refusals(
    connection: sa.Connection, account_id: int, batch_id: int, outcomes: Sequence[tuple[int, str, str]]
) -> None:
    """Keep with a batch what it refused: (block, identifier as it was sent, code of the wire)."""
    names = ("block", "identifier", "code")
    place = {"account_id": account_id, "batch_id": batch_id}
    if outcomes:
        connection.execute(refusals.insert(), [place | dict(zip(names, outcome, strict=True)) for outcome in outcomes])


def _explain_refusals(
    connection: sa.Connection, asked: dict[str, object], ids: Sequence[int | None], accepted: Collection[int]
) -> dict[int, Refusal]:
    left = {block: id_ for block, id_ in enumerate(ids, 1) if id_ is not None and block not in accepted}
    refused = [*left.values()]
    queued: set[int] = set()
    for start in range(0, len(refused), STEP):
        queued.update(id_ for (id_,) in run(connection, _FIND_QUEUED, {**asked, "ids": refused[start : start + STEP]}))
    return {block: Refusal.QUEUED if id_ in queued else Refusal.UNKNOWN for block, id_ in left.items()}


def find_due_accounts(database: Database, now: datetime) -> list[int]:
    """Name the accounts that have items to finish now and are not paused."""
    with database.read() as connection:
        return list(
            connection.execute(statement(connection, _FIND_DUE_ACCOUNTS), {"due_at": now, "ahead": AHEAD}).scalars()
        )


def process_due(database: Database, account_id: int, now: datetime, limit: int) -> Step:
    """Finish up to `limit` due items of an account in one transaction: their enrolments end, they become Complete.

    Those that the account's policy protects become Failed. Any number of workers may do this at once, each for another
    account; one that dies leaves its items pending.
    """

    def work(connection: sa.Connection) -> Step:
        turn = run(connection, _TAKE_TURN, {"account_id": account_id})
        if not turn:
            return Step()
        [(protect_completed, hold_seconds)] = turn
        due: dict[str, object] = {"due_at": now, "latest_at": now, "first": limit, "step": limit}
        policy = {"account_id": account_id, "protect_completed": protect_completed}
        claimed = run(connection, _CLAIM, policy | due)
        if not claimed and not hold_seconds:
            claimed = run(connection, _CLAIM, policy | due | {"latest_at": END_OF_TIME, "first": AHEAD})
        if not claimed:
            return Step()
        change = begin_change(connection, account_id)
        counts = {UnenrollmentStatus.COMPLETE: 0, UnenrollmentStatus.FAILED: 0}
        for protected, items, ids in claimed:
            affected = {"account_id": account_id, "ids": ids}
            status, notes = _PROTECTED if protected else _ENDED
            if not protected:
                run(connection, _END_ENROLLMENTS, {**affected, "unenrolled_at": now})
            outcome = {"status": str(status), "notes": notes, "finished_at": now, "change": change}
            run(connection, _FINISH, {**affected, **outcome})
            counts[status] = items
        count_items(connection, account_id, counts)
        return Step(counts[UnenrollmentStatus.COMPLETE], counts[UnenrollmentStatus.FAILED])

    return database.transact(work)
