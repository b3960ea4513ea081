"""Batches: who, when, why and with what outcome; what each did, item by item, on a page and as CSV."""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response, StreamingResponse

from rollbook.console.render import REFUSALS, person, progress
from rollbook.console.request import ConsoleRequest, PageError
from rollbook.model import utc_now
from rollbook.spreadsheets import Writer
from rollbook.store.learning.retention import find_undo_term
from rollbook.store.queue.history import ItemFilter, find_batches, find_items, find_refusals
from rollbook.store.queue.state import read_batch_state
from rollbook.store.queue.workers import is_silent

BATCHES = 50
ITEMS = 100
CHUNK = 2000
# Refused items on the page of a batch; all of them are in its CSV.
REFUSED = 200

COLUMNS = (
    *("Batch", "Block", "AccountUserLearningModuleRelID", "Outcome", "Note", "Learner", "E-mail", "Course", "Session"),
    *("Group", "Enrolled", "Progress", "Requested", "Requested by", "Reason", "Finished", "Removed by", "Restored"),
    "Restored by",
)


def show_batches(request: ConsoleRequest) -> Response:
    """List the batches, the latest first."""
    page = request.page()
    with request.database.read() as connection:
        found = find_batches(connection, request.caller.account_id, None, BATCHES + 1, (page - 1) * BATCHES)
    return request.render("batches.html", batches=found[:BATCHES], page=page, more=len(found) > BATCHES)


def show_batch(request: ConsoleRequest) -> Response:
    """Show one batch with a page of its items, and everything that it refused."""
    account_id, page, now = request.caller.account_id, request.page(), utc_now()
    with request.database.read() as connection:
        batch = find_batch(request, connection)
        only = ItemFilter(batch_id=batch.id)
        items = find_items(connection, account_id, only, ITEMS + 1, (page - 1) * ITEMS)
        refused = find_refusals(connection, account_id, batch.id, REFUSED) if page == 1 else []
        term = find_undo_term(connection, account_id, batch.id, now)
        state = read_batch_state(connection, account_id, batch.id, now)
    silent = is_silent(state.worker_seen_at, now)
    return request.render(
        "batch.html",
        batch=batch,
        term=term,
        state=state,
        silent=state.due and silent,
        busy=state.due and not silent and state.paused_at is None,
        items=items[:ITEMS],
        refused=refused,
        page=page,
        more=len(items) > ITEMS,
    )


def find_batch(request: ConsoleRequest, connection: Any) -> Any:
    """Read the batch that the address names; errors: PageError 404, also for one of another account."""
    found = find_batches(connection, request.caller.account_id, request.numbers["batch"], 1, 0)
    if not found:
        raise PageError(404, f"This account has no batch {request.numbers['batch']}.")
    return found[0]


def download_batch(request: ConsoleRequest) -> Response:
    """Send every item of a batch, and what it refused, as CSV."""
    with request.database.read() as connection:
        batch = find_batch(request, connection)
    name = f'attachment; filename="rollbook-batch-{batch.id}.csv"'
    return StreamingResponse(_csv(request, batch.id), headers={"Content-Disposition": name}, media_type="text/csv")


def _csv(request: ConsoleRequest, batch_id: int) -> Iterator[str]:
    account_id = request.caller.account_id

    def pages(read: Callable[[sa.Connection, int], Sequence[Any]]) -> Iterator[Sequence[Any]]:
        for offset in count(0, CHUNK):
            with request.database.read() as connection:
                rows = read(connection, offset)
            yield rows
            if len(rows) < CHUNK:
                return

    yield _lines([COLUMNS])
    only = ItemFilter(batch_id=batch_id)
    for items in pages(lambda connection, offset: find_items(connection, account_id, only, CHUNK, offset)):
        yield _lines([_cells(item) for item in items])
    for refused in pages(lambda connection, offset: find_refusals(connection, account_id, batch_id, CHUNK, offset)):
        yield _lines([(batch_id, r.block, r.identifier, "Refused", REFUSALS.get(r.code, r.code)) for r in refused])


def _cells(item: Any) -> Sequence[object]:
    return (
        *(item.batch_id, item.block, item.enrollment_id, item.status, item.notes),
        *(person(item), item.learner_email, item.course, item.session, item.origin),
        *(item.enrolled_at, progress(item), item.requested_at, item.requested_by, item.reason),
        *(item.finished_at, item.removed_by, item.restored_at, item.restored_by),
    )


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = Writer(text)
    for row in rows:
        writer.write(row)
    return text.getvalue()
