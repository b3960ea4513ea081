"""restoreUnenrollments: brings back enrolments that were ended, with their progress to the byte (D19, D20)."""

from rollbook.errors import (
    RESTORE_ENROLLED_AGAIN,
    RESTORE_FORBIDDEN,
    RESTORE_MALFORMED_ID,
    RESTORE_NOT_UNENROLLED,
    RESTORE_PURGED,
    RESTORE_REPEATED_ID,
    RESTORE_UNKNOWN_BATCH,
)
from rollbook.methods.undoing import UndoingCodes, prepare_undoing
from rollbook.model import Action, Caller
from rollbook.store.engine import Work
from rollbook.store.undo import Obstacle, Undo
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call

CODES = UndoingCodes(
    action=Action.RESTORE,
    forbidden=RESTORE_FORBIDDEN,
    malformed=RESTORE_MALFORMED_ID,
    repeated=RESTORE_REPEATED_ID,
    unknown_batch=RESTORE_UNKNOWN_BATCH,
    obstacles={
        Obstacle.WRONG_STATUS: RESTORE_NOT_UNENROLLED,
        Obstacle.ENROLLED_AGAIN: RESTORE_ENROLLED_AGAIN,
        Obstacle.PURGED: RESTORE_PURGED,
    },
)


def restore_unenrollments(caller: Caller, call: Call) -> Work[Answer]:
    """Undo a batch or unenrollments one by one; those still pending are removed from the queue instead.

    Errors: RES:01 and RES:04 for the call, the others per block.
    """
    return prepare_undoing(caller, call, CODES, Undo.restore)
