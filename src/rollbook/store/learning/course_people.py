"""Finds the people of a course by filters and orders.

The index of a course's current enrollments finds them all; only a page of them is read whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import enrollments, groups, users
from rollbook.store.people.search import has_words
from rollbook.store.queue.plan import find_planned

_e = enrollments.c
ORDERS: dict[str, tuple[sa.ColumnElement[Any], ...]] = {
    "added": (_e.user_id,),  # the order of the index, which costs nothing
    "name": (sa.func.lower(users.c.given_name), sa.func.lower(users.c.family_name)),
    "email": (sa.func.lower(users.c.email),),
    "group": (groups.c.name,),
    "status": (_e.status,),
    "enrolled": (_e.enrolled_at,),
}


@dataclass(frozen=True)
class CoursePeople:
    """Filters of a course's current enrollments, which are all applied; None or an empty one filters nothing."""

    course_id: int
    part: str = ""
    statuses: Sequence[str] = ()
    group_ids: Sequence[int] | None = None
    enrolled_from: datetime | None = None
    enrolled_before: datetime | None = None

    def conditions(self, account_id: int) -> list[sa.ColumnElement[bool]]:
        """Return the conditions; those of the part are about `users`."""
        found = [_e.course_id == self.course_id, unindexed(_e.account_id) == account_id, _e.unenrolled_at.is_(None)]
        if self.part:
            found += has_words(self.part)
        if self.statuses:
            found.append(_e.status.in_(self.statuses))
        if self.group_ids is not None:
            found.append(_e.group_id.in_(self.group_ids))
        if self.enrolled_from is not None:
            found.append(_e.enrolled_at >= self.enrolled_from)
        if self.enrolled_before is not None:
            found.append(_e.enrolled_at < self.enrolled_before)
        return found


def find_enrollment_ids(
    connection: sa.Connection,
    account_id: int,
    chosen: CoursePeople,
    limit: int,
    offset: int = 0,
    *,
    order: str = "added",
    descending: bool = False,
) -> list[int]:
    """Return the ids of the matching enrollments in an order of ORDERS."""
    joined: sa.FromClause = enrollments
    if chosen.part or order in ("name", "email"):
        joined = joined.join(users, users.c.id == _e.user_id)
    if order == "group":
        joined = joined.join(groups, groups.c.id == _e.group_id)
    columns = [column.desc().nulls_last() if descending else column.nulls_last() for column in ORDERS[order]]
    query = sa.select(_e.id).select_from(joined).where(*chosen.conditions(account_id)).order_by(*columns, _e.id)
    return list(connection.execute(query.limit(limit).offset(offset)).scalars())


def read_people(connection: sa.Connection, account_id: int, ids: Sequence[int]) -> list[sa.Row[*tuple[Any, ...]]]:
    """Read enrollments with their learners and groups, in the order of the ids."""
    rows = {row.id: row for row in find_planned(connection, account_id, ids)} if ids else {}
    return [rows[id_] for id_ in ids if id_ in rows]
