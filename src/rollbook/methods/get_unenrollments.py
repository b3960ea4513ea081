"""getUnenrollments: the items of the queue and its history, page by page or as a feed of changes (D20)."""

import re
from datetime import datetime, timedelta

import sqlalchemy as sa
from lxml import etree

from rollbook.errors import GET_UNENROLLMENTS_FORBIDDEN, WRONG_STRUCTURE, CallError
from rollbook.model import Caller, UnenrollmentStatus
from rollbook.store.engine import Work
from rollbook.store.history import Cursor, ItemFilter, find_items
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call
from rollbook.wire.dates import read_time
from rollbook.wire.identifiers import IDENTIFIER, MOST_ITEMS
from rollbook.wire.paging import PAGING, read_page
from rollbook.wire.queue import BATCH_ID, read_batch_id, write_items
from rollbook.wire.shape import Shape
from rollbook.wire.xml import read_texts, text_at

_ONCE = Shape(least=0)
FILTERS = Shape(
    {
        "BatchID": BATCH_ID,
        "Status": Shape(least=0, most=len(UnenrollmentStatus)),
        IDENTIFIER: Shape(least=0, most=MOST_ITEMS),
        "RequestedDateFrom": _ONCE,
        "RequestedDateTo": _ONCE,
        "FinishedDateFrom": _ONCE,
    },
    least=0,
)
SHAPE = Shape({"Unenrollments": Shape({**PAGING, "After": _ONCE, "Filters": FILTERS})})
CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,9})", re.ASCII)


def get_unenrollments(caller: Caller, call: Call) -> Work[Answer]:
    """Answer the items that the filters choose; errors: GUN:01, SU:12, SU:13."""
    caller.require_administration(GET_UNENROLLMENTS_FORBIDDEN)
    asked = call.read_parameters(SHAPE)[0]
    page = read_page(asked)
    chosen = _read_filter(asked)

    def get(connection: sa.Connection) -> Answer:
        rows = find_items(connection, caller.account_id, chosen, page.size, page.offset)
        cursor = None
        if chosen.by_change:
            # With nothing new a poller goes on where it was.
            last = (rows[-1].change, rows[-1].batch_id, rows[-1].block) if rows else None
            cursor = "-".join(map(str, last)) if last else text_at(asked, "After")
        return Answer(True, write_items(rows, cursor))

    return get


def _read_filter(asked: etree._Element) -> ItemFilter:
    identifiers = [read_batch_id(text) for text in read_texts(asked, IDENTIFIER)]
    statuses = read_texts(asked, "Status")
    if not set(statuses) <= set(UnenrollmentStatus):
        raise CallError(WRONG_STRUCTURE, f"Filters/Status is none of {', '.join(UnenrollmentStatus)}")
    batch_id = text_at(asked, "Filters/BatchID")
    requested_from = _read_moment(asked, "Filters/RequestedDateFrom")
    requested_before = _read_moment(asked, "Filters/RequestedDateTo", end=True)
    if requested_from and requested_before and requested_before <= requested_from:
        raise CallError(WRONG_STRUCTURE, "Filters/RequestedDateTo is before RequestedDateFrom")
    return ItemFilter(
        batch_id=read_batch_id(batch_id) if batch_id else None,
        statuses=statuses,
        enrollment_ids=identifiers,
        requested_from=requested_from,
        requested_before=requested_before,
        finished_from=_read_moment(asked, "Filters/FinishedDateFrom"),
        after=_read_cursor(text_at(asked, "After")),
    )


def _read_moment(asked: etree._Element, path: str, *, end: bool = False) -> datetime | None:
    """Read a day or a time of day in UTC; with `end`, the first moment after it."""
    text = text_at(asked, path)
    if text is None:
        return None
    length = timedelta(milliseconds=1) if ":" in text else timedelta(days=1)
    try:
        return read_time(text) + (length if end else timedelta())
    except (ValueError, OverflowError):
        raise CallError(WRONG_STRUCTURE, f"{path} is no date") from None


def _read_cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    found = CURSOR.fullmatch(text)
    if found is None:
        raise CallError(WRONG_STRUCTURE, "After is not what an answer gave as after")
    return Cursor(*map(int, found.groups()))
