"""Learners: find one; what one is and was enrolled in, and what happened to that, by whom and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, PageError
from rollbook.model import UnenrollmentStatus
from rollbook.store.people.search import find_enrollments_of, find_people, find_person
from rollbook.store.queue.history import ItemFilter, find_items

FOUND = 50
ENROLLMENTS = 100
# Each enrolment can have been unenrolled and brought back any number of times; the latest are shown.
ITEMS = 500


@dataclass(frozen=True)
class Event:
    """Something that happened to an enrolment: who did it and why, as far as that is known."""

    at: datetime
    what: str
    course: str
    by: str | None = None
    why: str | None = None
    batch_id: int | None = None


def show_learners(request: ConsoleRequest) -> Response:
    """Find learners by a part of their name or e-mail."""
    part = request.text("q")[:255]
    people: Sequence[Any] = []
    if part:
        with request.database.read() as connection:
            people = find_people(connection, request.caller.account_id, part, FOUND + 1)
    return request.render("learners.html", q=part, people=people[:FOUND], more=len(people) > FOUND)


def show_learner(request: ConsoleRequest) -> Response:
    """Show one learner's enrolments and their history."""
    account_id, page = request.caller.account_id, request.page()
    with request.database.read() as connection:
        person = find_person(connection, account_id, request.numbers["user"])
        if person is None:
            raise PageError(404, "This account has no such learner.")
        offset = (page - 1) * ENROLLMENTS
        enrollments = find_enrollments_of(connection, account_id, person.id, ENROLLMENTS + 1, offset)
        shown = enrollments[:ENROLLMENTS]
        of_these = ItemFilter(enrollment_ids=[enrollment.id for enrollment in shown])
        items = find_items(connection, account_id, of_these, ITEMS, 0, latest_first=True) if shown else []
    return request.render(
        "learner.html",
        person=person,
        enrollments=shown,
        pending={item.enrollment_id for item in items if item.status == UnenrollmentStatus.PENDING},
        events=_history(shown, items),
        page=page,
        more=len(enrollments) > ENROLLMENTS,
    )


def _history(enrollments: Sequence[Any], items: Sequence[Any]) -> list[Event]:
    enrolled = [Event(e.enrolled_at, f"Enrolled, in {e.origin}", e.course) for e in enrollments]
    told = [event for item in items for event in _events(item)]
    return sorted(enrolled + told, key=lambda event: event.at, reverse=True)


def _events(item: Any) -> Iterator[Event]:
    """Tell of an item in the order of its states (D19)."""
    batch_id, asked_by = item.batch_id, item.requested_by or "the operator"
    yield Event(item.requested_at, "Unenrolment asked for", item.course, asked_by, item.reason, batch_id)
    match item.status:
        case UnenrollmentStatus.REMOVED:
            yield Event(item.finished_at, "Removed from the queue", item.course, item.removed_by, item.notes, batch_id)
        case UnenrollmentStatus.FAILED:
            yield Event(item.finished_at, "Not unenrolled", item.course, None, item.notes, batch_id)
        case UnenrollmentStatus.COMPLETE | UnenrollmentStatus.RESTORED:
            yield Event(item.finished_at, "Unenrolled", item.course, asked_by, item.reason, batch_id)
    if item.status == UnenrollmentStatus.RESTORED:
        yield Event(item.restored_at, "Restored", item.course, item.restored_by, item.notes, batch_id)
