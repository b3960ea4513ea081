"""Progress: what a learner has reached in an enrollment, as programs and imports write it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import in_ids
from rollbook.store.database.tables import courses, enrollments, users

# The columns that can be written, named alike in the messages.
TEXTS = ("status", "progress", "grade", "grade_percentage", "points")
TIMES = ("started_at", "completed_at", "last_accessed_at", "due_at", "grace_period_at", "access_ends_at")

Rows = Mapping[int, Mapping[str, Any]]

_VALUES = {name: f"{name} = item ->> '{name}'" for name in TEXTS}
_VALUES |= {name: f"{name} = CAST(item ->> '{name}' AS {{time_type}})" for name in TIMES}
_WRITE = """
    UPDATE enrollments SET {values}, modified_at = :now_at FROM {{rows}} AS r
    WHERE enrollments.id = CAST(item ->> 'id' AS BIGINT) AND enrollments.{{unindexed_account_id}} = :account_id
"""


class Key(StrEnum):
    """By what a row of an import names its enrollment."""

    ID = "ID"
    EXTERNAL_ID = "sourcedId"
    EMPLOYEE_ID = "EmployeeID"
    EMAIL = "Email"


_LEARNER = {
    Key.EMPLOYEE_ID: "u.employee_id = item ->> 'employee_id'",
    Key.EMAIL: "u.email_folded = item ->> 'email_folded' AND u.email_folded_from = u.email",
}
# CROSS JOIN: SQLite, without statistics, would read all rows of the file for each enrollment of the account.
_OF_LEARNER = """
    SELECT CAST(item ->> 'row' AS BIGINT), e.id FROM {{rows}} AS r CROSS JOIN users AS u CROSS JOIN enrollments AS e
    WHERE u.account_id = :account_id AND {learner}
      AND e.user_id = u.id AND e.course_id = CAST(item ->> 'course_id' AS BIGINT) AND e.unenrolled_at IS NULL
"""
_FIND = {
    Key.EXTERNAL_ID: """
        SELECT block, e.id FROM {rows} AS r CROSS JOIN enrollments AS e
        WHERE e.account_id = :account_id AND e.external_id = item ->> 'external_id' AND e.unenrolled_at IS NULL
    """,
    **{key: _OF_LEARNER.format(learner=learner) for key, learner in _LEARNER.items()},
}
_FIND_LEARNERS = """
    SELECT block, u.id FROM {{rows}} AS r CROSS JOIN users AS u WHERE u.account_id = :account_id AND {learner}
"""


def find_progress(
    connection: sa.Connection, account_id: int, ids: Collection[int], names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """Read columns of the current enrollments among the ids, and lock these in the order of their ids.

    So no two calls deadlock.
    """
    query = sa.select(enrollments.c.id, *(enrollments.c[name] for name in names))
    chosen = in_ids(connection, enrollments.c.id, ids)
    query = query.where(_current(account_id), chosen).order_by(enrollments.c.id)
    rows = connection.execute(query.with_for_update(key_share=True)).all()
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def find_rivals(connection: sa.Connection, account_id: int, reopened: Sequence[int], closed: Sequence[int]) -> set[int]:
    """Find the enrollments that cannot be open again: their learners have another open one in the same course.

    Those to be `closed` do not count. Of several that would be open again for one learner in one course, only the one
    with the lowest id can.
    """
    other = enrollments.alias()
    query = sa.select(enrollments.c.id).where(
        enrollments.c.id.in_(reopened),
        _current(account_id),
        sa.exists().where(
            other.c.user_id == enrollments.c.user_id,
            other.c.course_id == enrollments.c.course_id,
            other.c.unenrolled_at.is_(None),
            other.c.id != enrollments.c.id,
            sa.or_(
                sa.and_(other.c.status != EnrollmentStatus.COMPLETED, other.c.id.not_in(closed)),
                sa.and_(other.c.id.in_(reopened), other.c.id < enrollments.c.id),
            ),
        ),
    )
    return set(connection.execute(query).scalars())


def write_progress(connection: sa.Connection, account_id: int, names: Sequence[str], rows: Rows, now: datetime) -> None:
    """Write columns of the progress of enrollments, by their ids; SQLite writes the index of a column that is named."""
    given = [{"id": id_, **{name: row[name] for name in names}} for id_, row in rows.items()]
    values = ", ".join(_VALUES[name] for name in sorted(names))
    execute(connection, _WRITE.format(values=values), {"account_id": account_id, "rows": given, "now_at": now})


def find_ids(
    connection: sa.Connection, account_id: int, key: Key, rows: Sequence[Mapping[str, Any]]
) -> dict[int, list[int]]:
    """Find the current enrollments that rows name, by the places of the rows from 1; an id is taken as it is."""
    if key is Key.ID:
        return {block: [row["id"]] for block, row in enumerate(rows, 1)}
    wanted = rows if key is Key.EXTERNAL_ID else _name_courses_by_id(connection, account_id, rows)
    found: dict[int, list[int]] = {}
    for block, id_ in execute(connection, _FIND[key], {"account_id": account_id, "rows": wanted}):
        found.setdefault(block, []).append(id_)
    return found


def _name_courses_by_id(
    connection: sa.Connection, account_id: int, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Replace the names of courses by their ids, several for a name that several courses have; `row` is the place."""
    c = courses.c
    named = sa.and_(c.account_id == account_id, c.name.in_({row.get("course") for row in rows}))
    ids: dict[str, list[int]] = {}
    for name, id_ in connection.execute(sa.select(c.name, c.id).where(named)):
        ids.setdefault(name, []).append(id_)
    return [
        {**row, "row": place, "course_id": id_}
        for place, row in enumerate(rows, 1)
        for id_ in (ids.get(row["course"], ()) if row.get("course") else (row["course_id"],))
    ]


def find_courses_of_learners(
    connection: sa.Connection, account_id: int, key: Key, rows: Sequence[Mapping[str, Any]], shown: int
) -> dict[int, set[str]]:
    """Find the learners that rows name, by the places of the rows from 1: the courses in which each is enrolled.

    The courses are read for the first `shown` of the learners.
    """
    learners = execute(
        connection, _FIND_LEARNERS.format(learner=_LEARNER[key]), {"account_id": account_id, "rows": rows}
    )
    found: dict[int, set[str]] = {user_id: set() for _, user_id in learners}
    first = [*found][:shown]
    query = sa.select(enrollments.c.user_id, courses.c.name).join(courses, courses.c.id == enrollments.c.course_id)
    for user_id, course in connection.execute(query.where(_current(account_id), enrollments.c.user_id.in_(first))):
        found[user_id].add(course)
    return {block: found[user_id] for block, user_id in learners}


def describe_enrollments(connection: sa.Connection, ids: Collection[int]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read the learner and the course of enrollments."""
    columns = (enrollments.c.id, users.c.given_name, users.c.family_name, users.c.email)
    joined = enrollments.join(users, users.c.id == enrollments.c.user_id)
    joined = joined.join(courses, courses.c.id == enrollments.c.course_id)
    query = sa.select(*columns, courses.c.name.label("course")).select_from(joined)
    return connection.execute(query.where(enrollments.c.id.in_(ids)).order_by(enrollments.c.id)).all()


def _current(account_id: int) -> sa.ColumnElement[bool]:
    """Match the account's current enrollments by an expression that no index matches: the ids find the rows."""
    return sa.case((enrollments.c.account_id == account_id, enrollments.c.unenrolled_at.is_(None)))
