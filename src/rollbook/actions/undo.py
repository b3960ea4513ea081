"""Undoes unenrollments: removes pending items from the queue, restores processed ones, and writes the audit line."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The largest number of enrollments that an audit line lists; each item also names the user who undid it.
MAX_NAMED = 1000


def undo_batch(
    connection: "Connection",
    by: Actor,
    account_id: int,
    action: Action,
    batch_id: int,
    *,
    blocks: Collection[int] = (),
    reason: str | None,
    now: datetime,
) -> "tuple[list[store.undo.Target], store.undo.Undoing] | None":
    """Remove or restore a whole batch, or these blocks of it; None when the account has no such batch."""
    undo = _begin(connection, by, account_id, reason, now)
    targets = undo.find_batch(batch_id)
    if targets is None:
        return None
    chosen = [target for target in targets if target.block in blocks] if blocks else targets
    return chosen, _apply(connection, by, account_id, action, undo, chosen, f"batch {batch_id}", named=bool(blocks))


def undo_enrollments(
    connection: "Connection",
    by: Actor,
    account_id: int,
    action: Action,
    ids: Sequence[int | None],
    *,
    unreadable: int = 0,
    reason: str | None,
    now: datetime,
) -> "store.undo.Undoing":
    """Remove or restore the items of enrollments; an id's place in the list, from 1, is its block.

    `unreadable` items, which are None, count as refused in the audit.
    """
    undo = _begin(connection, by, account_id, reason, now)
    targets = undo.find_enrollments(ids)
    return _apply(connection, by, account_id, action, undo, targets, None, named=True, unreadable=unreadable)


def _begin(
    connection: "Connection", by: Actor, account_id: int, reason: str | None, now: datetime
) -> "store.undo.Undo":
    return store.undo.Undo(connection, account_id=account_id, user_id=by.user_id, reason=reason, now=now)


def _apply(
    connection: "Connection",
    by: Actor,
    account_id: int,
    action: Action,
    undo: "store.undo.Undo",
    targets: "Sequence[store.undo.Target]",
    subject: str | None,
    *,
    named: bool,
    unreadable: int = 0,
) -> "store.undo.Undoing":
    done = undo.remove(targets) if action is Action.REMOVE else undo.restore(targets)
    if done.changed:
        ids = [id_ for id_, _ in done.changed.values()]
        listed = {"enrollments": ids} if named and len(ids) <= MAX_NAMED else {}
        details = {**done.counts(), "refused": unreadable + len(done.refused), **listed}
        store.audit.record_change(connection, account_id, by, Change(action, subject, details))
    return done
