"""Courses and their sessions."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import courses, sessions


def list_courses(
    connection: sa.Connection,
    account_id: int,
    *,
    matches: Callable[[str], bool] | None = None,
    status: str | None = None,
) -> list[dict[str, Any]]:
    """List the courses whose names match, by id, and whether they have sessions."""
    c = courses.c
    has_sessions = sa.exists().where(sessions.c.course_id == c.id).label("has_sessions")
    query = (
        sa.select(c.id, c.name, c.status, c.term, c.duration, has_sessions)
        .where(c.account_id == account_id)
        .order_by(c.id)
    )
    if status is not None:
        query = query.where(c.status == status)
    # Matched here, because SQLite compares only ASCII letters case-insensitively.
    return [row._asdict() for row in connection.execute(query) if matches is None or matches(row.name)]


def has_course(connection: sa.Connection, account_id: int, course_id: int) -> bool:
    """Tell whether the account has a course, whatever its status."""
    query = sa.select(courses.c.id).where(unindexed(courses.c.account_id) == account_id, courses.c.id == course_id)
    return connection.execute(query).first() is not None


def add_course(
    connection: sa.Connection, account_id: int, name: str, now: datetime, *, term: str | None, duration: str | None
) -> int:
    """Add an active course and return its id."""
    values = {"account_id": account_id, "name": name, "term": term, "duration": duration, "status": "Active"}
    added = sa.insert(courses).values(**values, created_at=now, modified_at=now)
    number: int = connection.execute(added.returning(courses.c.id)).scalar_one()
    return number


def archive_course(connection: sa.Connection, account_id: int, course_id: int, now: datetime) -> tuple[str, str] | None:
    """Archive a course; return its name and the status that it had, None when the account has no such course."""
    mine = sa.and_(unindexed(courses.c.account_id) == account_id, courses.c.id == course_id)
    found = connection.execute(sa.select(courses.c.name, courses.c.status).where(mine).with_for_update()).one_or_none()
    if found is None:
        return None
    if found.status != "Archived":
        connection.execute(sa.update(courses).where(mine).values(status="Archived", modified_at=now))
    return found.name, found.status


def list_sessions(connection: sa.Connection, account_id: int, course_id: int) -> list[dict[str, Any]]:
    """List the sessions of a course by start, those without one first."""
    s = sessions.c
    query = sa.select(s.id, s.name, s.status, s.grade_type, s.starts_at, s.ends_at, s.details)
    query = query.where(s.course_id == course_id, unindexed(s.account_id) == account_id)
    rows = connection.execute(query.order_by(s.starts_at.nulls_first(), s.id))
    return [row._asdict() | {"details": json.loads(row.details or "{}")} for row in rows]


def add_session(
    connection: sa.Connection,
    account_id: int,
    course_id: int,
    *,
    name: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    grade_type: str | None = None,
    details: Mapping[str, object] | None = None,
) -> int:
    """Add a session to a course and return its id; `details` are stored unchanged."""
    values = {"account_id": account_id, "course_id": course_id, "name": name, "starts_at": starts_at}
    values |= {"ends_at": ends_at, "grade_type": grade_type, "details": json.dumps(details) if details else None}
    number: int = connection.execute(sa.insert(sessions).values(values).returning(sessions.c.id)).scalar_one()
    return number
