"""Removes pending items from the queue, and restores the enrollments of complete ones.

A batch may have any number of items: one transaction executes each statement for STEP of them at a time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.model import RejectReason, UnenrollmentStatus
from rollbook.store.database.deadline import renew_deadline
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import batches, unenrollments
from rollbook.store.queue.state import begin_change, count_items

STEP = 1000

# Conditions stand in a CASE where no other index may match them (decision 0002).
_FIND_LIVE = """
    SELECT enrollment_id, status FROM unenrollments
    WHERE enrollment_id {in_ids} AND {live} AND {unindexed_account_id} = :account_id
"""

_REMOVE = """
    UPDATE unenrollments
    SET status = 'Removed', finished_at = :finished_at, removed_by = :user_id, notes = :reason, change = :change
    WHERE enrollment_id {in_ids} AND {live}
      AND CASE status WHEN 'Pending' THEN account_id = :account_id END
"""

# An enrollment is not restored when the learner was enrolled again after it ended; of two such that are restored
# together, the later one is. A completed enrollment and another one may have existed side by side, and then both are
# restored. One row for each enrollment that is purged, or that another one may block.
_FIND_REJECTED = """
    SELECT e.id, e.purged_at IS NOT NULL AS purged, other.id AS other_id, other.unenrolled_at IS NULL AS is_current
    FROM {ids} AS asked
    JOIN enrollments AS e ON e.id = asked.id
    LEFT JOIN enrollments AS other
      ON other.user_id = e.user_id AND other.course_id = e.course_id AND other.id <> e.id
      AND CASE WHEN 'Completed' IN (other.status, e.status)
               THEN other.id > e.id AND other.created_at > e.unenrolled_at
               ELSE other.id > e.id OR other.unenrolled_at IS NULL END
    WHERE e.{unindexed_account_id} = :account_id AND (e.purged_at IS NOT NULL OR other.id IS NOT NULL)
"""

# Unenrolling changed nothing but this column, so there is nothing else to restore.
_RESTORE_ENROLLMENTS = """
    UPDATE enrollments SET unenrolled_at = NULL WHERE id {in_ids} AND {unindexed_account_id} = :account_id
"""

_RESTORE = """
    UPDATE unenrollments
    SET status = 'Restored', restored_at = :restored_at, restored_by = :user_id, notes = :reason, change = :change
    WHERE enrollment_id {in_ids} AND {live}
      AND CASE status WHEN 'Complete' THEN account_id = :account_id END
"""


@dataclass(frozen=True, slots=True)
class Target:
    """An item to be undone; `block` is its position in the call or in its batch, `status` is None without an item."""

    block: int
    enrollment_id: int
    status: UnenrollmentStatus | None


@dataclass(frozen=True)
class Undoing:
    """The outcome by block: the new status of items that changed, and why the others did not."""

    changed: dict[int, tuple[int, UnenrollmentStatus]]
    refused: dict[int, RejectReason]

    def ids(self, status: UnenrollmentStatus) -> list[int]:
        """Return the enrollments whose items have this new status."""
        return [id_ for id_, new in self.changed.values() if new is status]

    def counts(self) -> dict[str, int]:
        """Count removed and restored items, for the audit."""
        removed, restored = (len(self.ids(s)) for s in (UnenrollmentStatus.REMOVED, UnenrollmentStatus.RESTORED))
        return {"removed": removed, "restored": restored}


class UndoPreview:
    """Decides what an undo would do now; it changes nothing."""

    def __init__(self, connection: sa.Connection, account_id: int) -> None:
        self._connection = connection
        self._account_id = account_id

    def find_batch(self, batch_id: int) -> list[Target] | None:
        """Find the items of a batch; None when the account has no such batch."""
        mine = sa.and_(batches.c.id == batch_id, batches.c.account_id == self._account_id)
        if self._connection.execute(sa.select(batches.c.id).where(mine)).first() is None:
            return None
        columns = (unenrollments.c.block, unenrollments.c.enrollment_id, unenrollments.c.status)
        items = sa.select(*columns).where(unenrollments.c.batch_id == batch_id).order_by(unenrollments.c.block)
        return [
            Target(block, id_, UnenrollmentStatus(status)) for block, id_, status in self._connection.execute(items)
        ]

    def find_enrollments(self, ids: Sequence[int | None]) -> list[Target]:
        """Find pending and complete items of enrollments; the position of an id, from 1, is its block."""
        found = self._run(_FIND_LIVE, [id_ for id_ in ids if id_ is not None], {})
        statuses = {id_: UnenrollmentStatus(status) for id_, status in found}
        return [Target(block, id_, statuses.get(id_)) for block, id_ in enumerate(ids, 1) if id_ is not None]

    def remove(self, targets: Sequence[Target]) -> Undoing:
        """Remove pending items from the queue; their enrollments stay as they are."""
        return self._apply(_decide_removal(targets))

    def restore(self, targets: Sequence[Target]) -> Undoing:
        """Restore the enrollments of complete items, and remove pending items from the queue."""
        complete = {t.block: t.enrollment_id for t in targets if t.status is UnenrollmentStatus.COMPLETE}
        rejected = self._find_rejected(complete.values())
        restored = UnenrollmentStatus.RESTORED
        changed = {block: (id_, restored) for block, id_ in complete.items() if id_ not in rejected}
        removal = _decide_removal(targets)
        others = {block: why for block, why in removal.refused.items() if block not in complete}
        refused = {block: rejected[id_] for block, id_ in complete.items() if id_ in rejected}
        return self._apply(Undoing(removal.changed | changed, others | refused))

    def _apply(self, decided: Undoing) -> Undoing:
        return decided

    def _find_rejected(self, ids: Collection[int]) -> dict[int, RejectReason]:
        together = set(ids)
        found: dict[int, RejectReason] = {}
        for id_, purged, other_id, is_current in self._run(_FIND_REJECTED, ids, {}):
            if purged:
                found[id_] = RejectReason.PURGED
            elif is_current or other_id in together:
                found[id_] = RejectReason.ENROLLED_AGAIN
        return found

    def _run(self, sql: str, ids: Iterable[int], given: Mapping[str, object]) -> list[Any]:
        """Execute a statement for each part of the ids; each part may take as long as a call."""
        rows, in_order = [], sorted(ids)
        for start in range(0, len(in_order), STEP):
            part = {"account_id": self._account_id, "ids": in_order[start : start + STEP]}
            rows += execute(self._connection, sql, {**given, **part})
            if len(in_order) > STEP:
                renew_deadline()
        return rows


class Undo(UndoPreview):
    """An undo in one transaction; it locks the account, so that no worker processes its items."""

    def __init__(
        self, connection: sa.Connection, *, account_id: int, user_id: int | None, reason: str | None, now: datetime
    ) -> None:
        super().__init__(connection, account_id)
        self._stamp = {"user_id": user_id, "reason": reason, "change": begin_change(connection, account_id)}
        self._now = now

    def _apply(self, decided: Undoing) -> Undoing:
        removed = decided.ids(UnenrollmentStatus.REMOVED)
        self._run(_REMOVE, removed, self._stamp | {"finished_at": self._now})
        restored = decided.ids(UnenrollmentStatus.RESTORED)
        self._run(_RESTORE_ENROLLMENTS, restored, {})
        self._run(_RESTORE, restored, self._stamp | {"restored_at": self._now})
        counts = {UnenrollmentStatus.REMOVED: len(removed), UnenrollmentStatus.RESTORED: len(restored)}
        count_items(self._connection, self._account_id, counts | {UnenrollmentStatus.COMPLETE: -len(restored)})
        return decided


def _decide_removal(targets: Sequence[Target]) -> Undoing:
    removed = UnenrollmentStatus.REMOVED
    changed = {t.block: (t.enrollment_id, removed) for t in targets if t.status is UnenrollmentStatus.PENDING}
    return Undoing(changed, {t.block: RejectReason.WRONG_STATUS for t in targets if t.block not in changed})
