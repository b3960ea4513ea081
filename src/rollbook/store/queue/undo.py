"""Takes items out of the queue before they are processed, and undoes them after. The only SQL about it.

A batch may hold any number of items: every statement is about a bounded part of them, all in one transaction.
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

# How many items a statement is about.
STEP = 1000

# "Pending or Complete" are the words of the index by which the item of an enrolment is found. What else is asked of an
# item stands in a CASE, where no other index matches it (decision 0002).
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

# An enrolment does not come back when the learner was enrolled again after it had ended; of two such that are restored
# together, the later one does. A completed one and another may both have been there before, and then both come back.
# A row for each enrolment that is purged, or that another one may be in the way of.
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

# Nothing of an enrolment was touched but this, and so nothing else has to be brought back.
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
    """An item that is meant, by its place in the call or in its batch; `status` is None when there is none."""

    block: int
    enrollment_id: int
    status: UnenrollmentStatus | None


@dataclass(frozen=True)
class Undoing:
    """The outcome: the new status of the items that changed, and why the others did not, by block."""

    changed: dict[int, tuple[int, UnenrollmentStatus]]
    refused: dict[int, RejectReason]

    def ids(self, status: UnenrollmentStatus) -> list[int]:
        """The enrolments whose items have this status now."""
        return [id_ for id_, new in self.changed.values() if new is status]

    def counts(self) -> dict[str, int]:
        """Count what was removed and what was restored, for the audit."""
        removed, restored = (len(self.ids(s)) for s in (UnenrollmentStatus.REMOVED, UnenrollmentStatus.RESTORED))
        return {"removed": removed, "restored": restored}


class UndoPreview:
    """Tells what an undo would do now, and changes nothing."""

    def __init__(self, connection: sa.Connection, account_id: int) -> None:
        self._connection = connection
        self._account_id = account_id

    def find_batch(self, batch_id: int) -> list[Target] | None:
        """Find every item of a batch; None when the account has no such batch."""
        mine = sa.and_(batches.c.id == batch_id, batches.c.account_id == self._account_id)
        if self._connection.execute(sa.select(batches.c.id).where(mine)).first() is None:
            return None
        columns = (unenrollments.c.block, unenrollments.c.enrollment_id, unenrollments.c.status)
        items = sa.select(*columns).where(unenrollments.c.batch_id == batch_id).order_by(unenrollments.c.block)
        return [
            Target(block, id_, UnenrollmentStatus(status)) for block, id_, status in self._connection.execute(items)
        ]

    def find_enrollments(self, ids: Sequence[int | None]) -> list[Target]:
        """Find the items of enrolments that wait or are done; an id's place in the list, from 1, is its block."""
        found = self._run(_FIND_LIVE, [id_ for id_ in ids if id_ is not None], {})
        statuses = {id_: UnenrollmentStatus(status) for id_, status in found}
        return [Target(block, id_, statuses.get(id_)) for block, id_ in enumerate(ids, 1) if id_ is not None]

    def remove(self, targets: Sequence[Target]) -> Undoing:
        """Take pending items out of the queue; their enrolments stay as they are."""
        removed = UnenrollmentStatus.REMOVED
        changed = {t.block: (t.enrollment_id, removed) for t in targets if t.status is UnenrollmentStatus.PENDING}
        return Undoing(changed, {t.block: RejectReason.WRONG_STATUS for t in targets if t.block not in changed})

    def restore(self, targets: Sequence[Target]) -> Undoing:
        """Bring back the enrolments of complete items, and take pending ones out of the queue."""
        complete = {t.block: t.enrollment_id for t in targets if t.status is UnenrollmentStatus.COMPLETE}
        obstacles = self._find_rejected(complete.values())
        restored = UnenrollmentStatus.RESTORED
        changed = {block: (id_, restored) for block, id_ in complete.items() if id_ not in obstacles}
        removal = UndoPreview.remove(self, targets)
        others = {block: why for block, why in removal.refused.items() if block not in complete}
        refused = {block: obstacles[id_] for block, id_ in complete.items() if id_ in obstacles}
        return Undoing(removal.changed | changed, others | refused)

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
        """Run a statement for each part of the ids; each step of many may take as long as a whole call."""
        rows, in_order = [], sorted(ids)
        for start in range(0, len(in_order), STEP):
            part = {"account_id": self._account_id, "ids": in_order[start : start + STEP]}
            rows += execute(self._connection, sql, {**given, **part})
            if len(in_order) > STEP:
                renew_deadline()
        return rows


class Undo(UndoPreview):
    """What one caller takes back in one transaction; making it takes the account's turn, so that no worker is at it."""

    def __init__(
        self, connection: sa.Connection, *, account_id: int, user_id: int | None, reason: str | None, now: datetime
    ) -> None:
        super().__init__(connection, account_id)
        self._stamp = {"user_id": user_id, "reason": reason, "change": begin_change(connection, account_id)}
        self._now = now

    def remove(self, targets: Sequence[Target]) -> Undoing:
        """Take pending items out of the queue; their enrolments stay as they are."""
        return self._apply(super().remove(targets))

    def restore(self, targets: Sequence[Target]) -> Undoing:
        """Bring back the enrolments of complete items, and take pending ones out of the queue."""
        return self._apply(super().restore(targets))

    def _apply(self, decided: Undoing) -> Undoing:
        removed = decided.ids(UnenrollmentStatus.REMOVED)
        self._run(_REMOVE, removed, self._stamp | {"finished_at": self._now})
        restored = decided.ids(UnenrollmentStatus.RESTORED)
        self._run(_RESTORE_ENROLLMENTS, restored, {})
        self._run(_RESTORE, restored, self._stamp | {"restored_at": self._now})
        counts = {UnenrollmentStatus.REMOVED: len(removed), UnenrollmentStatus.RESTORED: len(restored)}
        count_items(self._connection, self._account_id, counts | {UnenrollmentStatus.COMPLETE: -len(restored)})
        return decided
