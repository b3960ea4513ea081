"""pauseUnenrollments: nothing of the queue is processed until it is resumed (D20)."""

from dataclasses import replace

import sqlalchemy as sa

from rollbook.errors import PAUSE_FORBIDDEN
from rollbook.methods.get_unenrollment_queue import describe_queue
from rollbook.model import Action, Caller, Change, utc_now
from rollbook.store.engine import Work
from rollbook.store.queue import pause_queue
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.queue import NOTHING_ASKED


def pause_unenrollments(caller: Caller, call: Call) -> Work[Answer]:
    """Pause the queue and answer its state; errors: PAU:01, SU:12, SU:13."""
    caller.require_administration(PAUSE_FORBIDDEN)
    call.read_parameters(NOTHING_ASKED)

    def pause(connection: sa.Connection) -> Answer:
        paused = pause_queue(connection, caller.account_id, utc_now())
        return replace(describe_queue(connection, caller), change=Change(Action.PAUSE) if paused else None)

    return pause
