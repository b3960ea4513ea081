"""Course pages: the list of courses; the people of one, of whom some or all are selected for the unenroll preview."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.downloads import CHUNK, in_chunks, send_csv
from rollbook.console.render import person, progress
from rollbook.console.request import ConsoleRequest, PageError
from rollbook.console.views.choice import MAX_IDS
from rollbook.console.views.unenroll import keep_choice, read_ticked
from rollbook.errors import UserError
from rollbook.model import EnrollmentStatus
from rollbook.store.learning.course_people import (
    ORDERS,
    CoursePeople,
    find_enrollment_ids,
    read_people,
)
from rollbook.store.people.search_text import fold_text
from rollbook.store.queue.drafts import Choice
from rollbook.store.queue.selection import count_enrolled, find_courses, find_groups

PER_PAGE = 80
# The most groups that a filter by name may match.
MAX_MATCHES = 500
FILTERS = ("q", "group", "status", "from", "to")
COLUMNS = ("LearningModuleID", "Course", "Term", "Status", "Enrolled")
PEOPLE_COLUMNS = (
    *("AccountUserLearningModuleRelID", "Learner", "E-mail", "Employee id", "Course", "Group", "Enrolled"),
    *("Status", "Progress", "In the queue"),
)


def show_courses(request: ConsoleRequest) -> Response:
    """List the courses that match a search, with the number of people enrolled in each."""
    page, (order, descending) = request.page(), request.sort(("name", "id", "term", "status", "enrolled"), "name")
    with request.database.read() as connection:
        courses, enrolled = _find(request, connection), {}
        if order == "enrolled":
            enrolled = count_enrolled(connection, [course.id for course in courses])
        courses = sorted(courses, key=lambda course: _sort_key(course, order, enrolled), reverse=descending)
        shown = courses[(page - 1) * PER_PAGE : page * PER_PAGE]
        enrolled = enrolled or count_enrolled(connection, [course.id for course in shown])
    return request.render(
        "courses.html",
        courses=shown,
        total=len(courses),
        enrolled=enrolled,
        q=request.search("q"),
        sort=request.text("sort") or "name",
        page=page,
        more=len(courses) > page * PER_PAGE,
    )


def download_courses(request: ConsoleRequest) -> Response:
    """Send the courses that match a search as CSV."""
    with request.database.read() as connection:
        courses = _find(request, connection)
        enrolled = count_enrolled(connection, [course.id for course in courses])
    return send_csv("courses", COLUMNS, [[(c.id, c.name, c.term, c.status, enrolled.get(c.id, 0)) for c in courses]])


def _find(request: ConsoleRequest, connection: sa.Connection) -> Sequence[Any]:
    return find_courses(connection, request.caller.account_id, request.search("q"))


def _sort_key(course: Any, order: str, enrolled: Mapping[int, int]) -> int | str:
    if order == "enrolled":
        return enrolled.get(course.id, 0)
    return int(course.id) if order == "id" else fold_text(getattr(course, order) or "")


def show_course(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the people of a course that match the filters."""
    request.search_people("q")
    account_id, page, problem = request.caller.account_id, request.page(), error
    people: list[Any] = []
    with request.database.read() as connection:
        course = find_course(request, connection)
        enrolled = count_enrolled(connection, [course.id]).get(course.id, 0)
        try:
            order, descending = request.sort(ORDERS, "added")
            chosen = _read_filter(request, connection, course.id)
            offset = (page - 1) * PER_PAGE
            ids = find_enrollment_ids(
                connection, account_id, chosen, PER_PAGE + 1, offset, order=order, descending=descending
            )
            people = read_people(connection, account_id, ids)
        except UserError as mistake:
            problem = problem or str(mistake)
    filters = {name: request.text(name)[:255] for name in FILTERS}
    return request.render(
        "course.html",
        code=422 if problem else 200,
        error=problem,
        course=course,
        enrolled=enrolled,
        people=people[:PER_PAGE],
        filters=filters,
        filtered=any(filters.values()),
        statuses=[*EnrollmentStatus],
        sort=request.text("sort"),
        page=page,
        more=len(people) > PER_PAGE,
    )


def find_course(request: ConsoleRequest, connection: sa.Connection) -> Any:
    """Read the course of the address; errors: PageError 404, also for a course of another account."""
    found = find_courses(connection, request.caller.account_id, ids=[request.numbers["course"]])
    if not found:
        raise PageError(404, f"This account has no course {request.numbers['course']}.")
    return found[0]


def _read_filter(request: ConsoleRequest, connection: sa.Connection, course_id: int) -> CoursePeople:
    status, group, groups = request.text("status"), request.search("group"), None
    if status and status not in [*EnrollmentStatus]:
        raise UserError(f"“{status[:20]}” is not a status.")
    if group:
        found = find_groups(connection, request.caller.account_id, group, limit=MAX_MATCHES + 1)
        if len(found) > MAX_MATCHES:
            raise UserError(f"More than {MAX_MATCHES} groups match. Enter more of the name.")
        groups = [row.id for row in found]
    first, before = request.days()
    return CoursePeople(course_id, request.search("q"), [status] if status else (), groups, first, before)


def choose(request: ConsoleRequest) -> Response:
    """Keep the ticked people, or all that match the filters, as a draft of the unenroll page."""
    if not request.text("all"):
        try:
            ids = read_ticked(request)
        except UserError as error:
            return show_course(request, str(error))
        with request.database.read() as connection:
            course = find_course(request, connection)
        return keep_choice(request, Choice(listed=f"selected in the course {course.name}"), ids)
    request.search_people("q")
    with request.database.read() as connection:
        course = find_course(request, connection)
        chosen = _read_filter(request, connection, course.id)
        ids = find_enrollment_ids(connection, request.caller.account_id, chosen, MAX_IDS + 1)
    if not ids:
        return show_course(request, "No one in this course matches these filters.")
    if len(ids) > MAX_IDS:
        return show_course(request, f"More than {MAX_IDS:,} people match. Select fewer at a time.")
    narrowed = [request.text(name) for name in FILTERS if name != "status" and request.text(name)]
    if narrowed:
        listed = f"all who match {', '.join(map(repr, narrowed))} in the course {course.name}"
        return keep_choice(request, Choice(listed=listed, statuses=[*chosen.statuses]), ids)
    return keep_choice(request, Choice(courses=[(course.id, course.name)], statuses=[*chosen.statuses]), ids)


def download_course(request: ConsoleRequest) -> Response:
    """Send the people of a course that match the filters as CSV."""
    request.search_people("q")
    account_id = request.caller.account_id
    with request.database.read() as connection:
        course = find_course(request, connection)
        chosen = _read_filter(request, connection, course.id)

    def read(connection: sa.Connection, offset: int) -> list[Any]:
        return read_people(connection, account_id, find_enrollment_ids(connection, account_id, chosen, CHUNK, offset))

    return send_csv(f"course-{course.id}", PEOPLE_COLUMNS, (map(_cells, rows) for rows in in_chunks(request, read)))


def _cells(e: Any) -> Sequence[object]:
    named = (e.id, person(e), e.learner_email, e.employee_id, e.course, e.origin, e.enrolled_at)
    return (*named, e.status, progress(e), "yes" if e.queued else "no")
