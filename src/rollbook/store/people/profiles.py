"""Profiles of users, found by id, e-mail or employee id."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import groups, memberships, user_teams, users
from rollbook.store.people.emails import find_by_email

Row = sa.Row[*tuple[Any, ...]]

# Without a home group the first group of the user counts as it.
_HOME_FIRST = (memberships.c.is_home.desc(), memberships.c.group_id)
HOME_GROUP = (
    sa.select(groups.c.name)
    .join(memberships, memberships.c.group_id == groups.c.id)
    .where(memberships.c.user_id == users.c.id)
    .order_by(*_HOME_FIRST)
    .limit(1)
    .scalar_subquery()
    .label("home_group")
)


def find_profile(
    connection: sa.Connection,
    account_id: int,
    *,
    user_id: int | None = None,
    email: str | None = None,
    employee_id: str | None = None,
) -> Row | None:
    """Read the named user, with the name of the home group."""
    query, account = sa.select(users, HOME_GROUP), users.c.account_id
    if email is not None:
        return find_by_email(connection, query.where(account == account_id), email)
    if user_id is not None:
        chosen = query.where(unindexed(account) == account_id, users.c.id == user_id)
    else:
        chosen = query.where(account == account_id, users.c.employee_id == employee_id)
    return connection.execute(chosen).one_or_none()


def read_profile(user: Row) -> dict[str, Any]:
    """Return the elements that are stored unchanged, by name."""
    kept: dict[str, Any] = json.loads(user.profile or "{}")
    return kept


def list_teams(connection: sa.Connection, user_ids: Collection[int]) -> dict[int, list[str]]:
    """List the teams of each user by name."""
    query = sa.select(user_teams.c.user_id, user_teams.c.name).where(user_teams.c.user_id.in_(user_ids))
    teams: dict[int, list[str]] = {}
    # Sorted here, because databases sort text differently.
    for user_id, name in sorted(map(tuple, connection.execute(query))):
        teams.setdefault(user_id, []).append(name)
    return teams


def list_memberships(connection: sa.Connection, user_id: int) -> list[Row]:
    """Read the memberships of a user with their groups, the home group first."""
    query = sa.select(memberships, groups.c.name, groups.c.identifier)
    query = query.join(groups, groups.c.id == memberships.c.group_id).where(memberships.c.user_id == user_id)
    return list(connection.execute(query.order_by(*_HOME_FIRST)))
