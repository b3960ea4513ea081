"""What removeUnenrollments and restoreUnenrollments have in common: their messages, and the answer per block (D20)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollbook import store
from rollbook.errors import CallError, WireCode
from rollbook.methods.items import in_order, read_ids, unenrollment_item
from rollbook.methods.method import MethodCall, MethodResult
from rollbook.model import Action, Change, Obstacle, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.messages import ANY_NUMBER, Choice, Element, info, optional, parameters, record
from rollbook.wire.values import COUNT, IDENTIFIER, NUMBER, REFERENCE

# A larger batch is answered by counts, and by so many errors at most (D33).
MAX_ANSWERED = 1000

UNDONE = record(
    "Unenrollment",
    Element(IDENTIFIER, "id", NUMBER),
    Element("Status", "status", help="`Removed` or `Restored`"),
    field="items",
    least=0,
    most=ANY_NUMBER,
    attributes=(BLOCK,),
    help="of a batch, the place in it",
)
_LARGE = f"only of a batch of more than {MAX_ANSWERED} items, in place of `Unenrollment`"
COUNTS = (
    optional("Restored", "restored", COUNT, help=_LARGE),
    optional("Removed", "removed", COUNT, help=_LARGE),
    optional("Refused", "refused", COUNT, help=_LARGE),
)
GIVES = info(record("Unenrollments", *COUNTS, UNDONE, least=0, help="missing when nothing changed"))


@dataclass(frozen=True)
class UndoingCodes:
    """The codes of one of the two methods, and its name in the audit."""

    action: Action
    repeated: WireCode
    unknown_batch: WireCode
    obstacles: Mapping[Obstacle, WireCode]


def undoing_call(malformed: WireCode) -> Element:
    """What is to be removed or restored: a whole batch, or items one by one."""
    batch = optional("BatchID", "batch_id", REFERENCE, help="a whole batch, in place of items")
    both = Choice(("BatchID", "Unenrollment"))
    return parameters(record("Unenrollments", batch, unenrollment_item(malformed, least=0), choices=(both,)))


def undo_items(
    call: MethodCall,
    codes: UndoingCodes,
    undo: Callable[["store.undo.Undo", Sequence["store.undo.Target"]], "store.undo.Undoing"],
) -> MethodResult:
    """Undo what can be undone, and give the reason for every other item."""
    ids, errors = read_ids(call, codes.repeated)
    undoer = store.undo.Undo(
        call.connection,
        account_id=call.caller.account_id,
        user_id=call.caller.user_id,
        reason=call.extensions.reason,
        now=utc_now(),
    )
    batch_id = None if ids else call.values["batch_id"] or 0
    targets = undoer.find_enrollments(ids) if batch_id is None else undoer.find_batch(batch_id)
    if targets is None:
        raise CallError(codes.unknown_batch, "Unenrollments/BatchID")
    done = undo(undoer, targets)
    is_large = batch_id is not None and len(targets) > MAX_ANSWERED
    told = sorted(done.refused.items())[: MAX_ANSWERED if is_large else None]
    entries = in_order(errors, (ErrorEntry.of_item(codes.obstacles[why], block) for block, why in told))
    counts = {**done.counts(), "refused": len(errors) + len(done.refused)}
    change = _describe(codes.action, batch_id, done, counts)
    if is_large:
        return MethodResult(counts if done.changed else {}, entries, change=change)
    items = [{"block": block, "id": id_, "status": status} for block, (id_, status) in sorted(done.changed.items())]
    return MethodResult({"items": items}, entries, change=change)


def _describe(
    action: Action, batch_id: int | None, done: "store.undo.Undoing", counts: Mapping[str, int]
) -> Change | None:
    if not done.changed:
        return None
    if batch_id is not None:
        return Change(action, f"batch {batch_id}", counts)
    return Change(action, details={**counts, "enrollments": [id_ for id_, _ in done.changed.values()]})
