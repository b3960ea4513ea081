"""resumeUnenrollments: what is due in the queue is processed again (D20)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_queue import NOTHING_TAKEN, STATE, describe_queue
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import Action, Change

FORBIDDEN = WireCode("RSM:01", "The required permissions are not met to call the resumeUnenrollments method.")


def resume(call: MethodCall) -> MethodResult:
    """Resume the queue and give its state."""
    resumed = store.queue.resume_queue(call.connection, call.caller.account_id)
    return describe_queue(call, Change(Action.RESUME) if resumed else None)


RESUME_UNENROLLMENTS = Method(
    "resumeUnenrollments",
    takes=NOTHING_TAKEN,
    gives=STATE,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=resume,
)
