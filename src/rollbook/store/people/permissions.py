"""Permissions of learners in groups (protocol-neighbours §9), which are columns of a membership."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from rollbook.model import Caller, Permission
from rollbook.store.database.tables import memberships

COLUMNS = {permission: memberships.c[permission.column] for permission in Permission}


def holds(permissions: Collection[Permission]) -> sa.ColumnElement[bool]:
    """Match memberships with one of the permissions."""
    return sa.or_(*(COLUMNS[permission] for permission in permissions))


def managed_groups(connection: sa.Connection, caller: Caller, permissions: Collection[Permission]) -> Sequence[int]:
    """List the groups in which the caller has one of the permissions."""
    query = sa.select(memberships.c.group_id).where(memberships.c.user_id == caller.user_id, holds(permissions))
    return connection.execute(query).scalars().all()


def holds_anywhere(connection: sa.Connection, caller: Caller, permissions: Collection[Permission]) -> bool:
    """Tell whether the caller has one of the permissions in any group."""
    query = sa.select(memberships.c.group_id).where(memberships.c.user_id == caller.user_id, holds(permissions))
    return connection.execute(query.limit(1)).first() is not None


def reaches_user(connection: sa.Connection, caller: Caller, user_id: int, permissions: Collection[Permission]) -> bool:
    """Tell whether a user is in a group in which the caller has one of the permissions, or the caller administers."""
    if caller.administers:
        return True
    return (
        connection.execute(reachable_users(caller, permissions).where(_THEIRS.c.user_id == user_id)).first() is not None
    )


def find_reachable(
    connection: sa.Connection, caller: Caller, user_ids: Collection[int], permissions: Collection[Permission]
) -> set[int]:
    """Return the users who are in a group in which the caller has one of the permissions."""
    query = reachable_users(caller, permissions).where(_THEIRS.c.user_id.in_(user_ids))
    return set(connection.execute(query).scalars())


def find_permissions(connection: sa.Connection, caller: Caller, group_id: int) -> set[Permission]:
    """Return the permissions of the caller in a group."""
    mine = sa.and_(memberships.c.group_id == group_id, memberships.c.user_id == caller.user_id)
    row = connection.execute(sa.select(*COLUMNS.values()).where(mine)).one_or_none()
    return {permission for permission, has in zip(COLUMNS, row or (), strict=False) if has}


def reachable_users(caller: Caller, permissions: Collection[Permission]) -> sa.Select[int]:
    """Select the ids of the users who are in a group in which the caller has one of the permissions (D26)."""
    mine = sa.select(memberships.c.group_id).where(memberships.c.user_id == caller.user_id, holds(permissions))
    return sa.select(_THEIRS.c.user_id).where(_THEIRS.c.group_id.in_(mine))


_THEIRS = memberships.alias("theirs")
