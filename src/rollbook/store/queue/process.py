"""Processes the unenrollment queue: due items end their enrollments, unless the account protects them.

Rows are always changed in the order of the enrollment id, so that a step and a call cannot deadlock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.queue.state import begin_change

# These statements find their rows by one index, as in `accept` (decision 0002).

# An item without a hold is due at once, even after the clock was set back: the first :ahead pending items are searched
# for one. A hold is never shortened. Only the first pending item is read by its index; EXISTS may read the history.
_FIND_DUE_ACCOUNTS = """
    SELECT a.id FROM accounts AS a
    WHERE a.queue_paused_at IS NULL AND (
        (SELECT due_at FROM unenrollments AS u
         WHERE u.account_id = a.id AND u.{pending} ORDER BY u.due_at LIMIT 1) <= :due_at
        OR (a.hold_seconds = 0 AND (
            SELECT MIN(due_at) FROM (
                SELECT due_at, requested_at FROM unenrollments AS u
                WHERE u.account_id = a.id AND u.{pending} ORDER BY u.due_at LIMIT :ahead) AS first
            WHERE due_at = requested_at) IS NOT NULL))
    ORDER BY a.id
"""

# One worker at a time processes an account; others skip it. A pause waits for the current step, so that nothing is
# processed after its answer.
_LOCK_ACCOUNT = """
    SELECT protect_completed, hold_seconds FROM accounts
    WHERE id = :account_id AND queue_paused_at IS NULL {account_lock}
"""

# A subquery looks up each enrollment; a join may read all pending items, or the whole table, at every step. An
# enrollment that another transaction has locked gives NULL and is skipped. The ids are returned as one list, in the
# format of :ids: reading 1,000 rows and writing them twice would be most of the worker's own time.
_CLAIM = """
    SELECT protected, COUNT(*) AS items, {list_of_ids} AS ids
    FROM (SELECT u.enrollment_id AS id,
                 (SELECT status = 'Completed' AND :protect_completed FROM enrollments AS e
                  WHERE id = u.enrollment_id AND account_id = u.account_id {claim_lock}) AS protected
          FROM (SELECT enrollment_id, account_id, due_at, requested_at FROM unenrollments
                WHERE account_id = :account_id AND {pending} AND due_at <= :latest_at
                ORDER BY due_at LIMIT :first {claim_lock}) AS u
          WHERE due_at <= :due_at OR due_at = requested_at LIMIT :step) AS claimed
    WHERE protected IS NOT NULL
    GROUP BY protected
"""

_END_ENROLLMENTS = """
    UPDATE enrollments SET unenrolled_at = :unenrolled_at
    WHERE id {in_ids} AND CASE WHEN account_id = :account_id THEN unenrolled_at IS NULL END
"""

_FINISH = """
    UPDATE unenrollments SET status = :status, notes = :notes, finished_at = :finished_at, change = :change
    WHERE enrollment_id {in_ids} AND {live}
      AND CASE status WHEN 'Pending' THEN account_id = :account_id END
"""

END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
# How many of the first pending items are searched for one whose due time a wrong clock has set.
AHEAD = 1000

PROTECTED_NOTE = "The course was completed, and the account protects completed enrollments."

# The outcomes of an item: status and note.
_ENDED = (UnenrollmentStatus.COMPLETE, None)
_PROTECTED = (UnenrollmentStatus.FAILED, PROTECTED_NOTE)


@dataclass(frozen=True)
class Step:
    """The numbers of items that one transaction has finished."""

    complete: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """The number of items that are no longer pending."""
        return self.complete + self.failed


def find_due_accounts(database: Database, now: datetime) -> list[int]:
    """Return the ids of the accounts that have due items and are not paused."""
    with database.autocommit() as connection:
        return [id_ for (id_,) in execute(connection, _FIND_DUE_ACCOUNTS, {"due_at": now, "ahead": AHEAD})]


def process_due(database: Database, account_id: int, now: datetime, limit: int) -> Step:
    """Finish up to `limit` due items of an account in one transaction: their enrollments end, and they become Complete.

    Items that the account's policy protects become Failed. Workers may process different accounts at the same time; the
    items of a worker that dies stay pending.
    """

    def work(connection: sa.Connection) -> Step:
        account = execute(connection, _LOCK_ACCOUNT, {"account_id": account_id})
        if not account:
            return Step()
        [(protect_completed, hold_seconds)] = account
        due: dict[str, object] = {"due_at": now, "latest_at": now, "first": limit, "step": limit}
        policy = {"account_id": account_id, "protect_completed": protect_completed}
        claimed = execute(connection, _CLAIM, policy | due)
        if not claimed and not hold_seconds:
            claimed = execute(connection, _CLAIM, policy | due | {"latest_at": END_OF_TIME, "first": AHEAD})
        if not claimed:
            return Step()
        counts = {bool(protected): items for protected, items, _ in claimed}
        step = Step(complete=counts.get(False, 0), failed=counts.get(True, 0))
        change = begin_change(connection, account_id, step.complete, step.failed)
        for protected, _, ids in claimed:
            affected = {"account_id": account_id, "ids": ids}
            status, notes = _PROTECTED if protected else _ENDED
            if not protected:
                execute(connection, _END_ENROLLMENTS, {**affected, "unenrolled_at": now})
            outcome = {"status": str(status), "notes": notes, "finished_at": now, "change": change}
            execute(connection, _FINISH, {**affected, **outcome})
        return step

    return database.transact(work)
