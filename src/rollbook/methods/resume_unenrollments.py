"""resumeUnenrollments: what is due in the queue is processed again (D20)."""

from dataclasses import replace

import sqlalchemy as sa

from rollbook.errors import RESUME_FORBIDDEN
from rollbook.methods.get_unenrollment_queue import describe_queue
from rollbook.model import Action, Caller, Change
from rollbook.store.engine import Work
from rollbook.store.queue import resume_queue
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.queue import NOTHING_ASKED


def resume_unenrollments(caller: Caller, call: Call) -> Work[Answer]:
    """Resume the queue and answer its state; errors: RSM:01, SU:12, SU:13."""
    caller.require_administration(RESUME_FORBIDDEN)
    call.read_parameters(NOTHING_ASKED)

    def resume(connection: sa.Connection) -> Answer:
        resumed = resume_queue(connection, caller.account_id)
        return replace(describe_queue(connection, caller), change=Change(Action.RESUME) if resumed else None)

    return resume
