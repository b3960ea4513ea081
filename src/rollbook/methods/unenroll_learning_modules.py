"""unenrollLearningModules: queues up to 100 enrollments for unenrollment (protocol §4)."""

from rollbook import actions, store
from rollbook.errors import WireCode
from rollbook.methods.items import in_order, read_ids, unenrollment_item
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import RejectReason, utc_now
from rollbook.wire.answer import BLOCK, ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER
from rollbook.wire.messages import Element, info, parameters, record
from rollbook.wire.values import MAX_ITEMS

MALFORMED_ID = WireCode(
    "ULM:01", "AccountUserLearningModuleRelID provided is not valid.", "the text is not an identifier (D7)"
)
FORBIDDEN = WireCode(
    "ULM:02",
    "The required permissions are not met to call the unenrollLearningModules method.",
    "the caller is neither administrator nor owner; the error has no `block`",
)
UNKNOWN_ID = WireCode(
    "ULM:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is not valid.",
    "the identifier of no current enrollment of this account: unknown, of another account (D5), already unenrolled, "
    "or protected (D11)",
)
QUEUED_ID = WireCode(
    "ULM:04",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is already in the unenrollment queue.",
    "it is pending in the queue",
)
REPEATED_ID = WireCode(
    "ULM:05",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
    "an earlier item of the call, number `{first}`, has the same identifier",
)
# Of a dry run: the courses that a group of the learner auto-enrolls, by their numbers (D34).
AUTO_ENROLL = "Rollbook-Auto-Enroll"
REJECT_CODES = {RejectReason.UNKNOWN: UNKNOWN_ID, RejectReason.QUEUED: QUEUED_ID}

TAKES = parameters(record("LearningModuleEnrollment", unenrollment_item(MALFORMED_ID)))
ACCEPTED = record(
    "Unenrollment",
    Element(IDENTIFIER, "sent", help="as it was sent"),
    field="items",
    most=MAX_ITEMS,
    attributes=(BLOCK,),
)
GIVES = info(record("Unenrollments", ACCEPTED, least=0, help="missing if nothing was accepted"))


def unenroll(call: MethodCall) -> MethodResult:
    """Queue what can be queued, and return an error for every other item."""
    ids, errors = read_ids(call, REPEATED_ID)
    sent = [item["sent"] for item in call.values["items"]]
    if not any(ids) and call.extensions.batch_id is None:
        return MethodResult({"items": []}, in_order(errors, ()))
    done = actions.unenroll(
        call.connection,
        call.by,
        call.caller.account_id,
        call.caller.policies,
        ids,
        codes=REJECT_CODES,
        reason=call.extensions.reason,
        now=utc_now(),
        idempotency_key=call.extensions.idempotency_key,
        batch_id=call.extensions.batch_id,
        sent=sent,
        unreadable={block: entry.code for block, entry in errors.items()},
    )
    entries = in_order(errors, (ErrorEntry.of_item(REJECT_CODES[why], block) for block, why in done.refused.items()))
    accepted = [{"block": block, "sent": sent[block - 1]} for block in done.accepted]
    batch_id, headers = done.batch_id if accepted else None, {}
    if call.extensions.dry_run:
        chosen = [id_ for block in done.accepted if (id_ := ids[block - 1])]
        found = store.auto_enroll.find_auto_enrolled(call.connection, call.caller.account_id, chosen)
        headers = {AUTO_ENROLL: ", ".join(str(course_id) for course_id, _, _ in found)} if found else {}
    return MethodResult({"items": accepted}, entries, batch_id, headers=headers)


UNENROLL_LEARNING_MODULES = Method(
    "unenrollLearningModules",
    help="Queues up to 100 enrollments for unenrollment.",
    takes=TAKES,
    gives=GIVES,
    codes=(MALFORMED_ID, FORBIDDEN, UNKNOWN_ID, QUEUED_ID, REPEATED_ID),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=unenroll,
    continues=True,
)
