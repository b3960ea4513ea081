"""Taking back: items out of the queue before they are processed, whole batches or single items after."""

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
from rollbook.store.learning.retention import find_undo_term
from rollbook.store.queue.history import ItemFilter, find_items, find_pending
from rollbook.store.queue.undo import Target, Undoing, UndoPreview

SHOWN = 200

REJECT_REASONS = {
    RejectReason.ENROLLED_AGAIN: "The learner has been enrolled in the course again. End that enrollment first.",
    RejectReason.PURGED: "The progress is no longer kept: the account's retention is over.",
}
# Why there is nothing to be undone about an item that neither waits nor is complete.
SETTLED = {
    UnenrollmentStatus.REMOVED: "It was taken out of the queue in time; the learner never left.",
    UnenrollmentStatus.FAILED: "It failed; the learner never left.",
    UnenrollmentStatus.RESTORED: "It has been undone before.",
}
HAD = {
    UnenrollmentStatus.REMOVED: "had been taken out of the queue",
    UnenrollmentStatus.FAILED: "had failed",
    UnenrollmentStatus.RESTORED: "had been undone",
}
WILL_BE = {UnenrollmentStatus.REMOVED: "Taken out of the queue", UnenrollmentStatus.RESTORED: "Comes back"}


def preview_removal(request: ConsoleRequest) -> Response:
    """Show what would be taken out of the queue: the items that were ticked, or all that the filters leave."""
    with request.database.read() as connection:
        found = _find_removal(request, connection)
        shown = ItemFilter(enrollment_ids=[row.enrollment_id for row in found[:SHOWN]], statuses=["Pending"])
        items = find_items(connection, request.caller.account_id, shown, SHOWN, 0) if found else []
    if not found:
        raise UserError("Nothing that waits in the queue was chosen. Go back and tick what is meant.")
    fields = {name: request.text(name) for name in ("all", "learner", "course", "batch")}
    through = max(row.batch_id for row in found)
    return request.render(
        "remove.html", items=items, total=len(found), ticked=request.ids("item"), fields=fields | {"through": through}
    )


def remove(request: ConsoleRequest) -> Response:
    """Take them out of the queue, all in one transaction, and say how many there were."""
    reason = request.reason()

    def work(connection: sa.Connection) -> Undoing:
        ids = [row.enrollment_id for row in _find_removal(request, connection)]
        who = (connection, request.actor, request.caller.account_id, Action.REMOVE)
        done = actions.undo_enrollments(*who, ids, reason=reason, now=utc_now())
        said = f"{count(len(done.changed), 'item')} taken out of the queue. The learners stay enrolled."
        request.tell(connection, "/queue", said)
        return done

    request.database.transact(work)
    return redirect("/queue")


def _find_removal(request: ConsoleRequest, connection: sa.Connection) -> Sequence[Any]:
    ticked = request.ids("item")
    if request.text("all"):
        return find_pending(connection, request.caller.account_id, read_filter(request, connection, "Pending"))
    if ticked:
        return find_pending(connection, request.caller.account_id, ItemFilter(enrollment_ids=ticked))
    return []


def preview_undo(request: ConsoleRequest) -> Response:
    """Show what would come back and what cannot and why."""
    account_id, blocks = request.caller.account_id, {*request.ids("block")}
    with request.database.read() as connection:
        batch = find_batch(request, connection)
        term = find_undo_term(connection, account_id, batch.id, utc_now())
        undo = UndoPreview(connection, account_id)
        targets = [target for target in undo.find_batch(batch.id) or () if not blocks or target.block in blocks]
        done = undo.restore(targets)
        refused = {target.block: _explain(target, done) for target in targets if target.block in done.refused}
        first = [*refused, *done.changed][:SHOWN]
        shown = ItemFilter(batch_id=batch.id, blocks=first)
        items = {item.block: item for item in find_items(connection, account_id, shown, SHOWN, 0)}
    will = {block: WILL_BE[status] for block, (_, status) in done.changed.items()}
    return request.render(
        "undo.html",
        batch=batch,
        term=term,
        blocks=blocks,
        items=[items[block] for block in first],
        refused=refused,
        will=will,
    )


def undo(request: ConsoleRequest) -> Response:
    """Undo what can be undone of the batch, or of the items that were ticked, in one transaction."""
    batch_id, blocks, reason = request.numbers["batch"], {*request.ids("block")}, request.reason()
    page = f"/batches/{batch_id}"

    def work(connection: sa.Connection) -> None:
        who = (connection, request.actor, request.caller.account_id, Action.RESTORE)
        undone = actions.undo_batch(*who, batch_id, blocks=blocks, reason=reason, now=utc_now())
        if undone is None:
            raise PageError(404, f"This account has no batch {batch_id}.")
        targets, done = undone
        request.tell(connection, page, " ".join([*_say_undone(done), *_say_left(targets, done)]))

    request.database.transact(work)
    return redirect(page)


def _say_undone(done: Undoing) -> list[str]:
    """Say how many came back and how many were taken out of the queue."""
    counts = done.counts()
    removed, restored = counts["removed"], counts["restored"]
    said = [] if removed or restored else ["Nothing was changed."]
    if restored:
        said.append(f"Undone: {count(restored, 'enrollment')} came back with the progress that was kept.")
    if removed:
        said.append(f"{count(removed, 'item')} still waited and {'was' if removed == 1 else 'were'} removed.")
    return said


def _say_left(targets: Sequence[Target], done: Undoing) -> list[str]:
    """Say how many had been settled before, and how many could not be undone."""
    left = [target for target in targets if target.block in done.refused]
    before = Counter(target.status for target in left if done.refused[target.block] is RejectReason.WRONG_STATUS)
    said = [f"{count(before[status], 'item')} {had} before." for status, had in HAD.items() if before[status]]
    if kept_out := len(left) - before.total():
        said.append(f"{count(kept_out, 'item')} could not be undone; Undo batch says why.")
    return said


def _explain(target: Target, done: Undoing) -> str:
    why = done.refused[target.block]
    settled = SETTLED.get(target.status, "") if target.status else ""
    return REJECT_REASONS.get(why, settled)
