"""getUnenrollmentBatches: who asked for what, when and why, and what became of it (D20)."""

import sqlalchemy as sa

from rollbook.errors import GET_BATCHES_FORBIDDEN
from rollbook.model import Caller
from rollbook.store.engine import Work
from rollbook.store.history import find_batches, find_refusals
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.paging import PAGING, read_page
from rollbook.wire.queue import BATCH_ID, read_batch_id, write_batches
from rollbook.wire.shape import Shape
from rollbook.wire.xml import text_of

SHAPE = Shape({"UnenrollmentBatches": Shape({"BatchID": BATCH_ID, **PAGING})})


def get_unenrollment_batches(caller: Caller, call: Call) -> Work[Answer]:
    """Answer batches, the latest first; of one that is asked for, what it refused too. Errors: GUB:01, SU:12, SU:13."""
    caller.require_administration(GET_BATCHES_FORBIDDEN)
    asked = call.read_parameters(SHAPE)[0]
    page = read_page(asked)
    batch = asked.find("BatchID")
    batch_id = None if batch is None else read_batch_id(text_of(batch))

    def get(connection: sa.Connection) -> Answer:
        rows = find_batches(connection, caller.account_id, batch_id, page.size, page.offset)
        refusals = [] if batch_id is None else find_refusals(connection, caller.account_id, batch_id)
        return Answer(True, write_batches(rows, refusals))

    return get
