"""Takes items out of the queue before they are processed, and undoes them after. The only SQL about it.

Both begin with the account's turn (store/queue), so that no worker is at the same items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.dialects import statement
from rollbook.store.queue import begin_change
from rollbook.store.tables import batches, unenrollments

_FIND_LIVE = """
    SELECT enrollment_id, status FROM unenrollments
    WHERE enrollment_id {in_ids} AND account_id + 0 = :account_id AND status IN ('Pending', 'Complete')
"""

_REMOVE = """
    UPDATE unenrollments
    SET status = 'Removed', finished_at = :finished_at, removed_by = :user_id, notes = :reason, change = :change
    WHERE enrollment_id {in_ids} AND account_id + 0 = :account_id AND status = 'Pending'
"""

# An enrolment does not come back when the learner was enrolled again after it had ended; of two such that are restored
# together, the later one does. A completed one and another may both have been there before, and then both come back.
_FIND_OBSTACLES = """
    SELECT e.id, e.purged_at IS NOT NULL AS purged
    FROM enrollments AS e
    WHERE e.id {in_ids} AND e.account_id + 0 = :account_id AND (e.purged_at IS NOT NULL OR EXISTS (
        SELECT 1 FROM enrollments AS other
        WHERE other.user_id = e.user_id AND other.course_id = e.course_id AND other.id <> e.id
          AND (other.unenrolled_at IS NULL OR other.id {in_ids})
          AND CASE WHEN 'Completed' IN (other.status, e.status)
                   THEN other.id > e.id AND other.created_at > e.unenrolled_at
                   ELSE other.id > e.id OR other.unenrolled_at IS NULL END))
"""

# Nothing of an enrolment was touched but this, and so nothing else has to be brought back.
_RESTORE_ENROLLMENTS = """
    UPDATE enrollments SET unenrolled_at = NULL WHERE id {in_ids} AND account_id + 0 = :account_id
"""

_RESTORE = """
    UPDATE unenrollments
    SET status = 'Restored', restored_at = :restored_at, restored_by = :user_id, notes = :reason, change = :change
    WHERE enrollment_id {in_ids} AND account_id + 0 = :account_id AND status = 'Complete'
"""


class Obstacle(StrEnum):
    """Why an item was not removed or not restored."""

    WRONG_STATUS = "wrong status"
    ENROLLED_AGAIN = "enrolled again"
    PURGED = "purged"


@dataclass(frozen=True)
class Target:
    """An item that is meant, by its place in the call or in its batch; `status` is None when there is none."""

    block: int
    enrollment_id: int
    status: UnenrollmentStatus | None


@dataclass(frozen=True)
class Undoing:
    """The outcome: the new status of the items that changed, and why the others did not, by block."""

    changed: dict[int, tuple[int, UnenrollmentStatus]]
    refused: dict[int, Obstacle]

    def counts(self) -> dict[str, int]:
        """Count what was removed and what was restored, for the audit."""
        statuses = [status for _, status in self.changed.values()]
        removed, restored = (statuses.count(s) for s in (UnenrollmentStatus.REMOVED, UnenrollmentStatus.RESTORED))
        return {"removed": removed, "restored": restored}


class Undo:
    """What one caller takes back in one transaction; making it takes the account's turn."""

    def __init__(
        self, connection: sa.Connection, *, account_id: int, user_id: int, reason: str | None, now: datetime
    ) -> None:
        self._connection = connection
        self._account_id = account_id
        change = begin_change(connection, account_id)
        self._stamp = {"account_id": account_id, "user_id": user_id, "reason": reason, "change": change}
        self._now = now

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
        wanted = {"ids": [id_ for id_ in ids if id_ is not None], "account_id": self._account_id}
        live = self._connection.execute(statement(self._connection, _FIND_LIVE), wanted)
        statuses = {row.enrollment_id: UnenrollmentStatus(row.status) for row in live}
        return [Target(block, id_, statuses.get(id_)) for block, id_ in enumerate(ids, 1) if id_ is not None]

    def remove(self, targets: Sequence[Target]) -> Undoing:
        """Take pending items out of the queue; their enrolments stay as they are."""
        pending = [target for target in targets if target.status is UnenrollmentStatus.PENDING]
        removed = {"ids": [target.enrollment_id for target in pending], "finished_at": self._now}
        if pending:
            self._connection.execute(statement(self._connection, _REMOVE), self._stamp | removed)
        changed = {target.block: (target.enrollment_id, UnenrollmentStatus.REMOVED) for target in pending}
        others = {target.block: Obstacle.WRONG_STATUS for target in targets if target.block not in changed}
        return Undoing(changed, others)

    def restore(self, targets: Sequence[Target]) -> Undoing:
        """Bring back the enrolments of complete items, and take pending ones out of the queue."""
        removal = self.remove(targets)
        complete = {target.block: target.enrollment_id for target in targets if target.status == "Complete"}
        obstacles = self._find_obstacles(list(complete.values()))
        restored = {block: id_ for block, id_ in complete.items() if id_ not in obstacles}
        if restored:
            back = self._stamp | {"ids": list(restored.values()), "restored_at": self._now}
            self._connection.execute(statement(self._connection, _RESTORE_ENROLLMENTS), back)
            self._connection.execute(statement(self._connection, _RESTORE), back)
        changed = {block: (id_, UnenrollmentStatus.RESTORED) for block, id_ in restored.items()}
        refused = {block: obstacles[id_] for block, id_ in complete.items() if id_ in obstacles}
        others = {block: why for block, why in removal.refused.items() if block not in restored}
        return Undoing(removal.changed | changed, others | refused)

    def _find_obstacles(self, ids: list[int]) -> dict[int, Obstacle]:
        found = self._connection.execute(
            statement(self._connection, _FIND_OBSTACLES), {"ids": ids, "account_id": self._account_id}
        )
        return {row.id: Obstacle.PURGED if row.purged else Obstacle.ENROLLED_AGAIN for row in found}
