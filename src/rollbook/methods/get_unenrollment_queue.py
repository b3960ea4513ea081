"""getUnenrollmentQueue: paused or not, how many items in which status, how long the oldest waits (D20)."""

from functools import partial

import sqlalchemy as sa

from rollbook.errors import GET_QUEUE_FORBIDDEN
from rollbook.model import Caller, utc_now
from rollbook.store.engine import Work
from rollbook.store.queue import read_queue
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.queue import NOTHING_ASKED, write_queue


def get_unenrollment_queue(caller: Caller, call: Call) -> Work[Answer]:
    """Answer the state of the queue; errors: GUQ:01, SU:12, SU:13."""
    caller.require_administration(GET_QUEUE_FORBIDDEN)
    call.read_parameters(NOTHING_ASKED)
    return partial(describe_queue, caller=caller)


def describe_queue(connection: sa.Connection, caller: Caller) -> Answer:
    """Answer the state of the caller's queue as it is now."""
    state = read_queue(connection, caller.account_id)
    return Answer(True, write_queue(state.paused_at, state.counts, state.oldest_pending_at, utc_now()))
