"""What removeUnenrollments and restoreUnenrollments have in common: the selection, and the answer per block (D20)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rollbook.errors import CallError, WireCode
from rollbook.model import Action, Caller, Change, utc_now
from rollbook.store.engine import Work
from rollbook.store.undo import Obstacle, Target, Undo, Undoing
from rollbook.wire.answer import Answer, ErrorEntry
from rollbook.wire.call import Call
from rollbook.wire.identifiers import read_identifiers
from rollbook.wire.queue import SELECTION, read_batch_id, read_selection, write_changed


@dataclass(frozen=True)
class UndoingCodes:
    """The codes of one of the two methods, and its name in the audit."""

    action: Action
    forbidden: WireCode
    malformed: WireCode
    repeated: WireCode
    unknown_batch: WireCode
    obstacles: dict[Obstacle, WireCode]


def prepare_undoing(
    caller: Caller, call: Call, codes: UndoingCodes, undo: Callable[[Undo, Sequence[Target]], Undoing]
) -> Work[Answer]:
    """Read the selection; the work undoes what it can and says of every other item why not."""
    caller.require_administration(codes.forbidden)
    selection = read_selection(call.read_parameters(SELECTION))
    ids, errors = read_identifiers(selection.identifiers, malformed=codes.malformed, repeated=codes.repeated)

    def work(connection: sa.Connection) -> Answer:
        undoer = Undo(
            connection,
            account_id=caller.account_id,
            user_id=caller.user_id,
            reason=call.extensions.reason,
            now=utc_now(),
        )
        if selection.batch_id is None:
            targets: Sequence[Target] | None = undoer.find_enrollments(ids)
        else:
            targets = undoer.find_batch(read_batch_id(selection.batch_id))
        if targets is None:
            raise CallError(codes.unknown_batch, "Unenrollments/BatchID")
        done = undo(undoer, targets)
        refused = {block: ErrorEntry.of_item(codes.obstacles[why], block) for block, why in done.refused.items()}
        entries = [entry for _, entry in sorted((errors | refused).items())]
        change = _describe(codes.action, selection.batch_id, done, len(entries))
        return Answer(bool(done.changed), write_changed(done.changed), entries, change=change)

    return work


def _describe(action: Action, batch_id: str | None, done: Undoing, refused: int) -> Change | None:
    if not done.changed:
        return None
    counts = {**done.counts(), "refused": refused}
    if batch_id is not None:
        return Change(action, f"batch {batch_id}", counts)
    return Change(action, details={**counts, "enrollments": [id_ for id_, _ in done.changed.values()]})
