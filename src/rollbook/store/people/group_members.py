"""Reads the groups of an account by number: their members, their courses, and how many of both they have."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import courses, group_courses, groups, memberships, users
from rollbook.store.people.group_search import GROUP_ID, Row
from rollbook.store.people.search import has_words

_COUNT = """
    SELECT group_id, COUNT(*), 0 FROM memberships WHERE group_id {in_ids} GROUP BY group_id
    UNION ALL SELECT group_id, 0, COUNT(*) FROM group_courses WHERE group_id {in_ids} GROUP BY group_id
"""
ORDERS: dict[str, tuple[sa.ColumnElement[Any], ...]] = {
    "added": (memberships.c.user_id,),  # the order of the index, which costs nothing
    "name": (sa.func.lower(users.c.given_name), sa.func.lower(users.c.family_name)),
    "email": (sa.func.lower(users.c.email),),
    "employee_id": (sa.func.lower(users.c.employee_id),),
    "state": (users.c.active,),
}


def read_group(connection: sa.Connection, account_id: int, number: int) -> Row | None:
    """Read a group of the account with its GroupID, as `find_group` does."""
    mine = sa.and_(groups.c.id == number, unindexed(groups.c.account_id) == account_id)
    return connection.execute(sa.select(groups, GROUP_ID.label("group_id")).where(mine)).one_or_none()


def count_of_groups(connection: sa.Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Count the members and the courses of groups of one account."""
    counts = dict.fromkeys(ids, (0, 0))
    for id_, members, modules in execute(connection, _COUNT, {"ids": ids}):
        counts[id_] = (counts[id_][0] + members, counts[id_][1] + modules)
    return counts


def find_members(
    connection: sa.Connection,
    account_id: int,
    group_id: int,
    part: str,
    limit: int,
    offset: int = 0,
    *,
    order: str = "added",
    descending: bool = False,
) -> Sequence[Row]:
    """Find the members of a group, or those with every word of the part, in an order of ORDERS."""
    columns = (users.c.id, users.c.given_name, users.c.family_name, users.c.email, users.c.employee_id)
    query = sa.select(*columns, users.c.active, memberships.c.is_home).join(users, users.c.id == memberships.c.user_id)
    mine = (memberships.c.group_id == group_id, unindexed(memberships.c.account_id) == account_id)
    ordered = [column.desc().nulls_last() if descending else column.nulls_last() for column in ORDERS[order]]
    query = query.where(*mine, *(has_words(part) if part else ())).order_by(*ordered, memberships.c.user_id)
    return connection.execute(query.limit(limit).offset(offset)).all()


def find_group_courses(
    connection: sa.Connection, account_id: int, group_id: int, limit: int, offset: int = 0
) -> Sequence[Row]:
    """Read the courses of a group by name, with the flags of each in the group."""
    c, g = courses.c, group_courses.c
    query = sa.select(c.id, c.name, c.term, c.status, g.auto_enroll, g.allow_self_enroll).join(
        courses, c.id == g.course_id
    )
    query = query.where(g.group_id == group_id, unindexed(g.account_id) == account_id)
    return connection.execute(query.order_by(c.name, c.id).limit(limit).offset(offset)).all()
