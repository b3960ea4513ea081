"""Selects current enrollments by course, group and status, and previews their unenrollment.

Groups have no index of their enrollments: without courses, a selection reads all enrollments of the account.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from rollbook.brake import CourseShare
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import in_ids, unindexed
from rollbook.store.database.tables import courses, enrollments, groups
from rollbook.store.people.search_text import matches, read_words

# From the list: for thousands of ids PostgreSQL would rather read the whole table than IN by its index.
_SHARES = """
    SELECT c.id, c.name, COUNT(*) AS chosen,
           COUNT(CASE WHEN e.started_at IS NOT NULL OR e.progress <> '0' OR e.status = 'Completed' THEN 1 END)
               AS started,
           SUM(CASE WHEN e.status = 'Completed' THEN 1 ELSE 0 END) AS completed,
           SUM(CASE (SELECT u.status FROM unenrollments AS u
                     WHERE u.enrollment_id = e.id AND u.{live})
               WHEN 'Pending' THEN 1 ELSE 0 END) AS queued
    FROM {ids} AS listed CROSS JOIN enrollments AS e JOIN courses AS c ON c.id = e.course_id
    WHERE e.id = listed.id AND CASE WHEN e.account_id = :account_id THEN e.unenrolled_at IS NULL END
    GROUP BY c.id, c.name ORDER BY c.name, c.id
"""

# By the index of the people of a course alone; the courses are those of the account's enrollments.
_ENROLLED = """
    SELECT course_id, COUNT(*) AS enrolled FROM enrollments
    WHERE course_id {in_ids} AND unenrolled_at IS NULL
    GROUP BY course_id
"""


def find_courses(
    connection: sa.Connection, account_id: int, part: str = "", *, ids: Sequence[int] = (), limit: int | None = None
) -> Sequence[Any]:
    """Find the courses of an account with every word of the part in name and term, or that number, or these ids."""
    columns = (courses.c.id, courses.c.name, courses.c.status, courses.c.term)
    return _find(connection, sa.select(*columns), courses, account_id, part, ids, limit)


def find_groups(
    connection: sa.Connection, account_id: int, part: str = "", *, ids: Sequence[int] = (), limit: int | None = None
) -> Sequence[Any]:
    """Find the groups of an account with every word of the part in their name, or that number, or these ids."""
    columns = (groups.c.id, groups.c.name, groups.c.active)
    return _find(connection, sa.select(*columns), groups, account_id, part, ids, limit)


def _find(
    connection: sa.Connection,
    query: sa.Select[*tuple[Any, ...]],
    table: sa.Table,
    account_id: int,
    part: str,
    ids: Sequence[int],
    limit: int | None,
) -> Sequence[Any]:
    query = query.where(table.c.account_id == account_id)
    query = query.where(table.c.id.in_(ids)) if ids else query
    query = query.order_by(table.c.name, table.c.id)
    if not part:
        return connection.execute(query.limit(limit)).all()
    # Matched here, because databases differ in case and accents.
    words, texts = read_words(part), [column for column in ("name", "term") if column in query.selected_columns]
    rows = connection.execute(query)
    found = (row for row in rows if str(row.id) == part or matches(words, *(getattr(row, text) for text in texts)))
    return list(islice(found, limit))


def choose_enrollments(
    connection: sa.Connection,
    account_id: int,
    *,
    course_ids: Sequence[int],
    group_ids: Sequence[int],
    statuses: Sequence[str],
    limit: int,
    ids: Sequence[int] = (),
) -> list[int]:
    """Return the current enrollments that match every filter; an empty one filters nothing."""
    e = enrollments.c
    query = sa.select(e.id).where(unindexed(e.account_id) == account_id, e.unenrolled_at.is_(None))
    if course_ids:
        query = query.where(e.course_id.in_(course_ids))
    if ids:
        query = query.where(in_ids(connection, e.id, ids))
    if group_ids:
        query = query.where(e.group_id.in_(group_ids))
    if statuses:
        query = query.where(e.status.in_(statuses))
    return list(connection.execute(query.order_by(e.id).limit(limit)).scalars())


def count_enrolled(connection: sa.Connection, course_ids: Sequence[int]) -> dict[int, int]:
    """Count the current enrollments of courses of one account."""
    return dict(execute(connection, _ENROLLED, {"ids": course_ids}))


def preview_enrollments(connection: sa.Connection, account_id: int, ids: Sequence[int]) -> list[CourseShare]:
    """Preview the unenrollment by course; ids that are no current enrollments of the account count nowhere."""
    found = execute(connection, _SHARES, {"ids": ids, "account_id": account_id})
    enrolled = count_enrolled(connection, [row[0] for row in found])
    return [
        CourseShare(name, chosen, enrolled[id_], int(started), int(completed), int(queued))
        for id_, name, chosen, started, completed, queued in found
    ]
