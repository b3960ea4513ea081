"""unenrollLearningModules: puts up to 100 enrolments into the unenrollment queue (protocol §4)."""

from rollbook.errors import (
    UNENROLL_FORBIDDEN,
    UNENROLL_MALFORMED_ID,
    UNENROLL_QUEUED_ID,
    UNENROLL_REPEATED_ID,
    UNENROLL_UNKNOWN_ID,
    CallError,
)
from rollbook.model import Acceptance, Caller, Refusal, utc_now
from rollbook.store.engine import Database
from rollbook.store.unenrollments import accept_batch
from rollbook.wire.answer import Answer, ErrorEntry, unenrollments
from rollbook.wire.call import Call
from rollbook.wire.shape import TEXT, Shape
from rollbook.wire.xml import text_of

IDENTIFIER = "AccountUserLearningModuleRelID"
MOST_ITEMS = 100  # protocol §4, D9
LARGEST_ID = 2**63 - 1  # D7

_UNENROLLMENT = Shape({IDENTIFIER: TEXT}, most=MOST_ITEMS)
SHAPE = Shape({"LearningModuleEnrollment": Shape({"Unenrollment": _UNENROLLMENT})})

REFUSALS = {Refusal.UNKNOWN: UNENROLL_UNKNOWN_ID, Refusal.QUEUED: UNENROLL_QUEUED_ID}


def unenroll_learning_modules(database: Database, caller: Caller, call: Call) -> Answer:
    """Queue what can be queued and say of every other item why not; errors: ULM:02, SU:12, SU:13."""
    if not caller.administers:
        raise CallError(UNENROLL_FORBIDDEN, f"the caller is a {caller.role}")
    identifiers = [text_of(element) for element in call.read_parameters(SHAPE).iter(IDENTIFIER)]
    ids, errors = _read_identifiers(identifiers)
    acceptance = _accept(database, caller, ids)
    for block, refusal in acceptance.refused.items():
        errors[block] = ErrorEntry.of_item(REFUSALS[refusal], block)
    return Answer(
        succeeded=bool(acceptance.accepted),
        info=unenrollments((block, identifiers[block - 1]) for block in acceptance.accepted),
        errors=[errors[block] for block in sorted(errors)],
        batch_id=acceptance.batch_id,
    )


def _accept(database: Database, caller: Caller, ids: list[int | None]) -> Acceptance:
    if not any(ids):
        return Acceptance(None, (), {})
    with database.write() as connection:
        return accept_batch(
            connection,
            account_id=caller.account_id,
            requested_by=caller.user_id,
            ids=ids,
            policies=caller.policies,
            reason=None,
            requested_at=utc_now(),
        )


def _read_identifiers(identifiers: list[str]) -> tuple[list[int | None], dict[int, ErrorEntry]]:
    """Turn identifiers into numbers; None, and an error by block, for those malformed (D7) or repeated (D8)."""
    ids: list[int | None] = []
    errors: dict[int, ErrorEntry] = {}
    first_blocks: dict[int, int] = {}
    for block, identifier in enumerate(identifiers, 1):
        number = _read_identifier(identifier)
        if number is None:
            errors[block] = ErrorEntry.of_item(UNENROLL_MALFORMED_ID, block)
        elif number in first_blocks:
            errors[block] = ErrorEntry.of_item(UNENROLL_REPEATED_ID, block, first=first_blocks[number])
            number = None
        else:
            first_blocks[number] = block
        ids.append(number)
    return ids, errors


def _read_identifier(identifier: str) -> int | None:
    if not (identifier.isascii() and identifier.isdigit()):
        return None
    digits = identifier.lstrip("0")
    # The length is looked at first, because a number of a million digits takes its time to be read.
    if not 1 <= len(digits) <= len(str(LARGEST_ID)):
        return None
    number = int(digits)
    return number if number <= LARGEST_ID else None
