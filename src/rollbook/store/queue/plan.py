"""Reads the learners of a selection before it is confirmed, with what decides about each enrollment."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.sql import LIVE, unindexed
from rollbook.store.database.tables import (
    courses,
    enrollments,
    group_courses,
    groups,
    memberships,
    unenrollments,
    users,
)
from rollbook.store.people.search import named

_LEARNERS = """
    SELECT e.id, e.user_id FROM enrollments AS e
    WHERE e.id {in_ids} AND CASE WHEN e.account_id = :account_id THEN e.unenrolled_at IS NULL END
"""


def search_planned(connection: sa.Connection, account_id: int, ids: Sequence[int], part: str) -> list[int]:
    """Return those of the ids whose learner has the part in the name or e-mail, or this employee id."""
    # Two statements: without statistics PostgreSQL would join all enrollments with all users.
    people = {*connection.execute(sa.select(users.c.id).where(named(account_id, part))).scalars()}
    learners = dict(execute(connection, _LEARNERS, {"ids": ids, "account_id": account_id}))
    return [id_ for id_ in ids if learners.get(id_) in people]


def find_planned(connection: sa.Connection, account_id: int, ids: Sequence[int]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read the current enrollments among up to some thousand ids with their learners, by id.

    `queued` tells that an item of it is pending, `auto_enrolled` that a group of the learner auto-enrolls the course.
    """
    e, home = enrollments.c, groups.alias()
    picked = sa.select(e.id).where(e.id.in_(ids), unindexed(e.account_id) == account_id, e.unenrolled_at.is_(None))
    # The limit keeps PostgreSQL from joining anything else first.
    page = picked.order_by(e.id).limit(len(ids)).subquery("page")
    joined = (
        page.join(enrollments, e.id == page.c.id)
        .join(users, users.c.id == e.user_id)
        .join(courses, courses.c.id == e.course_id)
        .join(home, home.c.id == e.group_id)
    )
    pending = sa.exists().where(
        unenrollments.c.enrollment_id == e.id,
        sa.text(f"unenrollments.{LIVE}"),
        unenrollments.c.status == "Pending",
    )
    columns = (
        *(e.id, e.user_id, e.status, e.progress, e.started_at, e.completed_at, e.purged_at, e.enrolled_at),
        *(users.c.given_name, users.c.family_name, users.c.email.label("learner_email"), users.c.employee_id),
        *(courses.c.name.label("course"), home.c.name.label("origin")),
        *(pending.label("queued"), _auto_enrolled().label("auto_enrolled")),
    )
    return connection.execute(sa.select(*columns).select_from(joined).order_by(page.c.id)).all()


def _auto_enrolled() -> sa.Exists:
    joined = group_courses.join(groups, groups.c.id == group_courses.c.group_id)
    joined = joined.join(memberships, memberships.c.group_id == group_courses.c.group_id)
    return (
        sa.exists()
        .select_from(joined)
        .where(
            group_courses.c.course_id == enrollments.c.course_id,
            group_courses.c.auto_enroll,
            groups.c.active,
            memberships.c.user_id == enrollments.c.user_id,
        )
    )
