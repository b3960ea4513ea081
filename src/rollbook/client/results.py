"""What the client's calls give back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rollbook.errors import UNENROLL_QUEUED_ID, UNENROLL_UNKNOWN_ID
from rollbook.wire.reading import Reply, read_done

ACCEPTED = "accepted"
ACCEPTED_BEFORE = "accepted before"
REFUSED = "refused"

# What an item answers that a call has taken already whose answer was lost (D13).
TAKEN_BEFORE = {UNENROLL_QUEUED_ID.code, UNENROLL_UNKNOWN_ID.code}


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `id` as it was given, `block` its place in the call that it went with.

    `status` is `accepted`, `accepted before` or `refused`; of an item that was removed or restored, its new status.
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
    """The unenrollment queue of the account: `counts` is by status."""

    paused: bool
    paused_at: datetime | None
    counts: dict[str, int]
    oldest_pending_seconds: int | None


@dataclass(frozen=True)
class Batch:
    """A call that was accepted: `counts` is by status, and `Refused`.

    `refusals` are block, identifier and code of what it refused, only when one batch was asked for.
    """

    id: int
    requested_at: datetime
    requested_by: str | None
    reason: str | None
    counts: dict[str, int]
    refusals: list[tuple[int, str, str]] = field(default_factory=list)


def read_outcomes(
    reply: Reply, ids: Mapping[int, str], *, batch_id: int | None = None, in_doubt: bool = False, enrolled: bool = False
) -> list[Outcome]:
    """Tell for every block what became of it.

    `in_doubt`: an earlier attempt of the call may have been carried out. `enrolled`: Info tells new enrolments.
    """
    done = read_done(reply)
    errors = {error.block: error for error in reply.errors}
    outcomes = []
    for block, id_ in sorted(ids.items()):
        if block in done:
            new_id = done[block].enrollment_id if enrolled else None
            status = done[block].status or ACCEPTED
            outcomes.append(Outcome(id_, True, status, batch_id=batch_id, block=block, new_id=new_id))
        elif block in errors:
            code, message = errors[block].code, errors[block].message
            taken = in_doubt and code in TAKEN_BEFORE
            outcomes.append(Outcome(id_, taken, ACCEPTED_BEFORE if taken else REFUSED, code, message, block=block))
        else:
            outcomes.append(Outcome(id_, False, REFUSED, message="The answer says nothing of this item.", block=block))
    return outcomes
