"""Adds and changes learners with their groups, and writes the audit line: about a number, not about a person.

Only a change of the e-mail is told from what to what; erasing the user finds it there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.actions.memberships import join_groups
from rollbook.model import Action, Actor, Change, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbook.store.people.profiles import Row


def create_user(
    connection: "Connection",
    by: Actor,
    account_id: int,
    columns: Mapping[str, Any],
    kept: Mapping[str, Any],
    teams: Collection[str],
    groups: "Sequence[tuple[str, store.memberships.Membership]]",
    now: datetime,
) -> int:
    """Add a learner who is in these groups, each given with its name; give the number."""
    user_id = store.learners.add_learner(connection, account_id, columns, kept, teams, now)
    join_groups(connection, by, account_id, [replace(each, user_id=user_id) for _, each in groups], now)
    details = {"role": Role.LEARNER.value, "groups": [name for name, _ in groups]}
    store.audit.record_change(connection, account_id, by, Change(Action.ADD_USER, f"user {user_id}", details))
    return user_id


def update_user(
    connection: "Connection",
    by: Actor,
    account_id: int,
    user: "Row",
    columns: Mapping[str, Any],
    kept: Mapping[str, Any],
    teams: Collection[str] | None,
    *,
    left: Collection[int],
    joined: "Sequence[store.memberships.Membership]",
    now: datetime,
) -> set[int]:
    """Change what is named of a learner, end the memberships of the groups that are left, then begin or change others.

    Return the groups in which the learner is new. The audit names the values that changed, and from what to what the
    permissions in each group.
    """
    user_id = user.id
    changed = store.learners.change_learner(connection, account_id, user_id, columns, kept, teams, now)
    before = store.memberships.list_permissions(connection, user_id)
    store.memberships.leave_groups(connection, account_id, [user_id], left)
    new = join_groups(connection, by, account_id, joined, now)
    after = store.memberships.list_permissions(connection, user_id)
    groups = store.audit.compare(before, {name: after.get(name) for name in {**before, **after}})
    if groups and not changed:
        store.learners.touch(connection, user_id, now)
    if changed or groups:
        email = store.audit.compare({"email": user.email}, {"email": columns.get("email", user.email)})
        details = {"values": changed, **email, "groups": groups}
        store.audit.record_change(connection, account_id, by, Change(Action.UPDATE_USER, f"user {user_id}", details))
    return {group_id for group_id, _ in new}
