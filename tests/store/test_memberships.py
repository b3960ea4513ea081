"""Users join groups, keep what is not named, and have one home group at most."""

import sqlalchemy as sa

from campus import Campus
from rollbook.model import Permission
from rollbook.store.database.database import Database
from rollbook.store.database.tables import groups, memberships
from rollbook.store.people.memberships import Membership, join_groups, leave_groups


def test_user_joins_groups_and_keeps_what_is_not_named(database: Database) -> None:
    campus = Campus(database)
    north, south = campus.group_id, campus.add(groups, name="South", active=True)
    user = campus.user_id("learner@example.org")
    with database.write() as connection:
        wanted = [
            Membership(north, user, {Permission.MANAGE_GROUP: True, Permission.MARKER: True}, is_home=True),
            Membership(south, user),
        ]
        assert join_groups(connection, campus.account.id, wanted) == {(north, user), (south, user)}
    with database.write() as connection:
        again = [
            Membership(north, user, {Permission.MARKER: False}),
            Membership(south, user, {Permission.PROCTOR: True}),
            Membership(south, user, is_home=True),
        ]
        assert join_groups(connection, campus.account.id, again) == set()
        assert join_groups(connection, campus.account.id, []) == set()
    assert _held(campus, user) == {north: {"group_manager"}, south: {"proctor", "is_home"}}
    with database.write() as connection:
        assert leave_groups(connection, campus.account.id, [user], [south, south + 1]) == 1
    assert _held(campus, user) == {north: {"group_manager"}}


def _held(campus: Campus, user: int) -> dict[int, set[str]]:
    flags = {*(each.column for each in Permission), "is_home"}
    with campus.database.read() as connection:
        rows = connection.execute(sa.select(memberships).where(memberships.c.user_id == user)).mappings().all()
    return {row["group_id"]: {name for name in flags if row[name]} for row in rows}
