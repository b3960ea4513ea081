"""Group pages: the list of groups; the members and the courses of one, to which users and courses are added."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook import actions
from rollbook.console.downloads import CHUNK, in_chunks, send_csv
from rollbook.console.render import count, person
from rollbook.console.request import ConsoleRequest, PageError, change
from rollbook.console.views.learners import describe_state
from rollbook.errors import UserError
from rollbook.model import utc_now
from rollbook.store.people.group_changes import find_user_ids, is_overfull, lock_groups
from rollbook.store.people.group_members import (
    ORDERS,
    count_of_groups,
    find_group_courses,
    find_members,
    read_group,
)
from rollbook.store.people.memberships import Membership
from rollbook.store.people.search_text import fold_text
from rollbook.store.queue.selection import find_courses, find_groups

PER_PAGE = 80
COLUMNS = ("Group", "State", "Members", "Courses", "Id")
MEMBER_COLUMNS = ("Group", "User", "Learner", "E-mail", "Employee id", "State", "Home group")
COURSE_COLUMNS = ("Group", "LearningModuleID", "Course", "Term", "Status", "Auto-enroll", "Self-enroll")


def show_groups(request: ConsoleRequest) -> Response:
    """List the groups that match a search, with the number of their members and courses."""
    page, (order, descending) = request.page(), request.sort(("name", "state", "members", "courses", "id"), "name")
    with request.database.read() as connection:
        groups = _sort(connection, _find(request, connection), order, descending=descending)
        shown = groups[(page - 1) * PER_PAGE : page * PER_PAGE]
        counts = count_of_groups(connection, [group.id for group in shown])
    return request.render(
        "groups.html",
        groups=shown,
        total=len(groups),
        counts=counts,
        q=request.search("q"),
        sort=request.text("sort") or "name",
        page=page,
        more=len(groups) > page * PER_PAGE,
    )


def download_groups(request: ConsoleRequest) -> Response:
    """Send the groups that match a search as CSV."""
    with request.database.read() as connection:
        groups = _find(request, connection)
        counts = count_of_groups(connection, [group.id for group in groups])
    rows = [(g.name, describe_state(g), *counts[g.id], g.id) for g in groups]
    return send_csv("groups", COLUMNS, [rows])


def _find(request: ConsoleRequest, connection: sa.Connection) -> Sequence[Any]:
    return find_groups(connection, request.caller.account_id, request.search("q"))


def _sort(connection: sa.Connection, groups: Sequence[Any], order: str, *, descending: bool) -> Sequence[Any]:
    if order in ("members", "courses"):
        counts = count_of_groups(connection, [group.id for group in groups])
        return sorted(groups, key=lambda group: counts[group.id][order == "courses"], reverse=descending)
    if order == "id":
        return sorted(groups, key=lambda group: int(group.id), reverse=descending)
    if order == "state":
        return sorted(groups, key=describe_state, reverse=descending)
    return sorted(groups, key=lambda group: fold_text(group.name), reverse=descending)


def show_members(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the members of a group that match a search."""
    account_id, page, part = request.caller.account_id, request.page(), request.search_people("q")
    order, descending = request.sort(ORDERS, "added")
    with request.database.read() as connection:
        group = _read(request, connection)
        way: dict[str, Any] = {"order": order, "descending": descending}
        offset = (page - 1) * PER_PAGE
        members = find_members(connection, account_id, group.id, part, PER_PAGE + 1, offset, **way)
        counts = count_of_groups(connection, [group.id])[group.id]
    shown = {"members": members[:PER_PAGE], "more": len(members) > PER_PAGE}
    return _render(request, "group.html", error, group, counts, **shown, q=part, sort=request.text("sort"))


def show_courses(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the courses of a group."""
    account_id, page = request.caller.account_id, request.page()
    with request.database.read() as connection:
        group = _read(request, connection)
        found = find_group_courses(connection, account_id, group.id, PER_PAGE + 1, (page - 1) * PER_PAGE)
        counts = count_of_groups(connection, [group.id])[group.id]
    shown = {"courses": found[:PER_PAGE], "more": len(found) > PER_PAGE}
    return _render(request, "group_courses.html", error, group, counts, **shown)


def _render(
    request: ConsoleRequest, template: str, error: str | None, group: Any, counts: tuple[int, int], **shown: object
) -> Response:
    code = 422 if error else 200
    return request.render(template, code=code, error=error, group=group, counts=counts, page=request.page(), **shown)


def _read(request: ConsoleRequest, connection: sa.Connection) -> Any:
    group = read_group(connection, request.caller.account_id, request.numbers["group"])
    if group is None:
        raise PageError(404, f"This account has no group {request.numbers['group']}.")
    return group


def download_members(request: ConsoleRequest) -> Response:
    """Send the members of a group that match a search as CSV."""
    part = request.search_people("q")
    with request.database.read() as connection:
        group = _read(request, connection)
    account_id = request.caller.account_id
    chunks = in_chunks(
        request, lambda connection, offset: find_members(connection, account_id, group.id, part, CHUNK, offset)
    )

    def cells(user: Any) -> Sequence[object]:
        home = "yes" if user.is_home else "no"
        return (group.name, user.id, person(user), user.email, user.employee_id, describe_state(user), home)

    return send_csv(f"group-{group.id}", MEMBER_COLUMNS, (map(cells, rows) for rows in chunks))


def download_courses(request: ConsoleRequest) -> Response:
    """Send the courses of a group as CSV."""
    with request.database.read() as connection:
        group = _read(request, connection)
    account_id = request.caller.account_id
    chunks = in_chunks(
        request, lambda connection, offset: find_group_courses(connection, account_id, group.id, CHUNK, offset)
    )

    def cells(c: Any) -> Sequence[object]:
        flags = ("yes" if has else "no" for has in (c.auto_enroll, c.allow_self_enroll))
        return (group.name, c.id, c.name, c.term, c.status, *flags)

    return send_csv(f"group-{group.id}-courses", COURSE_COLUMNS, (map(cells, rows) for rows in chunks))


def change_members(request: ConsoleRequest) -> Response:
    """Add the user of the form to the group, or remove the ticked members; their enrollments stay."""
    account_id, path = request.caller.account_id, f"/groups/{request.numbers['group']}"

    def work(connection: sa.Connection) -> None:
        lock_groups(connection, account_id)
        group = _read(request, connection)
        if "remove" in request.form:
            leaving = _ticked(request, "user")
            changes = actions.GroupChanges(leaving=leaving)
            actions.update_group(connection, request.actor, account_id, group, changes, utc_now())
            said = f"{count(len(leaving), 'user')} removed from the group. The enrollments stay."
        else:
            joining = [Membership(0, _find_user(request, connection))]
            changes = actions.GroupChanges(joining=joining)
            joined = actions.update_group(connection, request.actor, account_id, group, changes, utc_now())
            if joined and is_overfull(connection, group.id):
                raise UserError(f"The group has as many members as its limit of {group.user_limit:,} allows.")
            said = "Added to the group." if joined else "The user is in the group already."
        request.notify(connection, path, said)

    return change(request, path, work, show_members)


def _find_user(request: ConsoleRequest, connection: sa.Connection) -> int:
    named = request.text("named")
    ways = [{"email": named}, {"employee_id": named}]
    found = [id_ for id_ in find_user_ids(connection, request.caller.account_id, ways) if id_ is not None]
    if not found:
        raise UserError(f"“{named[:255]}” is the e-mail or employee id of no user of this account.")
    return found[0]


def _ticked(request: ConsoleRequest, name: str) -> set[int]:
    if not (ids := {*request.ids(name)}):
        raise UserError("Nothing is selected. Select what to remove.")
    return ids


def change_courses(request: ConsoleRequest) -> Response:
    """Add a course to the group, or remove the ticked ones; the enrollments stay."""
    account_id, path = request.caller.account_id, f"/groups/{request.numbers['group']}/courses"

    def work(connection: sa.Connection) -> None:
        lock_groups(connection, account_id)
        group = _read(request, connection)
        if "remove" in request.form:
            removed = _ticked(request, "course_id")
            changes = actions.GroupChanges(removed_courses=removed)
            said = f"{count(len(removed), 'course')} removed from the group. The enrollments stay."
        else:
            course = _find_course(request, connection)
            flags = {"auto_enroll": True} if request.text("auto_enroll") else {}
            changes = actions.GroupChanges(courses={course.id: flags})
            said = f"{course.name} is a course of the group."
        actions.update_group(connection, request.actor, account_id, group, changes, utc_now())
        request.notify(connection, path, said)

    return change(request, path, work, show_courses)


def _find_course(request: ConsoleRequest, connection: sa.Connection) -> Any:
    named = request.search("course")
    found = find_courses(connection, request.caller.account_id, named) if named else []
    exact = [course for course in found if named in (course.name, str(course.id))]
    if len(exact) == 1:
        return exact[0]
    if exact:
        ids = ", ".join(str(course.id) for course in exact[:5])
        raise UserError(f"{len(exact)} courses are called “{named}”. Give the id of one: {ids}.")
    near = f" Did you mean “{found[0].name}”?" if found else ""
    raise UserError(f"This account has no course “{named}”.{near}")
