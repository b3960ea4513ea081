"""The queue: what waits and what became of the rest, paused or running, and a chart of the last hours."""

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.chart import draw_chart
from rollbook.console.request import ConsoleRequest, redirect
from rollbook.errors import UserError
from rollbook.model import UnenrollmentStatus, utc_now
from rollbook.store.people.search import find_ids_of_people
from rollbook.store.queue.history import ItemFilter, find_items
from rollbook.store.queue.hourly import read_hours
from rollbook.store.queue.selection import find_courses
from rollbook.store.queue.state import read_queue
from rollbook.store.queue.workers import is_silent

ROWS = 50
# So many learners or courses a filter by name may mean at most; beyond that it says too little.
NAMED = 500
HOURS = 24


def show_queue(request: ConsoleRequest) -> Response:
    """Show a page of the items that the filters leave; those that wait come in their order, others latest first."""
    account_id, page, now = request.caller.account_id, request.page(), utc_now()
    status = request.text("status") or UnenrollmentStatus.PENDING
    latest_first, items, wrong = status != UnenrollmentStatus.PENDING, [], None
    with request.database.read() as connection:
        state = read_queue(connection, account_id)
        hours = read_hours(connection, account_id, now, state.counts[UnenrollmentStatus.PENDING], HOURS)
        try:
            chosen = read_filter(request, connection, status)
            offset = (page - 1) * ROWS
            items = [*find_items(connection, account_id, chosen, ROWS + 1, offset, latest_first=latest_first)]
        except UserError as error:
            wrong = str(error)
    filters = {name: request.text(name)[:255] for name in ("learner", "course", "batch")}
    return request.render(
        "queue.html",
        wrong=wrong,
        state=state,
        silent=is_silent(state.worker_seen_at, now),
        status=status,
        statuses=[*UnenrollmentStatus],
        filters=filters,
        filtered=any(filters.values()),
        items=items[:ROWS],
        page=page,
        more=len(items) > ROWS,
        chart=draw_chart(hours),
        hours=hours,
    )


def read_filter(request: ConsoleRequest, connection: sa.Connection, status: str) -> ItemFilter:
    """Read which items are meant; `status` is one of them or, when it is none, any. Errors: UserError."""
    account_id, learner, course = request.caller.account_id, request.text("learner")[:255], request.text("course")[:255]
    user_ids = find_ids_of_people(connection, account_id, learner, NAMED + 1) if learner else None
    found = find_courses(connection, account_id, course, limit=NAMED + 1) if course else None
    if len(user_ids or ()) > NAMED or len(found or ()) > NAMED:
        raise UserError(f"More than {NAMED} learners or courses are called that. Say more of the name.")
    return ItemFilter(
        batch_id=request.number("batch"),
        statuses=[status] if status in [*UnenrollmentStatus] else [],
        user_ids=user_ids,
        course_ids=None if found is None else [course.id for course in found],
        through_batch=request.number("through"),
    )


def pause(request: ConsoleRequest) -> Response:
    """Let nothing be processed from now on."""
    with request.database.write() as connection:
        actions.pause(connection, request.actor, request.caller.account_id, utc_now())
        request.tell(connection, "/queue", "The queue is paused. Nothing is processed until it is resumed.")
    return redirect("/queue")


def resume(request: ConsoleRequest) -> Response:
    """Let what is due be processed again."""
    with request.database.write() as connection:
        actions.resume(connection, request.actor, request.caller.account_id)
        request.tell(connection, "/queue", "The queue runs again.")
    return redirect("/queue")
