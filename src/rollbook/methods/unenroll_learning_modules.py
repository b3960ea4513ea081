"""unenrollLearningModules: puts up to 100 enrollments into the unenrollment queue (protocol §4)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.items import in_order, read_ids, unenrollment_item
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import Acceptance, Action, Change, Refusal, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.messages import Element, info, parameters, record
from rollbook.wire.values import IDENTIFIER, MAX_ITEMS

MALFORMED_ID = WireCode(
    "ULM:01", "AccountUserLearningModuleRelID provided is not valid.", "the text is no identifier (D7)"
)
FORBIDDEN = WireCode(
    "ULM:02",
    "The required permissions are not met to call the unenrollLearningModules method.",
    "the caller is neither administrator nor owner; the error has no `block`",
)
UNKNOWN_ID = WireCode(
    "ULM:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is not valid.",
    "an identifier, but of no current enrollment of this account: unknown, of another account (D5), unenrolled "
    "already, or protected (D11)",
)
QUEUED_ID = WireCode(
    "ULM:04",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is already in the unenrollment queue.",
    "it is waiting in the queue",
)
REPEATED_ID = WireCode(
    "ULM:05",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
    "the call holds the number before, at `{first}`",
)
REFUSALS = {Refusal.UNKNOWN: UNKNOWN_ID, Refusal.QUEUED: QUEUED_ID}

TAKES = parameters(record("LearningModuleEnrollment", unenrollment_item(MALFORMED_ID)))
ACCEPTED = record(
    "Unenrollment",
    Element(IDENTIFIER, "sent", help="as it was sent"),
    field="items",
    most=MAX_ITEMS,
    attributes=(BLOCK,),
)
GIVES = info(record("Unenrollments", ACCEPTED, least=0, help="missing when nothing was accepted"))


def unenroll(call: MethodCall) -> MethodResult:
    """Queue what can be queued, and give the reason for every other item."""
    ids, errors = read_ids(call, REPEATED_ID)
    acceptance = _accept(call, ids)
    refused = (ErrorEntry.of_item(REFUSALS[why], block) for block, why in acceptance.refused.items())
    entries = in_order(errors, refused)
    items = call.values["items"]
    if acceptance.batch_id is not None:
        outcomes = [(entry.block or 0, items[(entry.block or 0) - 1]["sent"], entry.code) for entry in entries]
        store.unenrollments.keep_refusals(call.connection, call.caller.account_id, acceptance.batch_id, outcomes)
    accepted = [{"block": block, "sent": items[block - 1]["sent"]} for block in acceptance.accepted]
    change = _describe(acceptance, refused=len(entries))
    return MethodResult({"items": accepted}, entries, acceptance.batch_id, change)


def _describe(acceptance: Acceptance, refused: int) -> Change | None:
    if acceptance.batch_id is None:
        return None
    counts = {"accepted": len(acceptance.accepted), "refused": refused}
    return Change(Action.UNENROLL, f"batch {acceptance.batch_id}", counts)


def _accept(call: MethodCall, ids: list[int | None]) -> Acceptance:
    if not any(ids):
        return Acceptance(None, (), {})
    return store.unenrollments.accept_batch(
        call.connection,
        account_id=call.caller.account_id,
        requested_by=call.caller.user_id,
        ids=ids,
        policies=call.caller.policies,
        reason=call.extensions.reason,
        idempotency_key=call.extensions.idempotency_key,
        requested_at=utc_now(),
    )


UNENROLL_LEARNING_MODULES = Method(
    "unenrollLearningModules",
    takes=TAKES,
    gives=GIVES,
    codes=(MALFORMED_ID, FORBIDDEN, UNKNOWN_ID, QUEUED_ID, REPEATED_ID),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=unenroll,
)
