"""Adds and changes groups, their tags and their courses, and finds the records that a call names."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.tables import accounts, courses, group_courses, group_tags, groups, memberships
from rollbook.store.people.emails import folded, named_user
from rollbook.store.people.group_search import Row, is_named

_FIND_USERS = "SELECT {named_user} AS user_id FROM {rows} AS r ORDER BY block".replace("{named_user}", named_user())

# A flag that is NULL stays as it is, and is off for a course that is new in the group.
_ADD_COURSES = """
    INSERT INTO group_courses (account_id, group_id, course_id, allow_self_enroll, auto_enroll)
    SELECT :account_id, :group_id, CAST(item ->> 'id' AS BIGINT),
           COALESCE(CAST(item ->> 'allow_self_enroll' AS BOOLEAN), false),
           COALESCE(CAST(item ->> 'auto_enroll' AS BOOLEAN), false)
    FROM {rows} AS r
    WHERE true
    ON CONFLICT (group_id, course_id) DO NOTHING
"""
_SET_COURSES = """
    UPDATE group_courses
    SET allow_self_enroll = COALESCE(CAST(item ->> 'allow_self_enroll' AS BOOLEAN), allow_self_enroll),
        auto_enroll = COALESCE(CAST(item ->> 'auto_enroll' AS BOOLEAN), auto_enroll)
    FROM {rows} AS r
    WHERE group_id = :group_id AND course_id = CAST(item ->> 'id' AS BIGINT)
"""


class Tag(NamedTuple):
    """A tag of a group: its number and name in the account, and its values there, separated by commas."""

    tag_id: int
    name: str
    tag_values: str


def lock_groups(connection: sa.Connection, account_id: int) -> None:
    """Lock the groups of the account until the transaction ends, for the checks of names and limits."""
    connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True))


def is_name_taken(connection: sa.Connection, account_id: int, name: str, but: int | None) -> bool:
    """Tell whether an active group other than `but` has the name (D29)."""
    others = sa.select(groups.c.id).where(groups.c.account_id == account_id, groups.c.name == name, groups.c.active)
    return connection.execute(others.where(groups.c.id.is_distinct_from(but)).limit(1)).first() is not None


def is_identifier_taken(connection: sa.Connection, account_id: int, identifier: str, but: int | None) -> bool:
    """Tell whether a group other than `but` has this GroupID, which may be the id of the group (D24)."""
    others = sa.select(groups.c.id).where(groups.c.account_id == account_id, is_named(identifier))
    return connection.execute(others.where(groups.c.id.is_distinct_from(but)).limit(1)).first() is not None


def find_user_ids(connection: sa.Connection, account_id: int, named: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Find users by `email` or `employee_id`, active or not, in their order; None for an unknown one."""
    rows = [
        {"employee_id": each.get("employee_id"), "email": (email := each.get("email")), **folded(email)}
        for each in named
    ]
    given = {"account_id": account_id, "rows": rows}
    return [user_id for (user_id,) in execute(connection, _FIND_USERS, given)]


def find_course_ids(connection: sa.Connection, account_id: int, ids: Collection[int]) -> set[int]:
    """Return the ids that belong to courses of the account, whatever their status."""
    query = sa.select(courses.c.id).where(courses.c.account_id == account_id, courses.c.id.in_(ids))
    return set(connection.execute(query).scalars())


def find_tags(
    connection: sa.Connection, account_id: int, wanted: Sequence[tuple[int | None, str | None, Sequence[str]]]
) -> list[Tag] | int:
    """Find tags by number or name; an unknown name gets the next number.

    Returns the position, from 1, of a tag with an unknown number instead.
    """
    t = group_tags.c
    known = sa.select(t.name, t.tag_id).where(t.account_id == account_id).distinct()
    numbers: dict[str, int] = {row.name: row.tag_id for row in connection.execute(known)}
    names = {number: name for name, number in numbers.items()}
    found: dict[str, Tag] = {}
    for place, (number, name, values) in enumerate(wanted, 1):
        name = names.get(number) if number is not None else name  # noqa: PLW2901
        if name is None:
            return place
        number = numbers.setdefault(name, max(numbers.values(), default=0) + 1)  # noqa: PLW2901
        found[name] = Tag(number, name, ",".join(values))
    return [*found.values()]


def add_group(connection: sa.Connection, account_id: int, columns: Mapping[str, Any], now: datetime) -> int:
    """Add a group and return its id."""
    added = sa.insert(groups).values(account_id=account_id, created_at=now, modified_at=now, **_written(columns))
    number: int = connection.execute(added.returning(groups.c.id)).scalar_one()
    return number


def change_group(connection: sa.Connection, group_id: int, columns: Mapping[str, Any], now: datetime) -> None:
    """Change columns of a group and the time of its last change."""
    connection.execute(sa.update(groups).where(groups.c.id == group_id).values(modified_at=now, **_written(columns)))


def set_tags(connection: sa.Connection, account_id: int, group_id: int, tags: Sequence[Tag]) -> None:
    """Replace the tags of a group."""
    connection.execute(sa.delete(group_tags).where(group_tags.c.group_id == group_id))
    if tags:
        row = {"account_id": account_id, "group_id": group_id}
        connection.execute(sa.insert(group_tags), [row | tag._asdict() for tag in tags])


def set_courses(
    connection: sa.Connection, account_id: int, group_id: int, wanted: Mapping[int, Mapping[str, bool | None]]
) -> None:
    """Add courses to a group, or change the flags of those that it has."""
    rows = [{"id": id_, **flags} for id_, flags in wanted.items()]
    given = {"account_id": account_id, "group_id": group_id, "rows": rows}
    for sql in (_ADD_COURSES, _SET_COURSES):
        execute(connection, sql, given)


def remove_courses(connection: sa.Connection, group_id: int, ids: Collection[int]) -> None:
    """Remove courses from a group; the enrollments stay."""
    gone = sa.delete(group_courses).where(group_courses.c.group_id == group_id, group_courses.c.course_id.in_(ids))
    connection.execute(gone)


def is_overfull(connection: sa.Connection, group_id: int) -> bool:
    """Tell whether a group has more members than its limit; others who join it wait until this transaction ends."""
    limit = sa.select(groups.c.user_limit).where(groups.c.id == group_id).with_for_update(key_share=True)
    most: int | None = connection.execute(limit).scalar_one()
    # A statement of its own, so that it sees the members of a transaction that has ended meanwhile.
    members = sa.select(sa.func.count()).select_from(memberships).where(memberships.c.group_id == group_id)
    return most is not None and connection.execute(members).scalar_one() > most


def read_columns(group: Row) -> dict[str, Any]:
    """Return the columns of a group in the form of `change_group`."""
    lists = {"notification_emails": json.loads(group.notification_emails or "[]")}
    return group._asdict() | lists | {"details": json.loads(group.details or "{}")}


def _written(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _write(value) if isinstance(value, list | dict) else value for name, value in columns.items()}


def _write(value: list[Any] | dict[str, Any]) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None
