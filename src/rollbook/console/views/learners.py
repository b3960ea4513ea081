"""Learner pages: search; one learner's enrollments and their history, unenroll, activate and deactivate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.downloads import CHUNK, Rows, send_csv
from rollbook.console.render import person
from rollbook.console.request import ConsoleRequest, PageError, change
from rollbook.console.views.account import account_of
from rollbook.console.views.unenroll import keep_choice, read_ticked
from rollbook.errors import UserError
from rollbook.model import Role, UnenrollmentStatus
from rollbook.store.people.search import MAX_SORTED, ORDERS, find_enrollments_of, find_people, find_person, sort_people
from rollbook.store.people.users import set_active
from rollbook.store.queue.drafts import Choice
from rollbook.store.queue.history import ItemFilter, find_items

PER_PAGE = 80
SORTED = "More than {:,} users match, so they are not sorted. To sort them, enter more of the name or e-mail."
COLUMNS = ("User", "Learner", "E-mail", "Employee id", "Role", "State")
ENROLLMENTS_PER_PAGE = 100
# An enrollment can be unenrolled and restored any number of times; the latest items are shown.
ITEMS_SHOWN = 500
# The statuses that can be undone.
LIVE = (UnenrollmentStatus.PENDING, UnenrollmentStatus.COMPLETE)


@dataclass(frozen=True)
class Event:
    """An event in the history of an enrollment; who caused it and why, if known."""

    at: datetime
    what: str
    course: str
    by: str | None = None
    why: str | None = None
    batch_id: int | None = None


def show_learners(request: ConsoleRequest) -> Response:
    """List the users, or those with every word of a search in their name, e-mail or employee id."""
    account_id, part, page = request.caller.account_id, request.search_people("q"), request.page()
    order, descending = request.sort(("added", *ORDERS), "added")
    error, offset = None, (page - 1) * PER_PAGE
    people: Sequence[Any] = []
    with request.database.read() as connection:
        found = None
        if order != "added":
            found = sort_people(connection, account_id, part, order, descending=descending)
            error = SORTED.format(MAX_SORTED) if found is None else None
        if found is None:
            people = find_people(connection, account_id, part, PER_PAGE + 1, offset)
        else:
            people = found[offset : offset + PER_PAGE + 1]
    return request.render(
        "learners.html",
        code=422 if error else 200,
        error=error,
        q=part,
        sort=request.text("sort"),
        people=people[:PER_PAGE],
        page=page,
        more=len(people) > PER_PAGE,
    )


def download_learners(request: ConsoleRequest) -> Response:
    """Send the users that match a search as CSV."""
    return send_csv("learners", COLUMNS, _rows(request, request.search_people("q")))


def _rows(request: ConsoleRequest, part: str) -> Iterator[Rows]:
    last, more = 0, True
    while more:
        with request.database.read() as connection:
            people = find_people(connection, request.caller.account_id, part, CHUNK, after=last)
        yield [(u.id, person(u), u.email, u.employee_id, u.role, describe_state(u)) for u in people]
        last, more = (people[-1].id if people else 0), len(people) == CHUNK


def describe_state(row: Any) -> str:
    """Return the state of a user or group as a word."""
    return "active" if row.active else "inactive"


def unenroll(request: ConsoleRequest) -> Response:
    """Keep the ticked enrollments of a learner as a draft of the unenroll page."""
    try:
        ids = read_ticked(request)
    except UserError as error:
        return show_learner(request, str(error))
    with request.database.read() as connection:
        learner = _find(request, connection)
    return keep_choice(request, Choice(listed=f"enrollments of {person(learner)}"), ids)


def change_state(request: ConsoleRequest) -> Response:
    """Activate or deactivate a learner; administrators and owners have a page of their own."""
    number, active = request.numbers["user"], request.text("active") == "1"

    def work(connection: sa.Connection) -> None:
        if _find(request, connection).role != Role.LEARNER:
            raise UserError("Only learners are activated and deactivated here.")
        name = set_active(connection, account_of(request), str(number), active=active, by=request.actor)
        request.notify(connection, f"/learners/{number}", f"{name} is {'active' if active else 'inactive'}.")

    return change(request, f"/learners/{number}", work, show_learner)


def _find(request: ConsoleRequest, connection: sa.Connection) -> Any:
    found = find_person(connection, request.caller.account_id, request.numbers["user"])
    if found is None:
        raise PageError(404, "This account has no such learner.")
    return found


def show_learner(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show a learner's enrollments and their history."""
    account_id, page = request.caller.account_id, request.page()
    with request.database.read() as connection:
        learner = _find(request, connection)
        offset = (page - 1) * ENROLLMENTS_PER_PAGE
        enrollments = find_enrollments_of(connection, account_id, learner.id, ENROLLMENTS_PER_PAGE + 1, offset)
        shown = enrollments[:ENROLLMENTS_PER_PAGE]
        of_these = ItemFilter(enrollment_ids=[enrollment.id for enrollment in shown])
        items = find_items(connection, account_id, of_these, ITEMS_SHOWN, 0, latest_first=True) if shown else []
    return request.render(
        "learner.html",
        code=422 if error else 200,
        error=error,
        person=learner,
        enrollments=shown,
        live={item.enrollment_id: item for item in items if item.status in LIVE},
        events=_history(shown, items),
        page=page,
        more=len(enrollments) > ENROLLMENTS_PER_PAGE,
    )


def _history(enrollments: Sequence[Any], items: Sequence[Any]) -> list[Event]:
    enrolled = [Event(e.enrolled_at, f"Enrolled in {e.origin}", e.course) for e in enrollments]
    changes = [event for item in items for event in _events(item)]
    return sorted(enrolled + changes, key=lambda event: event.at, reverse=True)


def _events(item: Any) -> Iterator[Event]:
    """Yield the events of an item in the order of its states (D19)."""
    batch_id, asked_by = item.batch_id, item.requested_by or "the operator"
    yield Event(item.requested_at, "Unenrollment requested", item.course, asked_by, item.reason, batch_id)
    match item.status:
        case UnenrollmentStatus.REMOVED:
            yield Event(item.finished_at, "Removed from the queue", item.course, item.removed_by, item.notes, batch_id)
        case UnenrollmentStatus.FAILED:
            yield Event(item.finished_at, "Unenrollment failed", item.course, None, item.notes, batch_id)
        case UnenrollmentStatus.COMPLETE | UnenrollmentStatus.RESTORED:
            yield Event(item.finished_at, "Unenrolled", item.course, asked_by, item.reason, batch_id)
    if item.status == UnenrollmentStatus.RESTORED:
        yield Event(item.restored_at, "Restored", item.course, item.restored_by, item.notes, batch_id)
