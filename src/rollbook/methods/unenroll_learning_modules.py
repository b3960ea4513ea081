"""unenrollLearningModules: puts up to 100 enrolments into the unenrollment queue (protocol §4)."""

import sqlalchemy as sa

from rollbook.errors import (
    UNENROLL_FORBIDDEN,
    UNENROLL_MALFORMED_ID,
    UNENROLL_QUEUED_ID,
    UNENROLL_REPEATED_ID,
    UNENROLL_UNKNOWN_ID,
)
from rollbook.model import Acceptance, Action, Caller, Change, Refusal, utc_now
from rollbook.store.engine import Work
from rollbook.store.unenrollments import accept_batch, keep_refusals
from rollbook.wire.answer import Answer, ErrorEntry, unenrollments
from rollbook.wire.call import Call
from rollbook.wire.identifiers import IDENTIFIER, UNENROLLMENT, read_identifiers
from rollbook.wire.shape import Shape
from rollbook.wire.xml import read_texts

SHAPE = Shape({"LearningModuleEnrollment": Shape({"Unenrollment": UNENROLLMENT})})

REFUSALS = {Refusal.UNKNOWN: UNENROLL_UNKNOWN_ID, Refusal.QUEUED: UNENROLL_QUEUED_ID}


def unenroll_learning_modules(caller: Caller, call: Call) -> Work[Answer]:
    """Queue what can be queued and say of every other item why not; errors: ULM:02, SU:12, SU:13."""
    caller.require_administration(UNENROLL_FORBIDDEN)
    identifiers = read_texts(call.read_parameters(SHAPE), IDENTIFIER)
    ids, errors = read_identifiers(identifiers, malformed=UNENROLL_MALFORMED_ID, repeated=UNENROLL_REPEATED_ID)

    def unenroll(connection: sa.Connection) -> Answer:
        acceptance = _accept(connection, caller, call, ids)
        refused = {block: ErrorEntry.of_item(REFUSALS[why], block) for block, why in acceptance.refused.items()}
        entries = [entry for _, entry in sorted((errors | refused).items())]
        if acceptance.batch_id is not None:
            outcomes = [(entry.block or 0, identifiers[(entry.block or 0) - 1], entry.code) for entry in entries]
            keep_refusals(connection, caller.account_id, acceptance.batch_id, outcomes)
        info = unenrollments((block, identifiers[block - 1]) for block in acceptance.accepted)
        change = _describe(acceptance, refused=len(entries))
        return Answer(bool(acceptance.accepted), info, entries, acceptance.batch_id, change=change)

    return unenroll


def _describe(acceptance: Acceptance, refused: int) -> Change | None:
    if acceptance.batch_id is None:
        return None
    counts = {"accepted": len(acceptance.accepted), "refused": refused}
    return Change(Action.UNENROLL, f"batch {acceptance.batch_id}", counts)


def _accept(connection: sa.Connection, caller: Caller, call: Call, ids: list[int | None]) -> Acceptance:
    if not any(ids):
        return Acceptance(None, (), {})
    return accept_batch(
        connection,
        account_id=caller.account_id,
        requested_by=caller.user_id,
        ids=ids,
        policies=caller.policies,
        reason=call.extensions.reason,
        idempotency_key=call.extensions.idempotency_key,
        requested_at=utc_now(),
    )
