"""Adds enrollments: looks up what the items of a call name, and inserts the new rows.

The methods decide which error an item gets.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from rollbook.model import Caller, EnrollmentStatus
from rollbook.store.database.execute import execute
from rollbook.store.people.emails import folded, named_user

# Each value is a subquery, which PostgreSQL executes as one index look-up a row, whatever its statistics say about the
# size of the account. `unindexed_account_id` leaves it the index of the ids, `(SELECT :account_id)` that of the e-mails
# (decision 0002).

_IS_MEMBER = "EXISTS (SELECT 1 FROM memberships AS m WHERE m.group_id = named.id AND m.user_id = asked.user_id)"
# Of the groups that have the name: the first one, the first one for which the caller may enroll, of these the first one
# that the learner is in, and of these the first one that has the course, if any group has it (D30).
_FIND = """
    WITH named AS MATERIALIZED (
        SELECT g.id, g.group_key,
               :administers OR COALESCE((SELECT m.group_manager OR m.manage_group_users FROM memberships AS m
                                         WHERE m.group_id = g.id AND m.user_id = :caller_id), false) AS allowed
        FROM (SELECT id, 'name ' || name AS group_key FROM groups
              WHERE account_id = :account_id AND active AND name IN (SELECT item ->> 'group_name' FROM {rows} AS r)
              UNION ALL
              SELECT id, 'id ' || identifier FROM groups
              WHERE account_id = :account_id AND active
                AND identifier IN (SELECT item ->> 'group_identifier' FROM {rows} AS r)
              UNION ALL
              SELECT id, 'id ' || id FROM groups
              WHERE id IN (SELECT CAST(item ->> 'group_number' AS BIGINT) FROM {rows} AS r)
                AND {unindexed_account_id} = :account_id AND active AND identifier IS NULL) AS g),
    asked AS MATERIALIZED (
        SELECT block, COALESCE('name ' || (item ->> 'group_name'), 'id ' || (item ->> 'group_identifier')) AS group_key,
               {named_user} AS user_id,
               (SELECT c.id FROM courses AS c
                WHERE c.id = CAST(item ->> 'course_id' AS BIGINT) AND c.{unindexed_account_id} = :account_id
                  AND c.status = 'Active') AS course_id,
               EXISTS (SELECT 1 FROM group_courses AS gc
                       WHERE gc.course_id = CAST(item ->> 'course_id' AS BIGINT)) AS is_restricted,
               (SELECT s.id FROM sessions AS s
                WHERE s.id = CAST(item ->> 'session_id' AS BIGINT) AND s.{unindexed_account_id} = :account_id
                  AND s.course_id = CAST(item ->> 'course_id' AS BIGINT)) AS session_id
        FROM {rows} AS r)
    SELECT asked.user_id, asked.course_id, asked.session_id,
           MIN(named.id) AS named_group_id,
           MIN(CASE WHEN named.allowed THEN named.id END) AS allowed_group_id,
           MIN(CASE WHEN named.allowed AND {is_member} THEN named.id END) AS member_group_id,
           MIN(CASE WHEN named.allowed AND {is_member} AND (NOT asked.is_restricted OR EXISTS (
                   SELECT 1 FROM group_courses AS gc WHERE gc.group_id = named.id AND gc.course_id = asked.course_id))
               THEN named.id END) AS group_id
    FROM asked LEFT JOIN named ON named.group_key = asked.group_key
    GROUP BY asked.block, asked.user_id, asked.course_id, asked.session_id
    ORDER BY asked.block
""".replace("{named_user}", named_user("AND u.active")).replace("{is_member}", _IS_MEMBER)

# In the order of learner and course, so that concurrent calls cannot deadlock. Of equal open rows the first one is
# added; completed ones block none. A completed enrollment without a date ended with its
# session, or now.
_ADD = """
    INSERT INTO enrollments (account_id, user_id, group_id, course_id, session_id, tag, status, grade,
                             enrolled_at, created_at, modified_at, started_at, completed_at, due_at,
                             grace_period_at, access_ends_at)
    SELECT :account_id, CAST(item ->> 'user_id' AS BIGINT), CAST(item ->> 'group_id' AS BIGINT),
           CAST(item ->> 'course_id' AS BIGINT), CAST(item ->> 'session_id' AS BIGINT), item ->> 'tag',
           item ->> 'status', item ->> 'grade',
           COALESCE(CAST(item ->> 'enrolled_at' AS {time_type}), :now_at), :now_at, :now_at,
           CAST(item ->> 'started_at' AS {time_type}),
           COALESCE(CAST(item ->> 'completed_at' AS {time_type}),
                    CASE item ->> 'status' WHEN 'Completed' THEN
                        COALESCE((SELECT COALESCE(s.ends_at, s.starts_at) FROM sessions AS s
                                  WHERE s.id = CAST(item ->> 'session_id' AS BIGINT)), :now_at) END),
           CAST(item ->> 'due_at' AS {time_type}), CAST(item ->> 'grace_period_at' AS {time_type}),
           CAST(item ->> 'access_ends_at' AS {time_type})
    FROM {rows} AS r
    ORDER BY CAST(item ->> 'user_id' AS BIGINT), CAST(item ->> 'course_id' AS BIGINT), block
    ON CONFLICT (user_id, course_id) WHERE {open} DO NOTHING
    RETURNING id, user_id, course_id, status
"""


@dataclass(frozen=True)
class Asked:
    """A requested enrollment; the learner is named by e-mail or employee id, and no record has the id 0."""

    email: str | None
    employee_id: str | None
    group_name: str | None
    course_id: int
    group_identifier: str | None = None
    group_number: int | None = None  # the identifier of a group without one of its own (D24)
    session_id: int | None = None
    tag: str | None = None
    status: EnrollmentStatus = EnrollmentStatus.ENROLLED
    grade: str | None = None
    enrolled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    due_at: datetime | None = None
    grace_period_at: datetime | None = None
    access_ends_at: datetime | None = None


class Found(NamedTuple):
    """The active records of the account that a requested enrollment names; None for those that it does not have."""

    user_id: int | None
    course_id: int | None
    session_id: int | None
    named_group_id: int | None
    allowed_group_id: int | None
    member_group_id: int | None
    group_id: int | None


# The ids of new enrollments by learner, course and whether they are completed, in the order of the call.
Added = defaultdict[tuple[int | None, int | None, bool], deque[int]]


def find_asked(connection: sa.Connection, caller: Caller, asked: Sequence[Asked]) -> list[Found]:
    """Find the records of the caller's account that each requested enrollment names, in their order."""
    who = {"account_id": caller.account_id, "caller_id": caller.user_id, "administers": caller.administers}
    given = [asdict(item) | folded(item.email) for item in asked]
    return [Found(*row) for row in execute(connection, _FIND, who | {"rows": given})]


def add_enrollments(
    connection: sa.Connection, account_id: int, complete: Sequence[tuple[Asked, Found]], now: datetime
) -> "Added":
    """Enroll learners and return the new enrollments; a learner with an open enrollment in the course gets none."""
    rows = [asdict(asked) | found._asdict() for asked, found in complete]
    added = execute(connection, _ADD, {"account_id": account_id, "rows": rows, "now_at": now})
    ids: Added = defaultdict(deque)
    for id_, user_id, course_id, status in sorted(added):
        ids[user_id, course_id, status == EnrollmentStatus.COMPLETED].append(id_)
    return ids
