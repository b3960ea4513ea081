"""Finds users by a part of their name or e-mail, and reads the enrollments of one."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.model import Role
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import courses, enrollments, groups, sessions, users

Row = sa.Row[*tuple[Any, ...]]


def contains(text: sa.ColumnElement[str], part: str) -> sa.ColumnElement[bool]:
    """Match texts that contain a part, in any letter case."""
    if part.isascii():
        return sa.func.lower(text).contains(part.lower(), autoescape=True)
    return text.regexp_match(_in_any_case(part))


def equals(text: sa.ColumnElement[str], whole: str) -> sa.ColumnElement[bool]:
    """Match texts that are the same, in any letter case."""
    if whole.isascii():
        return sa.func.lower(text) == whole.lower()
    return text.regexp_match(rf"\A{_in_any_case(whole)}\Z")


def _in_any_case(text: str) -> str:
    """Return a regular expression for a text: SQLite, and PostgreSQL in some locales, know the case of ASCII only."""
    variants = ({each for each in (char, char.lower(), char.upper()) if len(each) == 1} for char in text)
    return "".join("[" + re.sub(r"([\]\[\\^-])", r"\\\1", "".join(sorted(each))) + "]" for each in variants)


def named(account_id: int, part: str) -> sa.ColumnElement[bool]:
    """Match users of an account with the part in their name or e-mail, or with exactly this employee id."""
    # One text to search instead of three takes most of the time off.
    text = users.c.given_name + " " + users.c.family_name + " " + sa.func.coalesce(users.c.email, "")
    return sa.and_(users.c.account_id == account_id, sa.or_(contains(text, part), users.c.employee_id == part))


def find_ids_of_people(connection: sa.Connection, account_id: int, part: str, limit: int) -> list[int]:
    """Return the ids of the users that `find_people` finds."""
    return list(connection.execute(sa.select(users.c.id).where(named(account_id, part)).limit(limit)).scalars())


def find_people(connection: sa.Connection, account_id: int, part: str, limit: int) -> Sequence[Row]:
    """Find users by a part of their name or e-mail, or by their employee id."""
    columns = (users.c.id, users.c.given_name, users.c.family_name, users.c.email, users.c.employee_id)
    query = sa.select(*columns, users.c.role, users.c.active).where(named(account_id, part))
    return connection.execute(query.order_by(users.c.id).limit(limit)).all()


def find_staff(connection: sa.Connection, account_id: int, limit: int) -> Sequence[Row]:
    """List administrators and owners, and whether each has a password and so can sign in."""
    columns = (users.c.id, users.c.given_name, users.c.family_name, users.c.email, users.c.role, users.c.active)
    query = sa.select(*columns, users.c.password_hash.is_not(None).label("has_password"))
    # The predicate of the index.
    staff = query.where(users.c.account_id == account_id, users.c.role != sa.literal_column(f"'{Role.LEARNER}'"))
    return connection.execute(staff.order_by(users.c.id).limit(limit)).all()


def find_person(connection: sa.Connection, account_id: int, user_id: int) -> Row | None:
    """Read one user of the account; None when it has no such user."""
    query = sa.select(users).where(users.c.account_id == account_id, users.c.id == user_id)
    return connection.execute(query).one_or_none()


def find_enrollments_of(
    connection: sa.Connection, account_id: int, user_id: int, limit: int, offset: int, *, current: bool = False
) -> Sequence[Row]:
    """Read the enrollments of a user, latest first; ended ones too, unless only `current` ones are wanted."""
    e = enrollments.c
    joined = (
        enrollments.join(courses, courses.c.id == e.course_id)
        .join(groups, groups.c.id == e.group_id)
        .outerjoin(sessions, sessions.c.id == e.session_id)
    )
    columns = (courses.c.name.label("course"), groups.c.name.label("origin"), sessions.c.name.label("session"))
    query = sa.select(enrollments, *columns).select_from(joined)
    mine = query.where(e.user_id == user_id, unindexed(e.account_id) == account_id)
    if current:
        mine = mine.where(e.unenrolled_at.is_(None))
    return connection.execute(mine.order_by(e.id.desc()).limit(limit).offset(offset)).all()
