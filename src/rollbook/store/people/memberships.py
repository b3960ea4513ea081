"""Memberships: users join and leave groups, with permissions and a home group."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rollbook.model import Permission
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import groups, memberships

# In the order of group and user, so that concurrent calls cannot deadlock.
_JOIN = """
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    SELECT :account_id, CAST(item ->> 'group_id' AS BIGINT), CAST(item ->> 'user_id' AS BIGINT), false, false
    FROM {rows} AS r
    WHERE true
    ORDER BY 2, 3
    ON CONFLICT (group_id, user_id) DO NOTHING
    RETURNING group_id, user_id
"""
_LEAVE_HOME = """
    UPDATE memberships SET is_home = false FROM {rows} AS r
    WHERE is_home AND user_id = CAST(item ->> 'user_id' AS BIGINT) AND CAST(item ->> 'is_home' AS BOOLEAN)
"""
# A NULL stays as it is.
_SET = """
    UPDATE memberships
    SET group_manager = COALESCE(CAST(item ->> 'group_manager' AS BOOLEAN), group_manager),
        create_course = COALESCE(CAST(item ->> 'create_course' AS BOOLEAN), create_course),
        manage_group_courses = COALESCE(CAST(item ->> 'manage_group_courses' AS BOOLEAN), manage_group_courses),
        manage_users = COALESCE(CAST(item ->> 'manage_users' AS BOOLEAN), manage_users),
        manage_group_users = COALESCE(CAST(item ->> 'manage_group_users' AS BOOLEAN), manage_group_users),
        view_learner_results = COALESCE(CAST(item ->> 'view_learner_results' AS BOOLEAN), view_learner_results),
        proctor = COALESCE(CAST(item ->> 'proctor' AS BOOLEAN), proctor),
        marker = COALESCE(CAST(item ->> 'marker' AS BOOLEAN), marker),
        instructor = COALESCE(CAST(item ->> 'instructor' AS BOOLEAN), instructor),
        is_home = COALESCE(CAST(item ->> 'is_home' AS BOOLEAN), is_home)
    FROM {rows} AS r
    WHERE group_id = CAST(item ->> 'group_id' AS BIGINT) AND user_id = CAST(item ->> 'user_id' AS BIGINT)
"""


@dataclass(frozen=True)
class Membership:
    """A user in a group: permissions to be granted or revoked, and whether it is the home group.

    Other permissions stay as they are, and so does the home group when `is_home` is None.
    """

    group_id: int
    user_id: int
    permissions: Mapping[Permission, bool] = field(default_factory=dict)
    is_home: bool | None = None

    def row(self) -> dict[str, object]:
        """Return the columns to be written."""
        given = {permission.column: has for permission, has in self.permissions.items()}
        return {"group_id": self.group_id, "user_id": self.user_id, "is_home": self.is_home, **given}


def join_groups(connection: sa.Connection, account_id: int, wanted: Sequence[Membership]) -> set[tuple[int, int]]:
    """Add users to groups, or change the permissions of members; return (group, user) of new members.

    A later entry for the same user and group adds to the first. Groups and users must belong to the account.
    """
    rows: dict[tuple[int, int], dict[str, object]] = {}
    for each in wanted:
        key = (each.group_id, each.user_id)
        rows[key] = rows.get(key, {}) | {name: value for name, value in each.row().items() if value is not None}
    if not rows:
        return set()
    given = {"account_id": account_id, "rows": [*rows.values()]}
    joined = {*execute(connection, _JOIN, given)}
    if any(row.get("is_home") for row in rows.values()):
        execute(connection, _LEAVE_HOME, given)
    execute(connection, _SET, given)
    return joined


def list_permissions(connection: sa.Connection, user_id: int) -> dict[str, list[str]]:
    """List the permissions of a user by the names of the groups, with `home` in the home group."""
    query = sa.select(memberships, groups.c.name).join(groups, groups.c.id == memberships.c.group_id)
    rows = connection.execute(query.where(memberships.c.user_id == user_id).order_by(memberships.c.group_id))
    return {
        row.name: [str(each) for each in Permission if row._mapping[each.column]] + ["home"] * row.is_home
        for row in rows
    }


def leave_groups(
    connection: sa.Connection, account_id: int, user_ids: Collection[int], group_ids: Collection[int]
) -> int:
    """Remove users from groups and return how many memberships end; the enrollments stay."""
    ended = sa.delete(memberships).where(
        memberships.c.account_id == account_id,
        memberships.c.group_id.in_(group_ids),
        memberships.c.user_id.in_(user_ids),
    )
    return connection.execute(ended).rowcount
