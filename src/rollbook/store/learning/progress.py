"""Progress: what a learner has reached in an enrollment, as programs and imports write it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import enrollments

# The columns that can be written, named alike in the messages.
TEXTS = ("status", "progress", "grade", "grade_percentage", "points")
TIMES = ("started_at", "completed_at", "last_accessed_at", "due_at", "grace_period_at", "access_ends_at")

Changes = Mapping[int, Mapping[str, Any]]


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


def write_progress(connection: sa.Connection, account_id: int, changes: Changes, now: datetime) -> None:
    """Write the given columns of enrollments; all others keep their values."""
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for id_, values in changes.items():
        by_columns.setdefault(tuple(sorted(values)), []).append({"id_": id_, **values})
    for columns, rows in by_columns.items():
        written = {name: sa.bindparam(name, type_=enrollments.c[name].type) for name in columns}
        one = sa.update(enrollments).where(_current(account_id), enrollments.c.id == sa.bindparam("id_"))
        connection.execute(one.values(**written, modified_at=now), rows)


def _current(account_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(unindexed(enrollments.c.account_id) == account_id, enrollments.c.unenrolled_at.is_(None))
