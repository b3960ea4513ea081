"""removeUnenrollments: takes pending items out of the queue; enrollments and progress do not change (D20)."""

from rollbook.errors import WireCode
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.methods.undo_methods import GIVES, UndoCodes, undo_items, undo_parameters
from rollbook.model import Action, RejectReason

FORBIDDEN = WireCode("REM:01", "The required permissions are not met to call the removeUnenrollments method.")
MALFORMED_ID = WireCode("REM:02", "AccountUserLearningModuleRelID provided is not valid.", "as ULM:01")
REPEATED_ID = WireCode(
    "REM:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
    "as ULM:05",
)
UNKNOWN_BATCH = WireCode("REM:04", "The BatchID provided is not valid.", "the account has no such batch; no `block`")
NOT_PENDING = WireCode(
    "REM:05",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is not in the unenrollment queue.",
    "unknown, or no longer pending",
)
CODES = UndoCodes(Action.REMOVE, REPEATED_ID, UNKNOWN_BATCH, {RejectReason.WRONG_STATUS: NOT_PENDING})


def remove(call: MethodCall) -> MethodResult:
    """Remove a batch or items from the queue."""
    return undo_items(call, CODES)


REMOVE_UNENROLLMENTS = Method(
    "removeUnenrollments",
    help="Takes pending items out of the queue; enrollments and progress do not change.",
    takes=undo_parameters(MALFORMED_ID),
    gives=GIVES,
    codes=(FORBIDDEN, MALFORMED_ID, REPEATED_ID, UNKNOWN_BATCH, NOT_PENDING),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=remove,
)
