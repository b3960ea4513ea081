"""The enroll pages of a course: a list of people, the preview with its mistakes by line, and the confirmation."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.render import count
from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.views.courses import find_course
from rollbook.console.views.list_form import FIELDS, read_list_form
from rollbook.errors import UserError
from rollbook.id_lists import NOUNS, BadRow, By, IdList, PeopleList, read_list
from rollbook.model import suggest, utc_now
from rollbook.store.learning.enroll import Asked, Found
from rollbook.store.learning.places import STEP, Place, find_places
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.people.group_changes import find_user_ids
from rollbook.store.queue.selection import find_groups

# The most people of one list.
MAX_PEOPLE = 10_000
# The most people, and the most bad rows, that the preview lists.
SHOWN = 200
_FIELDS = {By.EMAIL: "email", By.EMPLOYEE_ID: "employee_id"}
_NOUNS = NOUNS | {By.ID: "number"}


def show_form(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the form for a list of people."""
    with request.database.read() as connection:
        course = find_course(request, connection)
    fields = {name: request.text(name) for name in FIELDS}
    return request.render("enroll.html", code=422 if error else 200, error=error, course=course, fields=fields)


def enroll(request: ConsoleRequest) -> Response:
    """Preview the enrollments of a list, or enroll the people of a preview."""
    try:
        return _confirm(request) if "people" in request.form else _preview(request)
    except UserError as error:
        return show_form(request, str(error))


def _preview(request: ConsoleRequest) -> Response:
    found = _read_form_list(request)
    fold_all_emails(request.database)
    with request.database.read() as connection:
        course = find_course(request, connection)
        group = _find_group(request, connection)
        people, bad = _find_people(request, connection, course, found)
        places = {
            place.user_id: place
            for place in find_places(
                connection, request.caller.account_id, course.id, group and group.id, [*people.values()]
            )
        }
        groups = {row.id: row.name for row in find_groups(connection, request.caller.account_id)}
    told = "the group" if group else "an active group that has the course"
    for (where, value), number in people.items():
        if why := _find_mistake(places[number], told):
            bad.append(BadRow(where, value, why))
    bad.sort(key=lambda row: int(row.place.rpartition(" ")[2]))
    free = [place for place in places.values() if place.is_free]
    return request.render(
        "enroll_preview.html",
        course=course,
        group=group,
        groups=groups,
        free=free,
        bad=bad,
        column=found.column,
        shown=SHOWN,
    )


def _read_form_list(request: ConsoleRequest) -> IdList | PeopleList:
    """Read the list as e-mails, employee ids or numbers of users; errors: UserError, also when it could be either."""
    form = read_list_form(request)
    if len(form.lists()) != 1:
        raise UserError("Paste a list or choose a file: one of the two.")
    [(name, data)] = form.lists()
    by = form.fields["by"]
    if by not in ("", *By):
        raise UserError(f"“{by[:20]}” is nothing that a list holds. Select it again.")
    how: dict[str, Any] = {"column": form.fields["column"] or None, "sheet": form.fields["sheet"] or None}
    found = read_list(data, name, by=By(by) if by else None, option="the field “Column”", **how)
    if isinstance(found, IdList) and not by:
        raise UserError(f"{name} holds numbers. Select under “It holds” whether they are employee ids or user ids.")
    size = len(found.people) if isinstance(found, PeopleList) else len(found.ids)
    if size > MAX_PEOPLE:
        raise UserError(f"The list has {size:,} people. Enroll at most {MAX_PEOPLE:,} at a time.")
    return found


def _find_group(request: ConsoleRequest, connection: sa.Connection) -> Any | None:
    name = request.text("of_group")
    if not name:
        return None
    active = [group for group in find_groups(connection, request.caller.account_id) if group.active]
    named = [group for group in active if name in (group.name, str(group.id))]
    if len(named) > 1:
        ids = ", ".join(str(group.id) for group in named)
        raise UserError(f"{len(named)} active groups are called “{name}”. Give the id of one: {ids}.")
    if not named:
        raise UserError(f"No active group is called “{name}”.{suggest(name, [group.name for group in active])}")
    return named[0]


def _find_people(
    request: ConsoleRequest, connection: sa.Connection, course: Any, found: IdList | PeopleList
) -> tuple[Mapping[tuple[str, str], int], list[BadRow]]:
    """Return the numbers of the users by place and value, each user once, and the rows that name none."""
    bad = [*found.bad]
    if isinstance(found, IdList):
        bad += [BadRow(where, str(id_), "is in the list already") for id_, where in found.repeats]
        return {(where, str(id_)): id_ for id_, where in found.ids.items()}, bad
    ids: list[int | None] = []
    for first in range(0, len(found.people), STEP):
        part = [{_FIELDS[found.by]: person.value} for person in found.people[first : first + STEP]]
        ids += find_user_ids(connection, request.caller.account_id, part)
    people: dict[int, tuple[str, str]] = {}
    for person, id_ in zip(found.people, ids, strict=True):
        if person.course not in ("", str(course.id) if found.by_course_id else course.name):
            bad.append(BadRow(person.place, person.value, f"has another course in its row: {person.course}"))
        elif id_ is None:
            bad.append(BadRow(person.place, person.value, f"is the {NOUNS[found.by]} of no user"))
        elif id_ in people:
            bad.append(BadRow(person.place, person.value, f"is in the list already: {people[id_][0]}"))
        else:
            people[id_] = (person.place, person.value)
    return {where: id_ for id_, where in people.items()}, bad


def _find_mistake(place: Place, group: str) -> str | None:
    checks = (
        (not place.is_user, "is the number of no user"),
        (not place.active, "is inactive"),
        (place.is_enrolled, "is enrolled in the course already"),
        (place.group_id is None, f"is not a member of {group}"),
    )
    return next((why for is_wrong, why in checks if is_wrong), None)


def _confirm(request: ConsoleRequest) -> Response:
    """Enroll the people of the preview who can still be enrolled, in one transaction."""
    people = request.text("people").split(",")
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in people):
        raise UserError("The preview did not arrive completely. Begin again.")
    ids, group_id, account_id = (
        [*dict.fromkeys(map(int, people))],
        request.number("group_id"),
        request.caller.account_id,
    )

    def work(connection: sa.Connection) -> str:
        course = find_course(request, connection)
        if course.status != "Active":
            raise UserError("The course is not active, so no one can be enrolled in it.")
        places = find_places(connection, account_id, course.id, group_id, ids)
        complete = [
            (Asked(None, None, None, course.id), Found(p.user_id, course.id, None, *[p.group_id] * 4))
            for p in places
            if p.is_free
        ]
        refused = len(ids) - len(complete)
        added = actions.enroll(connection, request.actor, account_id, complete, refused=refused, now=utc_now())
        done = sum(map(len, added.values()))
        left = (
            f" {count(len(ids) - done, 'person', 'people')} left out: changed since the preview."
            if done < len(ids)
            else ""
        )
        request.notify(connection, f"/courses/{course.id}", f"{count(done, 'person', 'people')} enrolled.{left}")
        return f"/courses/{course.id}"

    return redirect(request.database.transact(work))
