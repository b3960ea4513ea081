"""getUnenrollmentQueue: whether the queue is paused, items by status, the age of the oldest pending item (D20)."""

from datetime import datetime

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import UnenrollmentStatus, utc_now
from rollbook.wire.messages import Element, info, parameters, record
from rollbook.wire.values import COUNT, FLAG, TIME

FORBIDDEN = WireCode("GUQ:01", "The required permissions are not met to call the getUnenrollmentQueue method.")

# A method without parameters still needs a child of Parameters, or its calls would be SU:09.
NOTHING_TAKEN = parameters(Element("UnenrollmentQueue", help="empty"))
COUNTS = tuple(Element(status, status.lower(), COUNT, help="items in this state") for status in UnenrollmentStatus)
STATE = info(
    record(
        "UnenrollmentQueue",
        Element("Paused", "paused", FLAG),
        Element("PausedDate", "paused_at", TIME, help="empty unless paused"),
        *COUNTS,
        Element("OldestPendingDate", "oldest_at", TIME, help="when the oldest pending item was requested"),
        Element("OldestPendingSeconds", "oldest_seconds", COUNT, help="its age"),
        Element("WorkerSeenSeconds", "worker_seconds", COUNT, help="since a worker was last seen; empty: never"),
        Element("WorkerSilent", "worker_silent", FLAG, help="whether no worker seems to run"),
        field="queue",
    )
)


def describe_queue(call: MethodCall) -> MethodResult:
    """Return the present state of the caller's queue; ages are in whole seconds."""
    state = store.state.read_queue(call.connection, call.caller.account_id)
    now, oldest_at, seen_at = utc_now(), state.oldest_pending_at, state.worker_seen_at
    worker = {"worker_seconds": _age(seen_at, now), "worker_silent": store.workers.is_silent(seen_at, now)}
    counts = {status.lower(): count for status, count in state.counts.items()}
    queue = {"paused": state.paused_at is not None, "paused_at": state.paused_at, **counts}
    oldest = {"oldest_at": oldest_at, "oldest_seconds": _age(oldest_at, now)}
    return MethodResult({"queue": queue | oldest | worker})


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment).total_seconds()))


GET_UNENROLLMENT_QUEUE = Method(
    "getUnenrollmentQueue",
    help="Gives whether the queue is paused, items by status, the age of the oldest pending item.",
    takes=NOTHING_TAKEN,
    gives=STATE,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=False,
    run=describe_queue,
)
