"""pauseUnenrollments: nothing of the queue is processed until it is resumed (D20)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_queue import NOTHING_TAKEN, STATE, describe_queue
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import Action, Change, utc_now

FORBIDDEN = WireCode("PAU:01", "The required permissions are not met to call the pauseUnenrollments method.")


def pause(call: MethodCall) -> MethodResult:
    """Pause the queue and give its state."""
    paused = store.queue.pause_queue(call.connection, call.caller.account_id, utc_now())
    return describe_queue(call, Change(Action.PAUSE) if paused else None)


PAUSE_UNENROLLMENTS = Method(
    "pauseUnenrollments",
    takes=NOTHING_TAKEN,
    gives=STATE,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=True,
    run=pause,
)
