"""Finds for users the group through which each can be enrolled in a course, or what keeps them from it."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from rollbook.store.database.execute import execute

STEP = 1000

# The home group first, then the first one that the learner has joined (D30: a course in groups only through these).
_FIND = """
    SELECT l.id, u.id IS NOT NULL, u.given_name, u.family_name, u.email, u.active,
           EXISTS (SELECT 1 FROM enrollments AS e WHERE e.user_id = u.id AND e.course_id = :course_id AND e.{{open}}),
           (SELECT m.group_id FROM memberships AS m JOIN groups AS g ON g.id = m.group_id
            WHERE m.user_id = u.id AND g.active {only}
              AND (NOT EXISTS (SELECT 1 FROM group_courses AS c WHERE c.course_id = :course_id)
                   OR EXISTS (SELECT 1 FROM group_courses AS c
                              WHERE c.course_id = :course_id AND c.group_id = m.group_id))
            ORDER BY m.is_home DESC, m.group_id LIMIT 1)
    FROM {{ids}} AS l LEFT JOIN users AS u ON u.id = l.id AND u.{{unindexed_account_id}} = :account_id
    ORDER BY l.block
"""
_ANY = _FIND.format(only="")
_ONE = _FIND.format(only="AND m.group_id = :group_id")


class Place(NamedTuple):
    """A user, and the group of the enrollment; None when no group of the user has the course."""

    user_id: int
    is_user: bool
    given_name: str
    family_name: str
    learner_email: str | None
    active: bool
    is_enrolled: bool
    group_id: int | None

    @property
    def is_free(self) -> bool:
        """Whether the user can be enrolled."""
        return bool(self.is_user and self.active and not self.is_enrolled and self.group_id is not None)


def find_places(
    connection: sa.Connection, account_id: int, course_id: int, group_id: int | None, user_ids: Sequence[int]
) -> list[Place]:
    """Find the places of users in a course of the account, in their order; with a group only in that one."""
    given = {"account_id": account_id, "course_id": course_id, "group_id": group_id}
    sql, found = _ANY if group_id is None else _ONE, []
    for first in range(0, len(user_ids), STEP):
        found += execute(connection, sql, given | {"ids": user_ids[first : first + STEP]})
    return [Place(*row) for row in found]
