"""resumeUnenrollments: resumes the processing of the queue (D20)."""

from rollbook import actions
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_queue import NOTHING_TAKEN, STATE, describe_queue
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult

FORBIDDEN = WireCode("RSM:01", "The required permissions are not met to call the resumeUnenrollments method.")


def resume(call: MethodCall) -> MethodResult:
    """Resume the queue and return its state."""
    actions.resume(call.connection, call.by, call.caller.account_id)
    return describe_queue(call)


RESUME_UNENROLLMENTS = Method(
    "resumeUnenrollments",
    help="Resumes the processing of the queue.",
    takes=NOTHING_TAKEN,
    gives=STATE,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=resume,
)
