"""Previews and performs removals of pending items and undos of batches or single items."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.render import count
from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.views.batches import find_batch
from rollbook.console.views.queue import read_filter
from rollbook.errors import UserError
from rollbook.model import Action, RejectReason, UnenrollmentStatus, utc_now
from rollbook.store.learning.retention import find_undo_terms
from rollbook.store.queue.history import ItemFilter, find_items, find_pending
from rollbook.store.queue.undo import Target, Undoing, UndoPreview

ITEMS_SHOWN = 200

REJECT_REASONS = {
    RejectReason.ENROLLED_AGAIN: "The learner was enrolled in the course again. End that enrollment first.",
    RejectReason.PURGED: "The progress is deleted: the account's retention is over.",
}
# Items that an undo leaves as they are: why, in its preview; what is counted, in its outcome.
ENDED = {
    UnenrollmentStatus.REMOVED: ("It was removed from the queue; the learner stayed enrolled.", "removed"),
    UnenrollmentStatus.FAILED: ("It failed; the learner stayed enrolled.", "failed"),
    UnenrollmentStatus.RESTORED: ("It is restored already.", "restored"),
}


def preview_removal(request: ConsoleRequest) -> Response:
    """List the items that would be removed: the selected ones, or all that the filter matches."""
    with request.database.read() as connection:
        found = _find_removal(request, connection)
        shown = ItemFilter(enrollment_ids=[row.enrollment_id for row in found[:ITEMS_SHOWN]], statuses=["Pending"])
        items = find_items(connection, request.caller.account_id, shown, ITEMS_SHOWN, 0) if found else []
    if not found:
        raise UserError("No pending item was selected. Go back and select items.")
    fields = {name: request.text(name) for name in ("all", "learner", "course", "batch")}
    through = max(row.batch_id for row in found)
    return request.render(
        "remove.html", items=items, total=len(found), selected=request.ids("item"), fields=fields | {"through": through}
    )


def remove(request: ConsoleRequest) -> Response:
    """Remove these items from the queue in one transaction."""
    reason = request.reason()

    def work(connection: sa.Connection) -> None:
        ids = [row.enrollment_id for row in _find_removal(request, connection)]
        who = (connection, request.actor, request.caller.account_id, Action.REMOVE)
        done = actions.undo_enrollments(*who, ids, reason=reason, now=utc_now())
        removed = count(len(done.changed), "item")
        request.notify(connection, "/queue", f"{removed} removed from the queue. The learners stay enrolled.")

    request.database.transact(work)
    return redirect("/queue")


def _find_removal(request: ConsoleRequest, connection: sa.Connection) -> Sequence[Any]:
    selected = request.ids("item")
    if request.text("all"):
        return find_pending(connection, request.caller.account_id, read_filter(request, connection, "Pending"))
    if selected:
        return find_pending(connection, request.caller.account_id, ItemFilter(enrollment_ids=selected))
    return []


def preview_undo(request: ConsoleRequest) -> Response:
    """Show what an undo would change, and why it cannot undo the other items."""
    account_id, blocks = request.caller.account_id, {*request.ids("block")}
    with request.database.read() as connection:
        batch = find_batch(request, connection)
        term = find_undo_terms(connection, account_id, [batch.id], utc_now())[batch.id]
        undo = UndoPreview(connection, account_id)
        targets = [target for target in undo.find_batch(batch.id) or () if not blocks or target.block in blocks]
        done = undo.restore(targets)
        refused = {target.block: _explain(target, done) for target in targets if target.block in done.refused}
        first = [*refused, *done.changed][:ITEMS_SHOWN]
        shown = ItemFilter(batch_id=batch.id, blocks=first)
        items = {item.block: item for item in find_items(connection, account_id, shown, ITEMS_SHOWN, 0)}
    return request.render(
        "undo.html",
        batch=batch,
        term=term,
        blocks=blocks,
        items=[items[block] for block in first],
        refused=refused,
        changed=done.changed,
        counts=done.counts(),
    )


def undo(request: ConsoleRequest) -> Response:
    """Undo what can be undone of a batch, or of its selected items, in one transaction."""
    batch_id, blocks, reason = request.numbers["batch"], {*request.ids("block")}, request.reason()
    page = f"/batches/{batch_id}"

    def work(connection: sa.Connection) -> None:
        who = (connection, request.actor, request.caller.account_id, Action.RESTORE)
        undone = actions.undo_batch(*who, batch_id, blocks=blocks, reason=reason, now=utc_now())
        if undone is None:
            raise PageError(404, f"This account has no batch {batch_id}.")
        targets, done = undone
        request.notify(connection, page, " ".join([*_describe_changed(done), *_describe_unchanged(targets, done)]))

    request.database.transact(work)
    return redirect(page)


def _describe_changed(done: Undoing) -> list[str]:
    counts = done.counts()
    restored = f"{count(counts['restored'], 'enrollment')} restored, with the progress that was kept."
    removed = f"{count(counts['removed'], 'pending item')} removed from the queue."
    sentences = [*([restored] if counts["restored"] else []), *([removed] if counts["removed"] else [])]
    return sentences or ["Nothing was changed."]


def _describe_unchanged(targets: Sequence[Target], done: Undoing) -> list[str]:
    left = [target for target in targets if target.block in done.refused]
    ended = Counter(target.status for target in left if done.refused[target.block] is RejectReason.WRONG_STATUS)
    sentences = [f"{count(ended[key], 'item')} already {words}." for key, (_, words) in ENDED.items() if ended[key]]
    if rejected := len(left) - ended.total():
        sentences.append(f"{count(rejected, 'item')} could not be undone; Undo batch shows why.")
    return sentences


def _explain(target: Target, done: Undoing) -> str:
    reason = REJECT_REASONS.get(done.refused[target.block])
    return reason or (ENDED[target.status][0] if target.status in ENDED else "")
