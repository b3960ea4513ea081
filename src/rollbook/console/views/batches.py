"""Batch pages: the list of batches; one batch with its items and refusals, as a page and as CSV."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from rollbook.console.downloads import CHUNK, Rows, in_chunks, send_csv
from rollbook.console.render import person, progress, status_name
from rollbook.console.request import ConsoleRequest, PageError
from rollbook.methods.refusals import say_refusal
from rollbook.model import utc_now
from rollbook.store.learning.retention import find_undo_terms
from rollbook.store.queue.history import ItemFilter, find_batches, find_items, find_refusals
from rollbook.store.queue.state import read_batch_state
from rollbook.store.queue.workers import is_silent

BATCHES_PER_PAGE = 50
ITEMS_PER_PAGE = 100
# The CSV has all refusals.
REFUSALS_SHOWN = 200

FILTERS = ("search", "from", "to")
BATCH_COLUMNS = (
    *("Batch", "Requested", "Requested by", "Reason"),
    *("Pending", "Unenrolled", "Removed", "Failed", "Restored", "Refused"),
)
COLUMNS = (
    *("Batch", "Block", "AccountUserLearningModuleRelID", "Outcome", "Note", "Learner", "E-mail", "Course", "Session"),
    *("Group", "Enrolled", "Progress", "Requested", "Requested by", "Reason", "Finished", "Removed by", "Restored"),
    "Restored by",
)


def show_batches(request: ConsoleRequest) -> Response:
    """List the batches that match a search, by default latest first, each with the end of its undo."""
    account_id, page, search = request.caller.account_id, request.page(), request.search_people("search")
    days, (_, latest) = request.days(), request.sort(("batch",), "-batch")
    with request.database.read() as connection:
        offset = (page - 1) * BATCHES_PER_PAGE
        found = find_batches(
            connection, account_id, None, BATCHES_PER_PAGE + 1, offset, search, days, latest_first=latest
        )
        batches = found[:BATCHES_PER_PAGE]
        terms = find_undo_terms(connection, account_id, [batch.id for batch in batches], utc_now())
    more = len(found) > len(batches)
    filters = {name: request.text(name)[:255] for name in FILTERS}
    sort = "-batch" if latest else "batch"
    return request.render(
        "batches.html", batches=batches, terms=terms, filters=filters, sort=sort, page=page, more=more
    )


def download_batches(request: ConsoleRequest) -> Response:
    """Send the batches that match a search as CSV."""
    search, days = request.search_people("search"), request.days()
    read = partial(find_batches, account_id=request.caller.account_id, batch_id=None, limit=CHUNK)
    chunks = in_chunks(request, lambda connection, offset: read(connection, offset=offset, search=search, days=days))
    return send_csv("batches", BATCH_COLUMNS, ([_batch_cells(batch) for batch in part] for part in chunks))


def _batch_cells(batch: Any) -> Sequence[object]:
    counts = (getattr(batch, name) for name in ("pending", "complete", "removed", "failed", "restored", "refused"))
    return (batch.id, batch.requested_at, batch.requested_by_email or "the operator", batch.reason, *counts)


def show_batch(request: ConsoleRequest) -> Response:
    """Show a batch: its state, a page of its items, and its refusals."""
    account_id, page, now = request.caller.account_id, request.page(), utc_now()
    with request.database.read() as connection:
        batch = find_batch(request, connection)
        offset = (page - 1) * ITEMS_PER_PAGE
        items = find_items(connection, account_id, ItemFilter(batch_id=batch.id), ITEMS_PER_PAGE + 1, offset)
        refused = find_refusals(connection, account_id, batch.id, REFUSALS_SHOWN) if page == 1 else []
        term = find_undo_terms(connection, account_id, [batch.id], now)[batch.id]
        state = read_batch_state(connection, account_id, batch.id, now)
    silent = is_silent(state.worker_seen_at, now)
    return request.render(
        "batch.html",
        batch=batch,
        term=term,
        state=state,
        silent=state.due and silent,
        busy=state.due and not silent and state.paused_at is None,
        items=items[:ITEMS_PER_PAGE],
        refused=refused,
        page=page,
        more=len(items) > ITEMS_PER_PAGE,
    )


def find_batch(request: ConsoleRequest, connection: Any, number: int | None = None) -> Any:
    """Read a batch, by default that of the address; errors: PageError 404, also for a batch of another account."""
    number = request.numbers["batch"] if number is None else number
    found = find_batches(connection, request.caller.account_id, number, 1, 0)
    if not found:
        raise PageError(404, f"This account has no batch {number}.")
    return found[0]


def download_batch(request: ConsoleRequest) -> Response:
    """Send the items and refusals of a batch as CSV."""
    with request.database.read() as connection:
        batch = find_batch(request, connection)
    return send_csv(f"batch-{batch.id}", COLUMNS, _rows(request, batch.id))


def _rows(request: ConsoleRequest, batch_id: int) -> Iterator[Rows]:
    account_id, only = request.caller.account_id, ItemFilter(batch_id=batch_id)
    for items in in_chunks(request, lambda connection, offset: find_items(connection, account_id, only, CHUNK, offset)):
        yield map(cells, items)
    read = partial(find_refusals, account_id=account_id, batch_id=batch_id, limit=CHUNK)
    for refused in in_chunks(request, lambda connection, offset: read(connection, offset=offset)):
        yield [(batch_id, r.block, r.identifier, "Refused", say_refusal(r.code)) for r in refused]


def cells(item: Any) -> Sequence[object]:
    """Return the cells of an item in COLUMNS."""
    return (
        *(item.batch_id, item.block, item.enrollment_id, status_name(item.status), item.notes),
        *(person(item), item.learner_email, item.course, item.session, item.origin),
        *(item.enrolled_at, progress(item), item.requested_at, item.requested_by, item.reason),
        *(item.finished_at, item.removed_by, item.restored_at, item.restored_by),
    )
