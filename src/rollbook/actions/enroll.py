"""Enrolls learners, and writes the audit line."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.actions.undo import MAX_NAMED
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection


def enroll(
    connection: "Connection",
    by: Actor,
    account_id: int,
    complete: "Sequence[tuple[store.enroll.Asked, store.enroll.Found]]",
    *,
    refused: int,
    now: datetime,
) -> "store.enroll.Added":
    """Enroll, and return the ids of the new enrollments; the audit counts `refused` items.

    A learner with an enrollment in the course that is neither ended nor completed gets no second open one.
    """
    added = store.enroll.add_enrollments(connection, account_id, complete, now)
    if ids := sorted(chain.from_iterable(added.values())):
        named = {"enrollments": ids} if len(ids) <= MAX_NAMED else {"enrolled": len(ids)}
        details = {**named, "refused": refused + len(complete) - len(ids)}
        store.audit.record_change(connection, account_id, by, Change(Action.ENROLL, details=details))
    return added
