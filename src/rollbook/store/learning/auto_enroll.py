"""AutoEnroll: new members of a group are enrolled in its auto-enroll courses.

The guard (D31): a user who has or had an enrollment in a course is not enrolled in it again.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.execute import execute

# For users who join groups, `j`, in the order of learner and course, as enrolling does. Unenrolled rows stay, so the
# guard holds after the retention.
AUTO_ENROLL = """
    INSERT INTO enrollments (account_id, user_id, group_id, course_id, status, enrolled_at, created_at, modified_at)
    SELECT :account_id, u.id, MIN(g.id), c.id, 'Enrolled', :now_at, :now_at, :now_at
    FROM {joined} AS j
    JOIN group_courses AS gc ON gc.group_id = j.group_id AND gc.auto_enroll
    JOIN groups AS g ON g.id = gc.group_id AND g.active
    JOIN courses AS c ON c.id = gc.course_id AND c.status = 'Active'
    JOIN users AS u ON u.id = j.user_id AND u.active
    WHERE NOT EXISTS (SELECT 1 FROM enrollments AS e WHERE e.user_id = u.id AND e.course_id = c.id)
    GROUP BY u.id, c.id
    ORDER BY u.id, c.id
    ON CONFLICT (user_id, course_id) WHERE {open} DO NOTHING
    RETURNING id
"""
HAS_AUTO_ENROLL = "SELECT EXISTS (SELECT 1 FROM group_courses WHERE account_id = :account_id AND auto_enroll)"
_JOINED = """(SELECT CAST(item ->> 'group_id' AS BIGINT) AS group_id, CAST(item ->> 'user_id' AS BIGINT) AS user_id
             FROM {rows} AS r)"""
_ENROLL_JOINED = AUTO_ENROLL.replace("{joined}", _JOINED)
# Of enrollments, by course: those whose learner is in a group that auto-enrolls the course.
_FIND_AUTO_ENROLLED = """
    SELECT c.id, c.name, COUNT(*) AS learners FROM enrollments AS e JOIN courses AS c ON c.id = e.course_id
    WHERE e.id {in_ids} AND CASE WHEN e.account_id = :account_id THEN e.unenrolled_at IS NULL END
      AND EXISTS (SELECT 1 FROM group_courses AS gc
                  JOIN groups AS g ON g.id = gc.group_id AND g.active
                  JOIN memberships AS m ON m.group_id = gc.group_id AND m.user_id = e.user_id
                  WHERE gc.course_id = e.course_id AND gc.auto_enroll)
    GROUP BY c.id, c.name ORDER BY c.name, c.id
"""


def enroll_joined(
    connection: sa.Connection, account_id: int, joined: Collection[tuple[int, int]], now: datetime
) -> list[int]:
    """Enroll users in the courses of groups that they have joined, as (group, user); return the new enrollments."""
    rows = [{"group_id": group_id, "user_id": user_id} for group_id, user_id in sorted(joined)]
    given = {"account_id": account_id, "rows": rows, "now_at": now}
    return sorted(id_ for (id_,) in execute(connection, _ENROLL_JOINED, given))


def find_auto_enrolled(connection: sa.Connection, account_id: int, ids: Sequence[int]) -> list[tuple[int, str, int]]:
    """Find the courses of current enrollments that a group of the learner auto-enrolls: id, name, how many learners."""
    given: dict[str, object] = {"account_id": account_id, "ids": ids}
    [(may_enroll,)] = execute(connection, HAS_AUTO_ENROLL, given)
    return execute(connection, _FIND_AUTO_ENROLLED, given) if may_enroll else []
