"""pauseUnenrollments: stops the processing of the queue until it is resumed (D20)."""

from rollbook import actions
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_queue import NOTHING_TAKEN, STATE, describe_queue
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import utc_now

FORBIDDEN = WireCode("PAU:01", "The required permissions are not met to call the pauseUnenrollments method.")


def pause(call: MethodCall) -> MethodResult:
    """Pause the queue and return its state."""
    actions.pause(call.connection, call.by, call.caller.account_id, utc_now())
    return describe_queue(call)


PAUSE_UNENROLLMENTS = Method(
    "pauseUnenrollments",
    help="Stops the processing of the queue until it is resumed.",
    takes=NOTHING_TAKEN,
    gives=STATE,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=pause,
)
