"""The results of the client's calls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from rollbook.methods.method import Method
from rollbook.methods.remove_unenrollments import NOT_PENDING, REMOVE_UNENROLLMENTS
from rollbook.methods.restore_unenrollments import NOT_UNENROLLED, RESTORE_UNENROLLMENTS
from rollbook.methods.unenroll_learning_modules import QUEUED_ID, UNENROLL_LEARNING_MODULES, UNKNOWN_ID
from rollbook.model import UnenrollmentStatus
from rollbook.wire.answer import ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, read_identifier
from rollbook.wire.messages import Values

ACCEPTED = "accepted"
ACCEPTED_BEFORE = "accepted before"
REFUSED = "refused"

# The codes of an item that an earlier attempt of the call has queued (D13).
QUEUED_BEFORE = {QUEUED_ID.code, UNKNOWN_ID.code}

# The code of an item that an earlier call of the same run has changed.
CHANGED_BEFORE = {
    UNENROLL_LEARNING_MODULES.name: QUEUED_ID,
    REMOVE_UNENROLLMENTS.name: NOT_PENDING,
    RESTORE_UNENROLLMENTS.name: NOT_UNENROLLED,
}


# The outcome of an undo by the item's status: after the undo, and by method before it.
STAYS = {"Removed": "Removed", "Restored": "Restored"}
BECOMES = {
    REMOVE_UNENROLLMENTS.name: {"Pending": "Removed"},
    RESTORE_UNENROLLMENTS.name: {"Pending": "Removed", "Complete": "Restored"},
}


class Outcome(NamedTuple):
    """The outcome of one item: `id` as it was given, `block` its position in its call.

    `status` is `accepted`, `accepted before` or `refused`; for a removed or restored item its new status.
    """

    id: str
    accepted: bool
    status: str
    code: str | None = None
    message: str | None = None
    batch_id: int | None = None
    block: int = 0
    new_id: str | None = None


@dataclass(frozen=True)
class QueueState:
    """The unenrollment queue of the account; `counts` is by status.

    `worker_seen_seconds` is the time since a worker was last seen, None if unknown; `worker_silent` says that no worker
    seems to run.
    """

    paused: bool
    paused_at: datetime | None
    counts: dict[str, int]
    oldest_pending_seconds: int | None
    worker_seen_seconds: int | None = None
    worker_silent: bool = False

    @classmethod
    def of(cls, values: Values) -> "QueueState":
        """Take the state from the values of an answer."""
        paused_at = values.get("paused_at")
        seconds = (values.get("oldest_seconds"), values.get("worker_seconds"))
        return cls(paused_at is not None, paused_at, _counts(values), *seconds, bool(values.get("worker_silent")))


@dataclass(frozen=True)
class Batch:
    """A batch; `counts` is by status, and `Refused`.

    `refusals` are block, identifier and code of refused items, only if a single batch is requested. Until `undo_until`
    every complete item can be undone, or without one an item that is processed now; None: no limit, or nothing to undo.
    """

    id: int
    requested_at: datetime
    requested_by: str | None
    reason: str | None
    counts: dict[str, int]
    refusals: list[tuple[int, str, str]] = field(default_factory=list)
    undo_until: datetime | None = None

    @classmethod
    def of(cls, values: Values) -> "Batch":
        """Take a batch from the values of an answer."""
        return cls(
            values["id"],
            values["requested_at"],
            values.get("requested_by_email"),
            values.get("reason"),
            {**_counts(values), "Refused": values.get("refused") or 0},
            [
                (refusal.get("block") or 0, refusal.get("identifier") or "", refusal.get("code") or "")
                for refusal in values.get("refusals", ())
            ],
            values.get("undo_until"),
        )


def read_outcomes(
    done: Sequence[Values],
    errors: Sequence[ErrorEntry],
    ids: Mapping[int, str],
    *,
    batch_id: int | None = None,
    in_doubt: bool = False,
) -> list[Outcome]:
    """Return the outcome of every block; `done` are the items of Info, with a `new_id` for new enrollments.

    `in_doubt`: an earlier attempt of the call may have succeeded.
    """
    by_block = {item["block"]: item for item in done if item.get("block")}
    refused = {error.block: error for error in errors}
    outcomes = []
    for block, id_ in sorted(ids.items()):
        if block in by_block:
            item = by_block[block]
            status, new_id = item.get("status") or ACCEPTED, item.get("new_id")
            outcomes.append(Outcome(id_, True, status, None, None, batch_id, block, new_id))
        elif block in refused:
            code, message = refused[block].code, refused[block].message
            before = in_doubt and code in QUEUED_BEFORE
            outcomes.append(Outcome(id_, before, ACCEPTED_BEFORE if before else REFUSED, code, message, block=block))
        else:
            outcomes.append(Outcome(id_, False, REFUSED, message="The answer lacks this item.", block=block))
    return outcomes


def read_large_batch(
    rows: Iterable[Mapping[str, str]], errors: Sequence[ErrorEntry], batch_id: int, becomes: Mapping[str, str]
) -> Iterator[Outcome]:
    """Yield the outcome of every item of a batch, by its row in the queue's history and the errors of the answer.

    An answer has at most 1,000 errors: beyond them, an item that an earlier call has undone counts as undone.
    """
    refused = {error.block: error for error in errors}
    for row in rows:
        block, id_ = int(row["Block"]), row[IDENTIFIER]
        status = becomes.get(row.get("Status", ""))
        if block in refused:
            yield Outcome(id_, False, REFUSED, refused[block].code, refused[block].message, block=block)
        elif status is None:
            yield Outcome(id_, False, REFUSED, message="The answer has no reason.", block=block)
        else:
            yield Outcome(id_, True, status, batch_id=batch_id, block=block)


def _counts(values: Values) -> dict[str, int]:
    return {str(status): values.get(status.lower()) or 0 for status in UnenrollmentStatus}


def refuse_repeated(method: Method, outcomes: Iterable[Outcome], accepted: set[int | None]) -> Iterator[Outcome]:
    """Refuse in a dry run the ids that an earlier call has `accepted`: the server tries out each call on its own."""
    for outcome in outcomes:
        id_ = read_identifier(outcome.id)
        if outcome.accepted and id_ in accepted:
            error = ErrorEntry.of_item(CHANGED_BEFORE[method.name], outcome.block)
            yield Outcome(outcome.id, False, REFUSED, error.code, error.message, block=outcome.block)
        else:
            if outcome.accepted:
                accepted.add(id_)
            yield outcome
