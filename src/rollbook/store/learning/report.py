"""The learner report: a page of an account's current enrollments, found by filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import in_ids, unindexed
from rollbook.store.database.tables import courses, enrollments, groups, users
from rollbook.store.people.emails import alike, exactly
from rollbook.store.people.group_search import GROUP_ID, TagFilter, find_tagged

Condition = sa.ColumnElement[bool]

# The fields of a row by the names that callers of `find_learners` use.
FIELDS: dict[str, sa.ColumnElement[object]] = {
    **dict(enrollments.c),
    "course_name": courses.c.name,
    "course_duration": courses.c.duration,
    "group_id": GROUP_ID,
    "group_name": groups.c.name,
    "given_name": users.c.given_name,
    "family_name": users.c.family_name,
    "email": users.c.email,
    "alternate_email": users.c.alternate_email,
    "employee_id": users.c.employee_id,
    "title": users.c.title,
    "division": users.c.division,
}


@dataclass(frozen=True)
class Period:
    """A period that includes both ends; None leaves one open."""

    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class ReportFilter:
    """Filters that are all applied; an empty field or None filters nothing.

    Several values of a field match any of them; `emails` and `employee_ids` are one field. `periods` are named by their
    column of enrollments.
    """

    enrollment_id: int | None = None
    statuses: Sequence[str] = ()
    periods: Mapping[str, Sequence[Period]] = field(default_factory=dict)
    group_active: Sequence[bool] = ()
    group_names: Sequence[str] = ()
    group_tags: Sequence[TagFilter] = ()
    course_statuses: Sequence[str] = ()
    course_names: Sequence[str] = ()
    user_active: Sequence[bool] = ()
    emails: Sequence[str] = ()
    employee_ids: Sequence[str] = ()


def find_learners(
    connection: sa.Connection,
    account_id: int,
    chosen: ReportFilter,
    fields: Sequence[str | None],
    *,
    limit: int,
    offset: int,
) -> Sequence[sa.Row[*tuple[object, ...]]]:
    """Read the named fields of a page of current enrollments by id, with NULL for the field None."""
    e = enrollments.c
    course_ids = _find_courses(connection, account_id, chosen)
    if course_ids == []:
        return []
    conditions = _conditions(connection, account_id, chosen, course_ids)
    picked = sa.select(e.id).where(*conditions).order_by(e.id).limit(limit).offset(offset)
    page = picked.subquery("page")
    joined = (
        page.join(enrollments, e.id == page.c.id)
        .join(users, users.c.id == e.user_id)
        .join(courses, courses.c.id == e.course_id)
        .join(groups, groups.c.id == e.group_id)
    )
    values = [sa.null() if name is None else FIELDS[name] for name in fields]
    return connection.execute(sa.select(*values).select_from(joined).order_by(page.c.id)).all()


def _find_courses(connection: sa.Connection, account_id: int, chosen: ReportFilter) -> Sequence[int] | None:
    """Find the courses that the filters name; None if they name none."""
    of_course = [*_among(courses.c.status, chosen.course_statuses), *_among(courses.c.name, chosen.course_names)]
    return connection.scalars(_ids(courses, account_id, of_course)).all() if of_course else None


def _conditions(
    connection: sa.Connection, account_id: int, chosen: ReportFilter, course_ids: Sequence[int] | None
) -> list[Condition]:
    e = enrollments.c
    of_group = _of_group(connection, account_id, chosen)
    emails = [exactly(chosen.emails), alike(chosen.emails)] if chosen.emails else []
    named = [*emails, *_among(users.c.employee_id, chosen.employee_ids)]
    of_user = [*_among(users.c.active, chosen.user_active), *([sa.or_(*named)] if named else [])]
    course_id = course_ids[0] if course_ids is not None and len(course_ids) == 1 else None
    # For a few users, or one course, their index is best, but SQLite prefers the account's, by which it would read all
    # enrollments of the account (decision 0002).
    account = unindexed(e.account_id) if named or course_id is not None else e.account_id
    conditions: list[Condition] = [account == account_id, e.unenrolled_at.is_(None)]
    if chosen.enrollment_id is not None:
        conditions.append(e.id == chosen.enrollment_id)
    for name, periods in chosen.periods.items():
        if periods:
            conditions.append(sa.or_(*(_within(e[name], period) for period in periods)))
    # IS TRUE hides a condition from indexes: PostgreSQL without statistics would join groups and courses first (6 s
    # instead of 0.1 s at a million enrollments), and several statuses have no index in the order of the ids.
    if course_id is not None:
        conditions.append(e.course_id == course_id)
    elif course_ids is not None:
        conditions.append(e.course_id.in_(course_ids).is_(True))
    if len(chosen.statuses) == 1:
        conditions.append(e.status == chosen.statuses[0])
    elif chosen.statuses:
        conditions.append(e.status.in_(chosen.statuses).is_(True))
    if of_group:
        conditions.append(e.group_id.in_(_ids(groups, account_id, of_group)).is_(True))
    if of_user:
        conditions.append(e.user_id.in_(_ids(users, account_id, of_user)))
    return conditions


def _of_group(
    connection: sa.Connection, account_id: int, chosen: ReportFilter
) -> Sequence[sa.ColumnExpressionArgument[bool]]:
    named = [*_among(groups.c.active, chosen.group_active), *_among(groups.c.name, chosen.group_names)]
    if not chosen.group_tags:
        return named
    return [*named, in_ids(connection, groups.c.id, find_tagged(connection, account_id, chosen.group_tags))]


def _among(column: sa.ColumnElement[Any], values: Sequence[object]) -> list[Condition]:
    return [column.in_(values)] if values else []


def _ids(table: sa.Table, account_id: int, wanted: Sequence[sa.ColumnExpressionArgument[bool]]) -> sa.Select[int]:
    return sa.select(table.c.id).where(table.c.account_id == account_id, *wanted)


def _within(column: sa.ColumnElement[Any], period: Period) -> Condition:
    after = [] if period.first is None else [column >= period.first]
    before = [] if period.last is None else [column <= period.last]
    return sa.and_(*after, *before)
