"""getUnenrollments: the items of the queue and its history, in pages or as a feed of changes (D20)."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_batches import ROWS
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import UnenrollmentStatus, describe_progress
from rollbook.wire.identifiers import IDENTIFIER, NUMBER, REFERENCE
from rollbook.wire.messages import Element, Kind, Values, info, optional, parameters, record
from rollbook.wire.paging import MAX_SIZE, PAGING, Pagination
from rollbook.wire.values import MAX_ITEMS, TIME, one_of

FORBIDDEN = WireCode("GUN:01", "The required permissions are not met to call the getUnenrollments method.")


def _read_cursor(text: str) -> str:
    if not re.fullmatch(r"\d{1,18}-\d{1,18}-\d{1,9}", text, re.ASCII):
        raise ValueError("not a cursor")
    return text


CURSOR = Kind("cursor", "5-7-1", _read_cursor)
STATUS = one_of(*UnenrollmentStatus)


def _read_end(text: str) -> datetime:
    """Read a day or a time as the first moment after it, or the last one of the calendar; errors: ValueError."""
    length = timedelta(milliseconds=1) if ":" in text else timedelta(days=1)
    last = datetime.max.replace(tzinfo=UTC)
    start: datetime = TIME.read(text)
    return start + length if start < last - length else last


def _check_range(values: Values) -> None:
    first, before = values.get("requested_from"), values.get("requested_before")
    if first and before and before <= first:
        raise ValueError("RequestedDateTo is before RequestedDateFrom")


FILTERS = record(
    "Filters",
    optional("BatchID", "batch_id", REFERENCE, help="items of this batch"),
    optional("Status", "statuses", STATUS, most=len(UnenrollmentStatus), help="items in one of these states"),
    optional(IDENTIFIER, "enrollment_ids", REFERENCE, most=MAX_ITEMS, help="items of these enrollments"),
    optional("RequestedDateFrom", "requested_from", TIME, help="requested at that time or later"),
    optional(
        "RequestedDateTo", "requested_before", replace(TIME, read=_read_end), help="requested at that time or earlier"
    ),
    optional("FinishedDateFrom", "finished_from", TIME, help="begins a feed: items that left the queue since then"),
    least=0,
    check=_check_range,
)
AFTER = optional("After", "after", CURSOR, help="continues a feed: the `after` of the last answer")
TAKES = parameters(record("Unenrollments", *PAGING, AFTER, FILTERS))

ITEM = record(
    "Unenrollment",
    Element("BatchID", "batch_id", NUMBER),
    Element("Block", "block", NUMBER, help="the position in its batch"),
    Element(IDENTIFIER, "enrollment_id", NUMBER),
    Element("Status", "status", STATUS),
    Element("RequestedDate", "requested_at", TIME),
    Element("RequestedBy", "requested_by"),
    Element("Reason", "reason"),
    Element("Learner", "learner", help="given name and family name"),
    Element("LearnerEmail", "learner_email"),
    Element("CourseName", "course"),
    Element("SessionName", "session"),
    Element("EnrolledOrigin", "origin", help="the group"),
    Element("EnrolledDate", "enrolled_at", TIME),
    Element(
        "Progress",
        "shown_progress",
        help="`Not Started`, a percentage, a text such as `Waiting for Grading`, or empty after retention",
    ),
    Element("Notes", "notes"),
    Element("DueDate", "due_at", TIME),
    Element("FinishedDate", "finished_at", TIME),
    Element("RemovedBy", "removed_by"),
    Element("RestoredDate", "restored_at", TIME),
    Element("RestoredBy", "restored_by"),
    field="items",
    least=0,
    most=MAX_SIZE,
)
NEXT = optional("after", "after", CURSOR, help="only in a feed: the cursor of the next page")
GIVES = info(record("Unenrollments", ITEM, attributes=(ROWS, NEXT)))


def get_unenrollments(call: MethodCall) -> MethodResult:
    """Return the items that match the filters."""
    values, page = call.values, Pagination.of(call.values)
    chosen = _filter(values)
    rows = store.history.find_items(call.connection, call.caller.account_id, chosen, page.size, page.offset)
    after = None
    if chosen.by_change:
        # Without news the cursor stays the same.
        after = f"{rows[-1].change}-{rows[-1].batch_id}-{rows[-1].block}" if rows else values.get("after")
    return MethodResult({"rows": len(rows), "after": after, "items": [_item(row) for row in rows]})


def _filter(values: Values) -> "store.history.ItemFilter":
    after = values.get("after")
    return store.history.ItemFilter(
        batch_id=values.get("batch_id"),
        statuses=values.get("statuses", ()),
        enrollment_ids=values.get("enrollment_ids", ()),
        requested_from=values.get("requested_from"),
        requested_before=values.get("requested_before"),
        finished_from=values.get("finished_from"),
        after=store.history.Cursor(*map(int, after.split("-"))) if after else None,
    )


def _item(row: Any) -> dict[str, Any]:
    learner = f"{row.given_name} {row.family_name}".strip()
    kept = row.purged_at is None
    shown = describe_progress(row.progress, row.started_at, row.completed_at) if kept else None
    return {**row._mapping, "learner": learner, "shown_progress": shown}


GET_UNENROLLMENTS = Method(
    "getUnenrollments",
    help="Gives the items of the queue and its history, in pages or as a feed of changes.",
    takes=TAKES,
    gives=GIVES,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=False,
    run=get_unenrollments,
)
