"""Finds users by words of their name, e-mail or employee id, and reads the enrollments of one."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.model import Role
from rollbook.store.database.sql import in_ids, unindexed
from rollbook.store.database.tables import courses, enrollments, groups, invitations, second_factors, sessions, users
from rollbook.store.people.emails import alike
from rollbook.store.people.search_text import read_words

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
    """Match users of an account with every word of the part in their name, e-mail or employee id.

    Cases, accents and apostrophes do not count. `fold_all_names` precedes it.
    """
    return sa.and_(users.c.account_id == account_id, *has_words(part))


def has_words(part: str) -> list[sa.ColumnElement[bool]]:
    """Match the same users in any account."""
    return [users.c.search_text.contains(word, autoescape=True) for word in read_words(part)] or [sa.false()]


def find_ids_of_people(connection: sa.Connection, account_id: int, part: str, limit: int) -> list[int]:
    """Return the ids of the users that `find_people` finds."""
    return list(connection.execute(sa.select(users.c.id).where(named(account_id, part)).limit(limit)).scalars())


_u = users.c
ORDERS: dict[str, tuple[sa.ColumnElement[Any], ...]] = {
    "name": (sa.func.lower(_u.given_name), sa.func.lower(_u.family_name)),
    "email": (sa.func.lower(_u.email),),
    "employee_id": (sa.func.lower(_u.employee_id),),
    "role": (_u.role,),
    "state": (_u.active,),
}
# Of more matches only the first ones could be sorted in time.
MAX_SORTED = 2000


def find_people(
    connection: sa.Connection, account_id: int, part: str, limit: int, offset: int = 0, *, after: int = 0
) -> Sequence[Row]:
    """Find users by words of their name, e-mail or employee id, in the order of ids; all of them without a part.

    The page with the offset 0 begins with the users whose e-mail or employee id the whole part is.
    """
    whole = _find_exactly(connection, account_id, part) if part and not offset and not after else []
    wanted = named(account_id, part) if part else _u.account_id == account_id
    wanted = sa.and_(wanted, _u.id > after) if after else wanted
    ids = connection.execute(sa.select(_u.id).where(wanted).order_by(_u.id).limit(limit).offset(offset)).scalars()
    return _read_people(connection, [*dict.fromkeys([*whole, *ids])])


def sort_people(
    connection: sa.Connection, account_id: int, part: str, order: str, *, descending: bool
) -> Sequence[Row] | None:
    """Find all of these users in an order of ORDERS; None when more than MAX_SORTED match."""
    wanted = named(account_id, part) if part else _u.account_id == account_id
    ids = list(connection.execute(sa.select(_u.id).where(wanted).limit(MAX_SORTED + 1)).scalars())
    if len(ids) > MAX_SORTED:
        return None
    columns = [column.desc().nulls_last() if descending else column.nulls_last() for column in (*ORDERS[order], _u.id)]
    query = sa.select(*_PERSON).where(in_ids(connection, _u.id, ids)).order_by(*columns)
    return connection.execute(query).all()


_PERSON = (_u.id, _u.given_name, _u.family_name, _u.email, _u.employee_id, _u.role, _u.active)


def _find_exactly(connection: sa.Connection, account_id: int, text: str) -> list[int]:
    for same in (alike([text]), _u.employee_id == text):
        found = connection.execute(sa.select(_u.id).where(_u.account_id == account_id, same)).scalars().all()
        if found:
            return [*found]
    return []


def _read_people(connection: sa.Connection, ids: Sequence[int]) -> Sequence[Row]:
    rows = {row.id: row for row in connection.execute(sa.select(*_PERSON).where(in_ids(connection, _u.id, ids)))}
    return [rows[id_] for id_ in ids]


def find_staff(connection: sa.Connection, account_id: int, limit: int, offset: int = 0) -> Sequence[Row]:
    """List administrators and owners, and whether each has a password or an invitation, and so can sign in."""
    # The predicate of the index.
    staff = sa.and_(users.c.account_id == account_id, users.c.role != sa.literal_column(f"'{Role.LEARNER}'"))
    return connection.execute(_WITH_ACCESS.where(staff).order_by(users.c.id).limit(limit).offset(offset)).all()


_WITH_ACCESS = sa.select(
    *(users.c.id, users.c.given_name, users.c.family_name, users.c.email, users.c.role, users.c.active),
    users.c.password_hash.is_not(None).label("has_password"),
    sa.select(sa.func.max(invitations.c.expires_at))
    .where(invitations.c.user_id == users.c.id)
    .scalar_subquery()
    .label("invited_until"),
    sa.select(second_factors.c.confirmed_at)
    .where(second_factors.c.user_id == users.c.id)
    .scalar_subquery()
    .label("factor_since"),
)


def find_access(connection: sa.Connection, account_id: int, user_id: int) -> Row | None:
    """Read of one user what `find_staff` reads; None when the account has no such user, or it is erased."""
    mine = sa.and_(users.c.account_id == account_id, users.c.id == user_id, users.c.erased_at.is_(None))
    return connection.execute(_WITH_ACCESS.where(mine)).one_or_none()


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
