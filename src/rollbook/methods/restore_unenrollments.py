"""restoreUnenrollments: restores ended enrollments with their progress, byte for byte (D19, D20)."""

from rollbook.errors import WireCode
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.methods.undo_methods import GIVES, UndoCodes, undo_items, undo_parameters
from rollbook.model import Action, RejectReason

FORBIDDEN = WireCode("RES:01", "The required permissions are not met to call the restoreUnenrollments method.")
MALFORMED_ID = WireCode("RES:02", "AccountUserLearningModuleRelID provided is not valid.", "as ULM:01")
REPEATED_ID = WireCode(
    "RES:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
    "as ULM:05",
)
UNKNOWN_BATCH = WireCode("RES:04", "The BatchID provided is not valid.", "the account has no such batch; no `block`")
NOT_UNENROLLED = WireCode(
    "RES:05",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided has no unenrollment to be undone.",
    "unknown, or neither Pending nor Complete",
)
ENROLLED_AGAIN = WireCode(
    "RES:06",
    "Unenrollment {block} - The learner has been enrolled in the learning module again.",
    "after this enrollment ended, or has another current enrollment that is not completed; of two in one call, the "
    "later one is restored",
)
PURGED = WireCode("RES:07", "Unenrollment {block} - The learner's progress is no longer kept.", "retention is over")
REJECT_CODES = {
    RejectReason.WRONG_STATUS: NOT_UNENROLLED,
    RejectReason.ENROLLED_AGAIN: ENROLLED_AGAIN,
    RejectReason.PURGED: PURGED,
}
CODES = UndoCodes(Action.RESTORE, REPEATED_ID, UNKNOWN_BATCH, REJECT_CODES)


def restore(call: MethodCall) -> MethodResult:
    """Undo a batch or items; pending items are removed from the queue instead."""
    return undo_items(call, CODES)


RESTORE_UNENROLLMENTS = Method(
    "restoreUnenrollments",
    help="Restores ended enrollments with their progress, byte for byte.",
    takes=undo_parameters(MALFORMED_ID),
    gives=GIVES,
    codes=(FORBIDDEN, MALFORMED_ID, REPEATED_ID, UNKNOWN_BATCH, NOT_UNENROLLED, ENROLLED_AGAIN, PURGED),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=restore,
)
