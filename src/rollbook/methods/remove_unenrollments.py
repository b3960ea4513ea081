"""removeUnenrollments: takes pending items out of the queue; enrolments and progress stay as they are (D20)."""

from rollbook.errors import (
    REMOVE_FORBIDDEN,
    REMOVE_MALFORMED_ID,
    REMOVE_NOT_PENDING,
    REMOVE_REPEATED_ID,
    REMOVE_UNKNOWN_BATCH,
)
from rollbook.methods.undoing import UndoingCodes, prepare_undoing
from rollbook.model import Action, Caller
from rollbook.store.engine import Work
from rollbook.store.undo import Obstacle, Undo
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call

CODES = UndoingCodes(
    action=Action.REMOVE,
    forbidden=REMOVE_FORBIDDEN,
    malformed=REMOVE_MALFORMED_ID,
    repeated=REMOVE_REPEATED_ID,
    unknown_batch=REMOVE_UNKNOWN_BATCH,
    obstacles={Obstacle.WRONG_STATUS: REMOVE_NOT_PENDING},
)


def remove_unenrollments(caller: Caller, call: Call) -> Work[Answer]:
    """Remove a batch or enrolments from the queue; errors: REM:01 and REM:04 for the call, the others per block."""
    return prepare_undoing(caller, call, CODES, Undo.remove)
