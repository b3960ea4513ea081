"""The common parts of removeUnenrollments and restoreUnenrollments: their messages and the answer by block (D20)."""

from collections.abc import Mapping
from dataclasses import dataclass

from rollbook import actions
from rollbook.errors import CallError, WireCode
from rollbook.methods.items import in_order, read_ids, unenrollment_item
from rollbook.methods.method import MethodCall, MethodResult
from rollbook.model import Action, RejectReason, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, NUMBER, REFERENCE
from rollbook.wire.messages import ANY_NUMBER, Choice, Element, info, optional, parameters, record
from rollbook.wire.values import COUNT

# A larger batch is answered with counts and at most this number of errors (D33).
MAX_ANSWERED = 1000

UNDONE = record(
    "Unenrollment",
    Element(IDENTIFIER, "id", NUMBER),
    Element("Status", "status", help="`Removed` or `Restored`"),
    field="items",
    least=0,
    most=ANY_NUMBER,
    attributes=(BLOCK,),
    help="in a batch `block` is the item's position in it",
)
_LARGE = f"only for a batch of more than {MAX_ANSWERED} items, in place of `Unenrollment`"
COUNTS = (
    optional("Restored", "restored", COUNT, help=_LARGE),
    optional("Removed", "removed", COUNT, help=_LARGE),
    optional("Refused", "refused", COUNT, help=_LARGE),
)
GIVES = info(record("Unenrollments", *COUNTS, UNDONE, least=0, help="missing if nothing changed"))


@dataclass(frozen=True)
class UndoCodes:
    """The codes of one of the two methods, and its action in the audit."""

    action: Action
    repeated: WireCode
    unknown_batch: WireCode
    reject_codes: Mapping[RejectReason, WireCode]


def undo_parameters(malformed: WireCode) -> Element:
    """The parameters: a whole batch, or single items."""
    batch = optional("BatchID", "batch_id", REFERENCE, help="a whole batch, in place of items")
    both = Choice(("BatchID", "Unenrollment"))
    return parameters(record("Unenrollments", batch, unenrollment_item(malformed, least=0), choices=(both,)))


def undo_items(call: MethodCall, codes: UndoCodes) -> MethodResult:
    """Undo what can be undone, and return an error for every other item."""
    ids, errors = read_ids(call, codes.repeated)
    who = (call.connection, call.by, call.caller.account_id, codes.action)
    reason, now = call.extensions.reason, utc_now()
    if ids:
        done = actions.undo_enrollments(*who, ids, unreadable=len(errors), reason=reason, now=now)
        size = len(ids)
    else:
        undone = actions.undo_batch(*who, call.values["batch_id"] or 0, reason=reason, now=now)
        if undone is None:
            raise CallError(codes.unknown_batch, "Unenrollments/BatchID")
        targets, done = undone
        size = len(targets)
    is_large = size > MAX_ANSWERED
    told = sorted(done.refused.items())[: MAX_ANSWERED if is_large else None]
    entries = in_order(errors, (ErrorEntry.of_item(codes.reject_codes[why], block) for block, why in told))
    if is_large:
        return MethodResult({**done.counts(), "refused": len(done.refused)} if done.changed else {}, entries)
    items = [{"block": block, "id": id_, "status": status} for block, (id_, status) in sorted(done.changed.items())]
    return MethodResult({"items": items}, entries)
