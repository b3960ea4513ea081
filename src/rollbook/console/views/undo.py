"""Previews and performs removals of pending items and undos of batches or single items."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.render import count
from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.views.batches import find_batch
from rollbook.console.views.queue import FILTERS, read_filter
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
    request.search_people("learner")
    with request.database.read() as connection:
        found = _find_removal(request, connection)
        shown = ItemFilter(enrollment_ids=[row.enrollment_id for row in found[:ITEMS_SHOWN]], statuses=["Pending"])
        items = find_items(connection, request.caller.account_id, shown, ITEMS_SHOWN, 0) if found else []
    if not found:
        raise UserError("No pending item was selected. Go back and select items.")
    fields = {name: request.text(name) for name in ("all", *FILTERS)}
    through = max(row.batch_id for row in found)
    return request.render(
        "remove.html", items=items, total=len(found), selected=request.ids("item"), fields=fields | {"through": through}
    )


def remove(request: ConsoleRequest) -> Response:
    """Remove these items from the queue in one transaction."""
    reason = request.reason()
    request.search_people("learner")

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


def preview_batches(request: ConsoleRequest) -> Response:
    """Show what an undo of the selected batches would change."""
    with request.database.read() as connection:
        batches = [find_batch(request, connection, number) for number in _selected_batches(request)]
        preview = UndoPreview(connection, request.caller.account_id)
        done = {batch.id: preview.restore(preview.find_batch(batch.id) or ()) for batch in batches}
    return request.render("undo_batches.html", batches=batches, done=done, **_count_changed([*done.values()]))


def undo(request: ConsoleRequest) -> Response:
    """Undo what can be undone of a batch, or of its selected items, in one transaction."""
    batch_id = request.numbers["batch"]
    return _undo(request, [batch_id], {*request.ids("block")}, f"/batches/{batch_id}")


def undo_batches(request: ConsoleRequest) -> Response:
    """Undo what can be undone of the selected batches, in one transaction."""
    return _undo(request, _selected_batches(request), set(), "/batches")


def _selected_batches(request: ConsoleRequest) -> list[int]:
    numbers = sorted({*request.ids("batch")})
    if not numbers:
        raise UserError("No batch was selected. Go back and select batches.")
    return numbers


def _undo(request: ConsoleRequest, batch_ids: Sequence[int], blocks: set[int], page: str) -> Response:
    reason = request.reason()

    def work(connection: sa.Connection) -> None:
        who = (connection, request.actor, request.caller.account_id, Action.RESTORE)
        all_done = []
        unchanged: Counter[str] = Counter()
        for batch_id in batch_ids:
            undone = actions.undo_batch(*who, batch_id, blocks=blocks, reason=reason, now=utc_now())
            if undone is None:
                raise PageError(404, f"This account has no batch {batch_id}.")
            all_done.append(undone[1])
            unchanged += _count_unchanged(*undone)
        left = [f"{count(number, 'item')} {words}" for words, number in unchanged.items()]
        request.notify(connection, page, " ".join([*_describe_changed(_count_changed(all_done)), *left]))

    request.database.transact(work)
    return redirect(page)


def _count_changed(done: Sequence[Undoing]) -> dict[str, int]:
    return {name: sum(each.counts()[name] for each in done) for name in ("restored", "removed")}


def _describe_changed(counts: Mapping[str, int]) -> list[str]:
    restored = f"{count(counts['restored'], 'enrollment')} restored, with the progress that was kept."
    removed = f"{count(counts['removed'], 'pending item')} removed from the queue."
    sentences = [*([restored] if counts["restored"] else []), *([removed] if counts["removed"] else [])]
    return sentences or ["Nothing was changed."]


def _count_unchanged(targets: Sequence[Target], done: Undoing) -> Counter[str]:
    """Count the items that the undo left as they are, by why."""
    found: Counter[str] = Counter()
    for target in targets:
        if (why := done.refused.get(target.block)) is not None:
            ended = ENDED.get(target.status) if why is RejectReason.WRONG_STATUS and target.status else None
            found[f"already {ended[1]}." if ended else "could not be undone; Undo batch shows why."] += 1
    return found


def _explain(target: Target, done: Undoing) -> str:
    reason = REJECT_REASONS.get(done.refused[target.block])
    return reason or (ENDED[target.status][0] if target.status in ENDED else "")
