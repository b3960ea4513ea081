"""The queue: what waits and what became of the rest, paused or running, and a picture of the last hours."""

from starlette.responses import Response

from rollbook.console.picture import draw_hours
from rollbook.console.visit import Visit, redirect
from rollbook.model import Action, Change, UnenrollmentStatus, utc_now
from rollbook.store.history import ItemFilter, find_items
from rollbook.store.hours import read_hours
from rollbook.store.queue import pause_queue, read_queue, resume_queue

ROWS = 50
HOURS = 24


def show_queue(visit: Visit) -> Response:
    """Show a page of the items that the filters leave; those that wait come in their order, others latest first."""
    account_id, page, now = visit.caller.account_id, visit.page(), utc_now()
    status = visit.text("status") or UnenrollmentStatus.PENDING
    chosen = read_filter(visit, status)
    latest_first = status != UnenrollmentStatus.PENDING
    with visit.database.read() as connection:
        state = read_queue(connection, account_id)
        hours = read_hours(connection, account_id, now, state.counts[UnenrollmentStatus.PENDING], HOURS)
        offset = (page - 1) * ROWS
        items = find_items(connection, account_id, chosen, ROWS + 1, offset, latest_first=latest_first)
    filters = {"learner": chosen.learner, "course": chosen.course, "batch": chosen.batch_id or ""}
    return visit.render(
        "queue.html",
        state=state,
        status=status,
        statuses=[*UnenrollmentStatus],
        filters=filters,
        filtered=any(filters.values()),
        items=items[:ROWS],
        page=page,
        more=len(items) > ROWS,
        picture=draw_hours(hours),
        hours=hours,
    )


def read_filter(visit: Visit, status: str) -> ItemFilter:
    """Read which items are meant; `status` is one of them or, when it is none, any."""
    known = [status] if status in [*UnenrollmentStatus] else []
    learner, course = visit.text("learner")[:255], visit.text("course")[:255]
    batch, through = visit.number("batch"), visit.number("through")
    return ItemFilter(batch_id=batch, statuses=known, learner=learner, course=course, through_batch=through)


def pause(visit: Visit) -> Response:
    """Let nothing be processed from now on."""
    with visit.database.write() as connection:
        if pause_queue(connection, visit.caller.account_id, utc_now()):
            visit.record(connection, Change(Action.PAUSE))
    return redirect("/queue", done="paused")


def resume(visit: Visit) -> Response:
    """Let what is due be processed again."""
    with visit.database.write() as connection:
        if resume_queue(connection, visit.caller.account_id):
            visit.record(connection, Change(Action.RESUME))
    return redirect("/queue", done="resumed")
