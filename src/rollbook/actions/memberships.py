"""Puts users into groups, enrolls them in the auto-enroll courses there, and writes the audit line of that."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.actions.undo import MAX_NAMED
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection


def join_groups(
    connection: "Connection",
    by: Actor,
    account_id: int,
    wanted: "Sequence[store.memberships.Membership]",
    now: datetime,
) -> set[tuple[int, int]]:
    """Put users into groups, or change the permissions of members; return (group, user) of those who are new there.

    New members are enrolled in the auto-enroll courses of the group, unless they were in a course before (D31).
    """
    joined = store.memberships.join_groups(connection, account_id, wanted)
    ids = store.auto_enroll.enroll_joined(connection, account_id, joined, now) if joined else []
    if ids:
        named = {"enrollments": ids} if len(ids) <= MAX_NAMED else {}
        details = {"auto_enrolled": len(ids), **named}
        store.audit.record_change(connection, account_id, by, Change(Action.ENROLL, details=details))
    return joined
