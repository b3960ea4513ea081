"""Finds groups by name, GroupID and tags, and reads their data and courses."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import in_ids
from rollbook.store.database.tables import courses, group_courses, group_tags, groups, memberships, sessions

Row = sa.Row[*tuple[Any, ...]]

# GroupID on the wire: the account's own text, or else the id of the group (D24).
GROUP_ID = sa.func.coalesce(groups.c.identifier, sa.cast(groups.c.id, sa.Text))


@dataclass(frozen=True)
class TagFilter:
    """A filter of groups by a tag, named by number or name, with one of the values if there are any."""

    tag_id: int | None = None
    name: str | None = None
    values: Sequence[str] = ()


def find_tagged(connection: sa.Connection, account_id: int, tags: Sequence[TagFilter]) -> set[int]:
    """Find the groups that have every tag; matched here, because databases take seconds to plan 100 conditions."""
    t = group_tags.c
    by_id, by_name = [tag.tag_id for tag in tags], [tag.name for tag in tags]
    query = sa.select(t.group_id, t.name, t.tag_id, t.tag_values)
    query = query.where(t.account_id == account_id, sa.or_(t.name.in_(by_name), t.tag_id.in_(by_id)))
    groups_with: dict[str | int, dict[int, set[str]]] = {}
    for row in connection.execute(query):
        for key in (row.name, row.tag_id):
            groups_with.setdefault(key, {})[row.group_id] = {*row.tag_values.split(",")}
    found = []
    for tag in tags:
        held = groups_with.get(tag.name or "" if tag.tag_id is None else tag.tag_id, {})
        found.append({id_ for id_, values in held.items() if not tag.values or values.intersection(tag.values)})
    return set.intersection(*found)


def is_named(group_id: str) -> sa.ColumnElement[bool]:
    """Match the group with this GroupID."""
    number = int(group_id) if re.fullmatch("[1-9][0-9]{0,17}", group_id) else 0
    return sa.or_(groups.c.identifier == group_id, sa.and_(groups.c.identifier.is_(None), groups.c.id == number))


def find_group(
    connection: sa.Connection, account_id: int, *, name: str | None = None, group_id: str | None = None
) -> Row | None:
    """Read a group by GroupID or exact name; of several the oldest active one, or else the oldest.

    A group with this text as its GroupID precedes a group with this number as its id (D24).
    """
    g = groups.c
    if group_id is None:
        named, first = g.name == name, g.active.desc()
    else:
        named, first = is_named(group_id), g.identifier.is_(None).asc()
    query = sa.select(groups, GROUP_ID.label("group_id")).where(g.account_id == account_id, named)
    return connection.execute(query.order_by(first, g.id).limit(1)).one_or_none()


def is_ambiguous(
    connection: sa.Connection, group: Row, *, name: str | None = None, group_id: str | None = None
) -> bool:
    """Tell whether the name or GroupID by which a group was found means another group as well."""
    g = groups.c
    same = is_named(group_id) if group_id is not None else sa.and_(g.name == name, g.active == group.active)
    others = sa.select(g.id).where(g.account_id == group.account_id, same, g.id != group.id)
    return connection.execute(others.limit(1)).first() is not None


def describe_group(connection: sa.Connection, group: Row) -> dict[str, Any]:
    """Add notification e-mails, tags, and the numbers of members and courses to the row of a group."""
    members = sa.select(sa.func.count()).where(memberships.c.group_id == group.id).scalar_subquery()
    modules = sa.select(sa.func.count()).where(group_courses.c.group_id == group.id).scalar_subquery()
    user_count, course_count = connection.execute(sa.select(members, modules)).one()
    tags = sa.select(group_tags.c.tag_id, group_tags.c.name, group_tags.c.tag_values)
    tags = tags.where(group_tags.c.group_id == group.id).order_by(group_tags.c.tag_id)
    return group._asdict() | {
        "notification_emails": json.loads(group.notification_emails or "[]"),
        "user_count": user_count,
        "course_count": course_count,
        "tags": [row._asdict() for row in connection.execute(tags)],
    }


def list_groups(
    connection: sa.Connection,
    account_id: int,
    *,
    matches: Callable[[str], bool] | None = None,
    active: bool | None = None,
    tags: Sequence[TagFilter] = (),
) -> list[dict[str, Any]]:
    """List the groups whose names match and that have every tag, oldest first."""
    g = groups.c
    query = sa.select(g.id, g.name, GROUP_ID.label("group_id"), g.description, g.active, g.created_at)
    query = query.where(g.account_id == account_id).order_by(g.id)
    if tags:
        query = query.where(in_ids(connection, g.id, find_tagged(connection, account_id, tags)))
    if active is not None:
        query = query.where(g.active == active)
    rows = connection.execute(query)
    # Matched here, because SQLite compares only ASCII letters case-insensitively.
    return [row._asdict() for row in rows if matches is None or matches(row.name)]


def list_group_courses(connection: sa.Connection, group: Row) -> list[dict[str, Any]]:
    """List the courses of a group by id, and whether they have sessions."""
    c = courses.c
    has_sessions = sa.exists().where(sessions.c.course_id == c.id).label("has_sessions")
    query = sa.select(c.id, c.name, c.status, has_sessions)
    query = query.join(group_courses, group_courses.c.course_id == c.id).where(group_courses.c.group_id == group.id)
    return [row._asdict() for row in connection.execute(query.order_by(c.id))]
