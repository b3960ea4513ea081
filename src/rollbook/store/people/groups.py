"""Groups and the permissions of users in them. What a permission allows is decided in methods/.

Every change goes into the audit here, in the name of `by`.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, suggest
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import groups, memberships
from rollbook.store.operations.audit import compare, record_change
from rollbook.store.people.fields import check_text
from rollbook.store.people.users import MAX_SUGGESTIONS_READ, find_user

# A permission that is NULL stays as it is.
_GRANT = """
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    VALUES (:account_id, :group_id, :user_id, COALESCE(:group_manager, false), COALESCE(:manage_group_users, false))
    ON CONFLICT (group_id, user_id) DO UPDATE
    SET group_manager = COALESCE(:group_manager, memberships.group_manager),
        manage_group_users = COALESCE(:manage_group_users, memberships.manage_group_users)
"""


def grant_permissions(
    connection: sa.Connection,
    account: Account,
    email: str,
    group: str,
    permissions: Mapping[str, bool | None],
    *,
    by: Actor,
) -> set[tuple[int, int]]:
    """Grant or revoke permissions of a user in an active group; None leaves one as it is.

    The user becomes a member of the group; returns (group, user) of a new one. Errors: UserError, also when several
    groups have the name.
    """
    user, name = find_user(connection, account, email), check_text("group name", group)
    named = sa.select(groups.c.id).where(groups.c.account_id == account.id, groups.c.name == name, groups.c.active)
    ids = connection.execute(named).scalars().all()
    if len(ids) != 1:
        count = f"{len(ids)} active groups" if ids else "no active group"
        active = sa.select(groups.c.name).where(groups.c.account_id == account.id, groups.c.active)
        near = "" if ids else suggest(name, connection.execute(active.limit(MAX_SUGGESTIONS_READ)).scalars())
        raise UserError(f"The account {account.name!r} has {count} {name!r}; the name has to be that of one.{near}")
    membership = {"account_id": account.id, "group_id": ids[0], "user_id": user.id}
    held = sa.select(memberships.c.group_manager, memberships.c.manage_group_users)
    held = held.where(*(memberships.c[name] == number for name, number in membership.items()))
    before = connection.execute(held).one_or_none()
    execute(connection, _GRANT, {**membership, **permissions})
    given = {permission: has for permission, has in permissions.items() if has is not None}
    if details := compare(before._asdict() if before else {}, given):
        record_change(connection, account.id, by, Change(Action.GRANT, user.email, {"group": name, **details}))
    return set() if before else {(ids[0], user.id)}
