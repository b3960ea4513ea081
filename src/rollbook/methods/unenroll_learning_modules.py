"""unenrollLearningModules: queues up to 100 enrollments for unenrollment (protocol §4)."""

from collections.abc import Mapping, Sequence

from rollbook import actions, store
from rollbook.errors import WireCode
from rollbook.methods.items import in_order, read_ids, unenrollment_item
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import Acceptance, RejectReason, UnenrollRequest, utc_now
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

NOTHING = Acceptance(None, (), {})

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
    [result] = unenroll_all([call])
    return result


def unenroll_all(calls: Sequence[MethodCall]) -> list[MethodResult]:
    """Execute calls of one account in one transaction, each with the result that `unenroll` would have."""
    read = [(call, *read_ids(call, REPEATED_ID)) for call in calls]
    requests = {
        place: _request(call, ids, errors)
        for place, (call, ids, errors) in enumerate(read)
        if any(ids) or call.extensions.batch_id is not None
    }
    connection, caller, asked = calls[0].connection, calls[0].caller, [*requests.values()]
    done = actions.unenroll_all(
        connection, caller.account_id, caller.policies, asked, codes=REJECT_CODES, now=utc_now()
    )
    outcomes = dict(zip(requests, done, strict=True))
    return [_result(call, ids, errors, outcomes.get(place, NOTHING)) for place, (call, ids, errors) in enumerate(read)]


def _request(call: MethodCall, ids: Sequence[int | None], errors: Mapping[int, ErrorEntry]) -> UnenrollRequest:
    given = call.extensions
    sent = [item["sent"] for item in call.values["items"]]
    unreadable = {block: entry.code for block, entry in errors.items()}
    return UnenrollRequest(call.by, ids, given.reason, given.idempotency_key, given.batch_id, sent, unreadable)


def _result(
    call: MethodCall, ids: Sequence[int | None], errors: Mapping[int, ErrorEntry], done: Acceptance
) -> MethodResult:
    entries = in_order(errors, (ErrorEntry.of_item(REJECT_CODES[why], block) for block, why in done.refused.items()))
    items = call.values["items"]
    accepted = [{"block": block, "sent": items[block - 1]["sent"]} for block in done.accepted]
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
    run_all=unenroll_all,
    continues=True,
)
