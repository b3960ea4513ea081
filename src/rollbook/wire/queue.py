"""The queue's methods on the wire: what a call selects, and how items, batches and the queue are written (D20)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lxml import etree

from rollbook.errors import WRONG_STRUCTURE, CallError
from rollbook.model import UnenrollmentStatus
from rollbook.wire.answer import Markup, element
from rollbook.wire.dates import write_time
from rollbook.wire.identifiers import IDENTIFIER, MOST_ITEMS, read_identifier
from rollbook.wire.shape import TEXT, Shape
from rollbook.wire.xml import read_texts, text_of

BATCH_ID = Shape(least=0)
SELECTION = Shape(
    {"Unenrollments": Shape({"BatchID": BATCH_ID, "Unenrollment": Shape({IDENTIFIER: TEXT}, least=0, most=MOST_ITEMS)})}
)
# The methods that take nothing still need something in Parameters, or they would be SU:09.
NOTHING_ASKED = Shape({"UnenrollmentQueue": TEXT})


@dataclass(frozen=True)
class Selection:
    """A whole batch, or enrolments one by one."""

    batch_id: str | None
    identifiers: Sequence[str]


def read_selection(parameters: etree._Element) -> Selection:
    """Read what is to be removed or restored; errors: SU:12 unless it is a batch or some enrolments."""
    batch = parameters.find("Unenrollments/BatchID")
    identifiers = read_texts(parameters, IDENTIFIER)
    if (batch is None) == (not identifiers):
        raise CallError(WRONG_STRUCTURE, "Unenrollments holds either BatchID or Unenrollment elements")
    return Selection(None if batch is None else text_of(batch), identifiers)


def read_batch_id(text: str) -> int:
    """Read a batch's number; 0, which no batch has, for what is no number."""
    return read_identifier(text) or 0


def write_changed(changed: Mapping[int, tuple[int, str]]) -> Markup:
    """Write (enrolment, new status) by block; empty when nothing changed."""
    items = "".join(
        f'<Unenrollment block="{block}">{element(IDENTIFIER, id_)}{element("Status", status)}</Unenrollment>'
        for block, (id_, status) in sorted(changed.items())
    )
    return Markup(f"<Unenrollments>{items}</Unenrollments>" if items else "")


def write_items(rows: Sequence[Any], cursor: str | None) -> Markup:
    """Write items as store/history reads them; `cursor` is where a feed goes on after them."""
    after = "" if cursor is None else f' after="{cursor}"'
    items = "".join(f"<Unenrollment>{_item(row)}</Unenrollment>" for row in rows)
    return Markup(f'<Unenrollments rows="{len(rows)}"{after}>{items}</Unenrollments>')


def _item(row: Any) -> str:
    values: dict[str, object] = {
        "BatchID": row.batch_id,
        "Block": row.block,
        IDENTIFIER: row.enrollment_id,
        "Status": row.status,
        "RequestedDate": _time(row.requested_at),
        "RequestedBy": row.requested_by,
        "Reason": row.reason,
        "Learner": f"{row.given_name} {row.family_name}".strip(),
        "LearnerEmail": row.learner_email,
        "CourseName": row.course,
        "SessionName": row.session,
        "EnrolledOrigin": row.origin,
        "EnrolledDate": _time(row.enrolled_at),
        "Progress": _progress(row),
        "Notes": row.notes,
        "DueDate": _time(row.due_at),
        "FinishedDate": _time(row.finished_at),
        "RemovedBy": row.removed_by,
        "RestoredDate": _time(row.restored_at),
        "RestoredBy": row.restored_by,
    }
    return "".join(element(name, value) for name, value in values.items())


def _progress(row: Any) -> str:
    """Say how far the learner had come, as the queue shows it (protocol §7); nothing once that was purged."""
    if row.purged_at is not None:
        return ""
    if row.progress is not None:
        return f"{row.progress}%"
    return "Not Started" if row.started_at is None else "0%"


def write_batches(rows: Sequence[Any], refusals: Sequence[Any]) -> Markup:
    """Write batches with their counts, and the refusals of the one batch that was asked for."""
    batches = "".join(f"<UnenrollmentBatch>{_batch(row)}{_refusals(refusals)}</UnenrollmentBatch>" for row in rows)
    return Markup(f'<UnenrollmentBatches rows="{len(rows)}">{batches}</UnenrollmentBatches>')


def _batch(row: Any) -> str:
    values: dict[str, object] = {
        "BatchID": row.id,
        "RequestedDate": _time(row.requested_at),
        "RequestedBy": row.requested_by_email,
        "Reason": row.reason,
        "IdempotencyKey": row.idempotency_key,
        **{str(status): getattr(row, status.lower()) for status in UnenrollmentStatus},
        "Refused": row.refused,
    }
    return "".join(element(name, value) for name, value in values.items())


def _refusals(rows: Sequence[Any]) -> str:
    return "".join(
        f'<Refusal block="{row.block}">{element(IDENTIFIER, row.identifier)}{element("ErrorID", row.code)}</Refusal>'
        for row in rows
    )


def write_queue(
    paused_at: datetime | None, counts: Mapping[UnenrollmentStatus, int], oldest_at: datetime | None, now: datetime
) -> Markup:
    """Write the state of a queue; the age of the oldest pending item is in whole seconds."""
    age = None if oldest_at is None else max(0, int((now - oldest_at).total_seconds()))
    values: dict[str, object] = {
        "Paused": "false" if paused_at is None else "true",
        "PausedDate": _time(paused_at),
        **{str(status): count for status, count in counts.items()},
        "OldestPendingDate": _time(oldest_at),
        "OldestPendingSeconds": age,
    }
    return Markup(f"<UnenrollmentQueue>{''.join(element(*pair) for pair in values.items())}</UnenrollmentQueue>")


def _time(value: datetime | None) -> str | None:
    return None if value is None else write_time(value)
