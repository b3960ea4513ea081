"""What `rollbook unenroll` names: ids, a list of people, or filters; and the ids of their enrollments.

The report of any server finds the enrollments of people, 100 people a call.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from rollbook.cli.run_plan import digest
from rollbook.cli.selection import NAME_COLUMNS, find_ids, name_of, read_bytes, read_ids, read_row_id, settle
from rollbook.client.client import Client
from rollbook.client.courses import EVERYTHING
from rollbook.client.requests import ReportFilters, split
from rollbook.errors import UserError
from rollbook.id_lists import NOUNS, By, IdList, PeopleList, join, read_list, read_words
from rollbook.id_lists.people import Person

Row = Mapping[str, str]


@dataclass(frozen=True)
class Choice:
    """Ids or people, in `listed`, or filters, or both: then those of the list that match the filters.

    The course of people stands in the filters too.
    """

    listed: list[int] | PeopleList
    filters: ReportFilters
    file: Path | None
    skip_bad_rows: bool

    def describe(self) -> dict[str, object]:
        """Describe it for the plan of a run: the list by its digest, the filters by their options."""
        people: Iterable[object] = self.listed.people if isinstance(self.listed, PeopleList) else self.listed
        chosen = self.filters
        named = {"--course": chosen.courses, "--group": chosen.groups, "--status": chosen.statuses}
        named |= {"--email": chosen.emails, "--employee-id": chosen.employee_ids}
        options = {name: [*values] or None for name, values in named.items()}
        before = chosen.enrolled_to and chosen.enrolled_to + timedelta(days=1)
        return {"list of ids": digest(people), **options, "--enrolled-before": before and before.isoformat()}

    def find(self, client: Client) -> tuple[list[int], set[str]]:
        """Find the ids and, except for a list of ids, the names of their courses, and print what was found.

        Errors: UserError for what has no enrollment.
        """
        if self.listed == []:
            return find_ids(client, self.filters)
        courses: set[str] = set()
        filters = self.filters
        if isinstance(self.listed, PeopleList):
            courses = set() if self.listed.by_course_id else {person.course for person in self.listed.people}
            filters = replace(filters, courses=())
        found, named = find_ids(client, self.filters, courses) if filters != EVERYTHING else ([], courses)
        matching = {*found} if filters != EVERYTHING else None
        if isinstance(self.listed, PeopleList):
            people = find_people(client, self.listed, matching)
            ids = settle(people, self.file, skip_bad_rows=self.skip_bad_rows)
        else:
            ids = self.listed
        return (ids if matching is None else _narrow(ids, matching)), named


def _narrow(ids: Sequence[int], matching: Collection[int]) -> list[int]:
    """Keep the ids that match the filters, and print how many do not."""
    kept = [id_ for id_ in ids if id_ in matching]
    if not kept:
        raise UserError(f"None of the {len(ids):,} enrollments in the list matches the other options.")
    if left_out := len(ids) - len(kept):
        typer.echo(f"{left_out:,} of {len(ids):,} left out: the other options exclude them.", err=True)
    return kept


def read_choice(
    words: Sequence[str],
    file: Path | None,
    column: str | None,
    sheet: str | None,
    by: By | None,
    filters: ReportFilters,
    *,
    skip_bad_rows: bool,
) -> Choice:
    """Read what the arguments and the file of a command name; errors: UserError."""
    listed = _read_listed(words, file, column, sheet, by, skip_bad_rows=skip_bad_rows)
    if isinstance(listed, PeopleList):
        listed = listed.in_course(filters.courses, "--course")
    if not words and file is None and filters == EVERYTHING:
        raise UserError("Name enrollments by ids or --file, or by --course, --group, --status and the like.")
    if listed == [] and file is not None:
        raise UserError(f"{name_of(file)} names no enrollment.")
    return Choice(listed, filters, file, skip_bad_rows)


def _read_listed(
    words: Sequence[str],
    file: Path | None,
    column: str | None,
    sheet: str | None,
    by: By | None,
    *,
    skip_bad_rows: bool,
) -> list[int] | PeopleList:
    if file is None:
        if by is not None:
            raise UserError("--by needs --file.")
        return read_ids(words, file, column, sheet, skip_bad_rows=skip_bad_rows)
    found = read_list(read_bytes(file), name_of(file), column, by=by, sheet=sheet)
    if isinstance(found, IdList):
        return settle(join([read_words(words), found]), file, skip_bad_rows=skip_bad_rows)
    if words:
        raise UserError(f"{found.name} names learners: give either it or ids as arguments.")
    return found


def find_people(client: Client, people: PeopleList, matching: Collection[int] | None) -> IdList:
    """Find the enrollments of people in their courses; those without exactly one are bad rows of the list.

    `matching` are the enrollments that match the filters.
    """
    course = "LearningModuleID" if people.by_course_id else "CourseName"
    found: dict[int, list[int]] = {}
    courses: dict[int, set[str]] = {}
    for part in map(dict, split(enumerate(people.people, 1))):
        named = set() if people.by_course_id else {person.course for person in part.values()}
        for number, rows in _read_rows(client, people, part, named).items():
            if ids := [read_row_id(row) for row in rows if row.get(course) == part[number].course]:
                found[number] = ids
        others = {number: person for number, person in part.items() if number not in found}
        for number, rows in _read_rows(client, people, others, set()).items():
            courses[number] = {row["CourseName"] for row in rows}
    return people.resolve(found, courses, f"is the {NOUNS[people.by]} of no current enrollment", matching)


def _read_rows(
    client: Client, people: PeopleList, part: Mapping[int, Person], courses: Collection[str]
) -> dict[int, list[Row]]:
    """Read the rows of these people in some courses, or in all; nothing for people without a row."""
    if not part:
        return {}
    kind, element = ("emails", "LearnerEmail") if people.by is By.EMAIL else ("employee_ids", "EmployeeID")
    asked: dict[str, Any] = {kind: sorted({person.value for person in part.values()}), "courses": sorted(courses)}
    rows: dict[str, list[Row]] = {}
    for row in client.learner_report(ReportFilters(**asked), NAME_COLUMNS):
        rows.setdefault(people.fold(row.get(element, "")), []).append(row)
    mine = {number: rows.get(people.fold(person.value)) for number, person in part.items()}
    return {number: found for number, found in mine.items() if found}
