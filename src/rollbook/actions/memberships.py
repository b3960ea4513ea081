"""Adds users to groups and enrolls them in the auto-enroll courses; an audit line records the enrollments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.actions.undo import MAX_NAMED
from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection


def join_groups(
    connection: "Connection",
    by: Actor,
    account_id: int,
    wanted: "Sequence[store.memberships.Membership]",
    now: datetime,
) -> set[tuple[int, int]]:
    """Add users to groups or change the permissions of members; return (group, user) of the new members.

    New members are enrolled in the auto-enroll courses of the group, except in courses that they were in before (D31).
    """
    joined = store.memberships.join_groups(connection, account_id, wanted)
    if joined:
        record_auto_enrolled(
            connection, by, account_id, store.auto_enroll.enroll_joined(connection, account_id, joined, now)
        )
    return joined


def grant_permissions(
    connection: "Connection",
    by: Actor,
    account: Account,
    email: str,
    group: str,
    permissions: Mapping[str, bool | None],
) -> None:
    """Grant or revoke permissions of a user in a group and make the user a member; errors: UserError."""
    joined = store.groups.grant_permissions(connection, account, email, group, permissions, by=by)
    if joined:
        if any(store.group_changes.is_overfull(connection, group_id) for group_id, _ in joined):
            raise UserError(f"The group {group!r} has as many members as its limit allows.")
        ids = store.auto_enroll.enroll_joined(connection, account.id, joined, utc_now())
        record_auto_enrolled(connection, by, account.id, ids)


def record_auto_enrolled(connection: "Connection", by: Actor, account_id: int, ids: Collection[int]) -> None:
    """Write the audit line of enrollments by AutoEnroll, if there are any."""
    if ids:
        named = {"enrollments": [*ids]} if len(ids) <= MAX_NAMED else {}
        details = {"auto_enrolled": len(ids), **named}
        store.audit.record_change(connection, account_id, by, Change(Action.ENROLL, details=details))
