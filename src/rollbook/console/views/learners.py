"""Learner pages: search; one learner's enrollments and their history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, PageError
from rollbook.model import UnenrollmentStatus
from rollbook.store.people.search import find_enrollments_of, find_people, find_person
from rollbook.store.queue.history import ItemFilter, find_items

LEARNERS_SHOWN = 50
ENROLLMENTS_PER_PAGE = 100
# An enrollment can be unenrolled and restored any number of times; the latest items are shown.
ITEMS_SHOWN = 500


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
    """Find learners by part of a name or e-mail, or by employee id."""
    part = request.text("q")[:255]
    people: Sequence[Any] = []
    if part:
        with request.database.read() as connection:
            people = find_people(connection, request.caller.account_id, part, LEARNERS_SHOWN + 1)
    return request.render("learners.html", q=part, people=people[:LEARNERS_SHOWN], more=len(people) > LEARNERS_SHOWN)


def show_learner(request: ConsoleRequest) -> Response:
    """Show a learner's enrollments and their history."""
    account_id, page = request.caller.account_id, request.page()
    with request.database.read() as connection:
        person = find_person(connection, account_id, request.numbers["user"])
        if person is None:
            raise PageError(404, "This account has no such learner.")
        offset = (page - 1) * ENROLLMENTS_PER_PAGE
        enrollments = find_enrollments_of(connection, account_id, person.id, ENROLLMENTS_PER_PAGE + 1, offset)
        shown = enrollments[:ENROLLMENTS_PER_PAGE]
        of_these = ItemFilter(enrollment_ids=[enrollment.id for enrollment in shown])
        items = find_items(connection, account_id, of_these, ITEMS_SHOWN, 0, latest_first=True) if shown else []
    return request.render(
        "learner.html",
        person=person,
        enrollments=shown,
        pending={item.enrollment_id for item in items if item.status == UnenrollmentStatus.PENDING},
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
