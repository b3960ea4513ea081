"""Reads the selection of the unenroll form: courses, groups and statuses, or a list of ids or of people."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.console.forms import read_upload
from rollbook.console.request import ConsoleRequest
from rollbook.errors import UserError
from rollbook.id_lists import NOUNS, By, IdList, PeopleList, join, read_list
from rollbook.model import EnrollmentStatus
from rollbook.store.learning.progress import Key, find_courses_of_learners, find_ids
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.queue.drafts import Choice
from rollbook.store.queue.selection import choose_enrollments, find_courses, find_groups

# The most enrollments of one batch.
MAX_IDS = 100_000
# The most bad rows that the preview lists.
MAX_SKIPPED = 1000
# How many people a statement looks for.
STEP = 1000
_KEYS = {By.EMAIL: (Key.EMAIL, "email_folded"), By.EMPLOYEE_ID: (Key.EMPLOYEE_ID, "employee_id")}

Find = Callable[..., Sequence[Any]]


def read_choice(request: ConsoleRequest) -> tuple[Choice, list[int]]:
    """Read the selection and the ids of its enrollments; errors: UserError for anything that is not clear."""
    pasted, upload = request.text("ids"), read_upload(request.form, "file")
    lists = [*([("The pasted list", pasted.encode())] if pasted else []), *([upload] if upload else [])]
    selected = _read_selected(request)
    if bool(lists) == bool(selected.courses or selected.groups):
        raise UserError("Select courses or groups, or else give ids: one of the two.")
    if lists:
        choice, ids = _read_lists(request, lists)
    else:
        choice, ids = selected, _find_ids(request, selected)
    if not ids:
        raise UserError("No current enrollment matches this selection.")
    if len(ids) > MAX_IDS:
        raise UserError(f"The selection has more than {MAX_IDS:,} enrollments. Select fewer at a time.")
    return choice, ids


def _read_lists(request: ConsoleRequest, lists: list[tuple[str, bytes]]) -> tuple[Choice, list[int]]:
    column, by, course = request.text("column") or None, request.text("by"), request.text("of_course")
    if by not in ("", *By):
        raise UserError(f"“{by[:20]}” is nothing that a list holds. Select it again.")
    option = "the field “Column”"
    read = [read_list(data, name, column, by=By(by) if by else None, option=option) for name, data in lists]
    if course and not any(isinstance(each, PeopleList) for each in read):
        raise UserError("The list names enrollments by id, each in its own course: leave the field “Course” empty.")
    found = join([_find_people(request, each, course) if isinstance(each, PeopleList) else each for each in read])
    if found.bad and not request.text("skip_bad_rows"):
        rows = "\n".join(found.complaints())
        raise UserError(
            f"{len(found.bad):,} {found.fault}, so nothing was selected:\n{rows}\nCorrect these rows or leave them out."
        )
    if not found.ids:
        raise UserError("The list contains no id.")
    repeats = f"; repeated ids, counted once: {found.describe_repeats()}" if found.repeats else ""
    skipped = [str(row) for row in found.bad[:MAX_SKIPPED]]
    return Choice(left_out=len(found.bad), listed=found.column + repeats, skipped=skipped), [*found.ids]


def _find_people(request: ConsoleRequest, people: PeopleList, course: str) -> IdList:
    """Find the enrollments of people in their courses."""
    people = people.in_course([course] if course else [], "the field “Course”")
    account_id, (key, name) = request.caller.account_id, _KEYS[people.by]
    named = [
        {name: people.fold(person.value), "course_id" if people.by_course_id else "course": person.course}
        for person in people.people
    ]
    found: dict[int, list[int]] = {}
    courses: dict[int, set[str]] = {}
    fold_all_emails(request.database)
    with request.database.read() as connection:
        for first in range(0, len(named), STEP):
            part = dict(enumerate(named[first : first + STEP], first + 1))
            for place, ids in find_ids(connection, account_id, key, [*part.values()]).items():
                found[first + place] = ids
            missing = [number for number in part if number not in found]
            others = find_courses_of_learners(connection, account_id, key, [part[number] for number in missing])
            courses |= {missing[place - 1]: names for place, names in others.items()}
    return people.resolve(found, courses, f"is the {NOUNS[people.by]} of no learner")


def _read_selected(request: ConsoleRequest) -> Choice:
    statuses = [str(status) for status in request.form.getlist("status")]
    if unknown := set(statuses) - {*EnrollmentStatus}:
        raise UserError(f"“{min(unknown)}” is not a status. Select it again.")
    with request.database.read() as connection:
        courses = _read_named(request, connection, "course", find_courses)
        groups = _read_named(request, connection, "group", find_groups)
    return Choice(courses, groups, statuses)


def _read_named(request: ConsoleRequest, connection: sa.Connection, kind: str, find: Find) -> list[tuple[int, str]]:
    """Read the selected courses or groups; an unknown one is an error: left out, it would widen the selection."""
    ids = request.ids(f"in_{kind}")
    found = find(connection, request.caller.account_id, ids=ids) if ids else []
    if missing := len(ids) - len(found):
        raise UserError(
            f"{missing} of the selected {kind}s {'does' if missing == 1 else 'do'} not exist. Select them again."
        )
    return [(row.id, row.name) for row in found]


def _find_ids(request: ConsoleRequest, selected: Choice) -> list[int]:
    with request.database.read() as connection:
        return choose_enrollments(
            connection,
            request.caller.account_id,
            course_ids=[id_ for id_, _ in selected.courses],
            group_ids=[id_ for id_, _ in selected.groups],
            statuses=selected.statuses,
            limit=MAX_IDS + 1,
        )
