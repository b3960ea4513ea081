"""Reads the learners of a selection before it is confirmed, with what decides about each enrollment."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import LIVE, among_ids, unindexed
from rollbook.store.database.tables import (
    courses,
    enrollments,
    group_courses,
    groups,
    memberships,
    unenrollments,
    users,
)
from rollbook.store.people.search import contains, named


def find_planned(
    connection: sa.Connection, account_id: int, ids: Sequence[int], part: str = "", *, limit: int, offset: int = 0
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read current enrollments among the ids with their learners, by id; `part` is of a name, an e-mail or a course.

    `queued` tells that an item of it is pending, `auto_enrolled` that a group of the learner auto-enrolls the course.
    """
    e, home = enrollments.c, groups.alias()
    joined = (
        enrollments.join(users, users.c.id == e.user_id)
        .join(courses, courses.c.id == e.course_id)
        .join(home, home.c.id == e.group_id)
    )
    pending = sa.exists().where(
        unenrollments.c.enrollment_id == e.id,
        sa.text(f"unenrollments.{LIVE}"),
        unenrollments.c.status == "Pending",
    )
    columns = (
        *(e.id, e.user_id, e.status, e.progress, e.started_at, e.purged_at, e.enrolled_at),
        *(users.c.given_name, users.c.family_name, users.c.email.label("learner_email"), users.c.employee_id),
        *(courses.c.name.label("course"), home.c.name.label("origin")),
        *(pending.label("queued"), _auto_enrolled().label("auto_enrolled")),
    )
    current = (unindexed(e.account_id) == account_id, e.unenrolled_at.is_(None))
    query = sa.select(*columns).select_from(joined).where(among_ids(connection, "enrollments.id", ids), *current)
    if part:
        query = query.where(sa.or_(named(account_id, part), contains(courses.c.name, part)))
    return connection.execute(query.order_by(e.id).limit(limit).offset(offset)).all()


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
