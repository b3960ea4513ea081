"""The queue page: running or paused, a chart of the last hours, the items by status; pause and resume."""

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.chart import draw_chart
from rollbook.console.downloads import CHUNK, in_chunks, send_csv
from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.views.batches import COLUMNS, cells
from rollbook.errors import UserError
from rollbook.model import UnenrollmentStatus, utc_now
from rollbook.store.operations.first_steps import read_first_steps
from rollbook.store.people.search import find_ids_of_people
from rollbook.store.queue.history import ItemFilter, find_items, find_latest_batch
from rollbook.store.queue.hourly import read_hours
from rollbook.store.queue.selection import find_courses
from rollbook.store.queue.state import read_queue
from rollbook.store.queue.workers import is_silent

ITEMS_PER_PAGE = 50
CHART_HOURS = 24
# The most learners or courses that a filter by name may match.
MAX_MATCHES = 500
FILTERS = ("learner", "course", "batch", "from", "to")


def show_queue(request: ConsoleRequest) -> Response:
    """Show the queue and a page of the filtered items: pending ones in their order, others latest first."""
    account_id, page, now = request.caller.account_id, request.page(), utc_now()
    status = request.text("status") or UnenrollmentStatus.PENDING
    request.search_people("learner")
    _, latest_first = request.sort(("batch",), "batch" if status == UnenrollmentStatus.PENDING else "-batch")
    items, problem = [], None
    with request.database.read() as connection:
        latest = find_latest_batch(connection, account_id)
        state = read_queue(connection, account_id)
        # Until the first batch.
        steps = None if any(state.counts.values()) else read_first_steps(connection, account_id)
        hours = read_hours(connection, account_id, now, state.counts[UnenrollmentStatus.PENDING], CHART_HOURS)
        try:
            chosen = read_filter(request, connection, status)
            offset = (page - 1) * ITEMS_PER_PAGE
            items = [*find_items(connection, account_id, chosen, ITEMS_PER_PAGE + 1, offset, latest_first=latest_first)]
        except UserError as error:
            problem = str(error)
    filters = {name: request.text(name)[:255] for name in FILTERS}
    return request.render(
        "queue.html",
        code=422 if problem else 200,
        error=problem,
        steps=None if steps is None or steps.done else steps,
        state=state,
        latest=latest,
        silent=is_silent(state.worker_seen_at, now),
        status=status,
        sort="-batch" if latest_first else "batch",
        statuses=[*UnenrollmentStatus],
        filters=filters,
        filtered=any(filters.values()),
        items=items[:ITEMS_PER_PAGE],
        page=page,
        more=len(items) > ITEMS_PER_PAGE,
        chart=draw_chart(hours),
        hours=hours,
    )


def download_queue(request: ConsoleRequest) -> Response:
    """Send the filtered items as CSV."""
    request.search_people("learner")
    account_id, status = request.caller.account_id, request.text("status") or UnenrollmentStatus.PENDING
    with request.database.read() as connection:
        chosen = read_filter(request, connection, status)
    chunks = in_chunks(request, lambda connection, offset: find_items(connection, account_id, chosen, CHUNK, offset))
    return send_csv("queue", COLUMNS, (map(cells, items) for items in chunks))


def read_filter(request: ConsoleRequest, connection: sa.Connection, status: str) -> ItemFilter:
    """Read the filter; the `status` All means any. Errors: UserError."""
    if status not in (*UnenrollmentStatus, "All"):
        raise UserError(f"“{status[:20]}” is not a status.")
    account_id, learner, course = request.caller.account_id, request.search("learner"), request.search("course")
    user_ids = find_ids_of_people(connection, account_id, learner, MAX_MATCHES + 1) if learner else None
    found = find_courses(connection, account_id, course, limit=MAX_MATCHES + 1) if course else None
    if len(user_ids or ()) > MAX_MATCHES or len(found or ()) > MAX_MATCHES:
        raise UserError(f"More than {MAX_MATCHES} learners or courses match. Enter more of the name.")
    first, before = request.days()
    return ItemFilter(
        requested_from=first,
        requested_before=before,
        batch_id=request.number("batch"),
        statuses=[] if status == "All" else [status],
        user_ids=user_ids,
        course_ids=None if found is None else [course.id for course in found],
        through_batch=request.number("through"),
    )


def pause(request: ConsoleRequest) -> Response:
    """Pause the queue."""

    def work(connection: sa.Connection) -> None:
        actions.pause(connection, request.actor, request.caller.account_id, utc_now())
        request.notify(connection, "/queue", "The queue is paused. Nothing is processed until it is resumed.")

    request.database.transact(work)
    return redirect("/queue")


def resume(request: ConsoleRequest) -> Response:
    """Resume the queue."""

    def work(connection: sa.Connection) -> None:
        actions.resume(connection, request.actor, request.caller.account_id)
        request.notify(connection, "/queue", "The queue is running again.")

    request.database.transact(work)
    return redirect("/queue")
