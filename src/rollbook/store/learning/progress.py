"""Progress: what a learner has reached in an enrollment, as programs and imports write it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import courses, enrollments, users

# The columns that can be written, named alike in the messages.
TEXTS = ("status", "progress", "grade", "grade_percentage", "points")
TIMES = ("started_at", "completed_at", "last_accessed_at", "due_at", "grace_period_at", "access_ends_at")

Rows = Mapping[int, Mapping[str, Any]]

_WRITE = """
    UPDATE enrollments
    SET status = item ->> 'status',
        progress = item ->> 'progress',
        grade = item ->> 'grade',
        grade_percentage = item ->> 'grade_percentage',
        points = item ->> 'points',
        started_at = CAST(item ->> 'started_at' AS {time_type}),
        completed_at = CAST(item ->> 'completed_at' AS {time_type}),
        last_accessed_at = CAST(item ->> 'last_accessed_at' AS {time_type}),
        due_at = CAST(item ->> 'due_at' AS {time_type}),
        grace_period_at = CAST(item ->> 'grace_period_at' AS {time_type}),
        access_ends_at = CAST(item ->> 'access_ends_at' AS {time_type}),
        modified_at = :now_at
    FROM {rows} AS r
    WHERE enrollments.id = CAST(item ->> 'id' AS BIGINT) AND enrollments.{unindexed_account_id} = :account_id
"""


class Key(StrEnum):
    """By what a row of an import names its enrollment."""

    ID = "ID"
    EXTERNAL_ID = "sourcedId"
    EMPLOYEE_ID = "EmployeeID"
    EMAIL = "Email"


# CROSS JOIN: SQLite, without statistics, would read all rows of the file for each enrollment of the account.
_OF_LEARNER = """
    SELECT block, e.id FROM {{rows}} AS r CROSS JOIN users AS u CROSS JOIN courses AS c CROSS JOIN enrollments AS e
    WHERE u.account_id = :account_id AND {learner}
      AND c.account_id = :account_id
      AND (c.name = item ->> 'course' OR c.id = CAST(item ->> 'course_id' AS BIGINT))
      AND e.user_id = u.id AND e.course_id = c.id AND e.unenrolled_at IS NULL
"""
_FIND = {
    Key.ID: """
        SELECT block, e.id FROM {rows} AS r
        JOIN enrollments AS e ON e.id = CAST(item ->> 'id' AS BIGINT)
        WHERE e.{unindexed_account_id} = :account_id AND e.unenrolled_at IS NULL
    """,
    Key.EXTERNAL_ID: """
        SELECT block, e.id FROM {rows} AS r CROSS JOIN enrollments AS e
        WHERE e.account_id = :account_id AND e.external_id = item ->> 'external_id' AND e.unenrolled_at IS NULL
    """,
    Key.EMPLOYEE_ID: _OF_LEARNER.format(learner="u.employee_id = item ->> 'employee_id'"),
    Key.EMAIL: _OF_LEARNER.format(learner="u.email_folded = item ->> 'email_folded' AND u.email_folded_from = u.email"),
}


def find_progress(connection: sa.Connection, account_id: int, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Read and lock the current enrollments among the ids, in the order of their ids, so that no two calls deadlock."""
    columns = (enrollments.c[name] for name in ("id", "user_id", "course_id", *TEXTS, *TIMES))
    query = sa.select(*columns).where(_current(account_id), enrollments.c.id.in_(ids)).order_by(enrollments.c.id)
    return {row.id: row._asdict() for row in connection.execute(query.with_for_update(key_share=True))}


def find_rivals(connection: sa.Connection, account_id: int, reopened: Sequence[Mapping[str, Any]]) -> set[int]:
    """Find the enrollments that cannot be open again: their learners have another open one in the same course."""
    other = enrollments.alias()
    query = sa.select(enrollments.c.id).where(
        enrollments.c.id.in_([row["id"] for row in reopened]),
        _current(account_id),
        sa.exists().where(
            other.c.user_id == enrollments.c.user_id,
            other.c.course_id == enrollments.c.course_id,
            other.c.unenrolled_at.is_(None),
            other.c.status != EnrollmentStatus.COMPLETED,
            other.c.id != enrollments.c.id,
        ),
    )
    return set(connection.execute(query).scalars())


def write_progress(connection: sa.Connection, account_id: int, rows: Rows, now: datetime) -> None:
    """Write every column of the progress of enrollments, by their ids."""
    given = [{"id": id_, **{name: row[name] for name in (*TEXTS, *TIMES)}} for id_, row in rows.items()]
    execute(connection, _WRITE, {"account_id": account_id, "rows": given, "now_at": now})


def find_ids(
    connection: sa.Connection, account_id: int, key: Key, rows: Sequence[Mapping[str, Any]]
) -> dict[int, list[int]]:
    """Find the current enrollments that rows name, by the places of the rows from 1."""
    found: dict[int, list[int]] = {}
    for block, id_ in execute(connection, _FIND[key], {"account_id": account_id, "rows": rows}):
        found.setdefault(block, []).append(id_)
    return found


def describe_enrollments(connection: sa.Connection, ids: Collection[int]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read the learner and the course of enrollments."""
    columns = (enrollments.c.id, users.c.given_name, users.c.family_name, users.c.email)
    joined = enrollments.join(users, users.c.id == enrollments.c.user_id)
    joined = joined.join(courses, courses.c.id == enrollments.c.course_id)
    query = sa.select(*columns, courses.c.name.label("course")).select_from(joined)
    return connection.execute(query.where(enrollments.c.id.in_(ids)).order_by(enrollments.c.id)).all()


def _current(account_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(unindexed(enrollments.c.account_id) == account_id, enrollments.c.unenrolled_at.is_(None))
