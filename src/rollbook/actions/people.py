"""Adds and changes learners with their groups, and writes the audit line: by number, without personal data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.actions.memberships import join_groups
from rollbook.model import Action, Actor, Change, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection


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
