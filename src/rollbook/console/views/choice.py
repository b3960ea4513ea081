"""Reads the selection of the unenroll form: courses, groups and statuses, or a list of ids or of people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rollbook.console.request import ConsoleRequest
from rollbook.console.views.list_form import ListForm
from rollbook.errors import UserError
from rollbook.id_lists import NOUNS, By, IdList, PeopleList, join, read_list
from rollbook.model import EnrollmentStatus, suggest
from rollbook.store.learning.progress import Key, find_courses_of_learners, find_ids
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.queue.drafts import Choice
from rollbook.store.queue.selection import choose_enrollments, find_courses, find_groups

# The most enrollments of one batch.
MAX_IDS = 100_000
# The most bad rows that the preview lists.
MAX_SKIPPED = 1000
# How many people a statement looks for, and for how many without the course the courses that they have are read.
STEP, SUGGESTED = 1000, 20
_KEYS = {By.EMAIL: (Key.EMAIL, "email_folded"), By.EMPLOYEE_ID: (Key.EMPLOYEE_ID, "employee_id")}

Find = Callable[..., Sequence[Any]]


def read_choice(request: ConsoleRequest, form: ListForm) -> tuple[Choice, list[int]]:
    """Read the selection and the ids of its enrollments; errors: UserError for anything that is not clear."""
    selected = _read_selected(request)
    chosen = bool(selected.courses or selected.groups)
    if bool(form.lists()) == chosen:
        raise UserError("Select courses or groups, or else give ids: one of the two.")
    if form.narrows if chosen else selected.statuses:
        raise UserError("Both forms are filled in, and only one of them counts. Clear the other.")
    if form.lists():
        choice, ids = _read_lists(request, form)
    else:
        choice, ids = selected, _find_ids(request, selected)
    if not ids:
        raise UserError("No current enrollment matches this selection.")
    if len(ids) > MAX_IDS:
        raise UserError(f"The selection has more than {MAX_IDS:,} enrollments. Select fewer at a time.")
    return choice, ids


def _read_lists(request: ConsoleRequest, form: ListForm) -> tuple[Choice, list[int]]:
    by, course = form.fields["by"], form.fields["of_course"]
    if by not in ("", *By):
        raise UserError(f"“{by[:20]}” is nothing that a list holds. Select it again.")
    how: dict[str, Any] = {"by": By(by) if by else None, "option": "the field “Column”"}
    how |= {"sheet": form.fields["sheet"] or None, "column": form.fields["column"] or None}
    read = [read_list(data, name, **how) for name, data in form.lists()]
    if course and not any(isinstance(each, PeopleList) for each in read):
        raise UserError("The list names enrollments by id, each in its own course: leave the field “Course” empty.")
    match = _read_filters(request, form)
    lists = [_find_people(request, each, course, match) if isinstance(each, PeopleList) else each for each in read]
    found = join(lists)
    if found.bad and not form.fields["skip_bad_rows"]:
        rows = "\n".join(found.complaints())
        what = f"{len(found.bad):,} {found.fault}, so nothing was selected:\n{rows}"
        raise UserError(f"{what}\nCorrect these rows, or tick “Skip bad rows” and preview again.")
    if not found.ids:
        raise UserError("\n".join(["The list has no row that is not bad:", *found.complaints()]))
    repeats = f"; repeated ids, counted once: {found.describe_repeats()}" if found.repeats else ""
    skipped = [str(row) for row in found.bad[:MAX_SKIPPED]]
    matching = match.find([*found.ids])
    ids = [id_ for id_ in found.ids if matching is None or id_ in matching]
    narrowed = "" if matching is None else f"; {len(found.ids) - len(ids):,} left out by group or status"
    listed = (f"{form.file}, " if form.file else "") + found.column + repeats + narrowed
    return Choice([], match.groups, [*form.statuses], len(found.bad), listed, skipped), ids


@dataclass(frozen=True)
class _Filters:
    """The group and the statuses beside a list."""

    request: ConsoleRequest
    groups: list[tuple[int, str]]
    statuses: Sequence[str]

    def find(self, ids: list[int]) -> set[int] | None:
        """Find the enrollments that match; None without a filter."""
        if not self.groups and not self.statuses:
            return None
        if not ids:
            return set()
        chosen: dict[str, Any] = {"group_ids": [id_ for id_, _ in self.groups], "statuses": self.statuses}
        account_id = self.request.caller.account_id
        with self.request.database.read() as connection:
            return {*choose_enrollments(connection, account_id, course_ids=(), **chosen, limit=len(ids), ids=ids)}


def _read_filters(request: ConsoleRequest, form: ListForm) -> _Filters:
    name, groups = form.fields["of_group"], []
    _check_statuses(form.statuses)
    if name:
        with request.database.read() as connection:
            known = find_groups(connection, request.caller.account_id)
        groups = [(group.id, group.name) for group in known if group.name.casefold() == name.casefold()]
        if not groups:
            raise UserError(f"No group is named “{name}”.{suggest(name, [group.name for group in known])}")
    return _Filters(request, groups, form.statuses)


def _find_people(request: ConsoleRequest, people: PeopleList, course: str, match: _Filters) -> IdList:
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
            nameless = [part[number] for number in missing]
            others = find_courses_of_learners(connection, account_id, key, nameless, max(0, SUGGESTED - len(courses)))
            courses |= {missing[place - 1]: names for place, names in others.items()}
    matching = match.find([id_ for ids in found.values() if len(ids) > 1 for id_ in ids])
    return people.resolve(found, courses, f"is the {NOUNS[people.by]} of no learner", matching)


def _read_selected(request: ConsoleRequest) -> Choice:
    statuses = [str(status) for status in request.form.getlist("status")]
    _check_statuses(statuses)
    with request.database.read() as connection:
        courses = _read_named(request, connection, "course", find_courses)
        groups = _read_named(request, connection, "group", find_groups)
    return Choice(courses, groups, statuses)


def _check_statuses(statuses: Sequence[str]) -> None:
    if unknown := set(statuses) - {*EnrollmentStatus}:
        raise UserError(f"“{min(unknown)}” is not a status. Select it again.")


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
