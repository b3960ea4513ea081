"""Reads lists of people: e-mails or employee ids, each with a course in another column or with one for all of them.

The caller finds their enrollments; `resolve` makes a list of ids of these, in which every person without exactly one
enrollment is a bad row.
"""

import re
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from rollbook.errors import UserError
from rollbook.id_lists.found import BadRow, IdList
from rollbook.id_lists.table import BETWEEN, ID_COLUMNS, Row, Table, is_a_name
from rollbook.model import fold_email, suggest
from rollbook.wire.identifiers import read_identifier

HEADER_ROWS = 20  # a title can stand above the header
MAX_TOLD = 5  # of the ids that one row names


class By(StrEnum):
    """What a column of a list holds."""

    ID = "id"
    EMAIL = "email"
    EMPLOYEE_ID = "employee-id"


# The names of columns, in lower case without blanks, hyphens and underscores.
_COLUMNS = {
    By.EMAIL: {"email", "emailaddress", "learneremail", "mail", "useremail"},
    By.EMPLOYEE_ID: {"employeeid", "employeeno", "employeenumber"},
    By.ID: {name.lower() for name in ID_COLUMNS},
}
_COURSES = {"course", "coursename", "coursetitle", "learningmodule", "learningmodulename", "module"}
_COURSE_IDS = {"courseid", "learningmoduleid"}
NOUNS = {By.EMAIL: "e-mail", By.EMPLOYEE_ID: "employee id", By.ID: "id"}


class Person(NamedTuple):
    """A row of a list."""

    place: str
    value: str
    course: str


@dataclass
class PeopleList:
    """The people of a list with their courses, by name or by id, and the rows that lack one of the two."""

    name: str
    by: By
    column: str
    course_column: str = ""
    by_course_id: bool = False
    people: list[Person] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def in_course(self, courses: Sequence[str], option: str) -> "PeopleList":
        """Return the list with the course that is named beside it; errors: UserError for none or two."""
        if self.course_column and courses:
            raise UserError(f"{self.name} has a column {self.course_column}. Leave {option} out, or remove the column.")
        if self.course_column:
            return self
        if len(courses) != 1 or not courses[0].strip():
            raise UserError(
                f"{self.name} names learners by {NOUNS[self.by]} and no course. "
                f"Name the column of their courses Course, or name one course for all with {option}."
            )
        course = courses[0].strip()
        people = [person._replace(course=course) for person in self.people]
        return replace(self, people=people, column=f"{self.column}, in {course!r}")

    def fold(self, value: str) -> str:
        """Return the form in which two values for one person are equal."""
        return fold_email(value) if self.by is By.EMAIL else value

    def resolve(
        self,
        found: Mapping[int, Sequence[int]],
        courses: Mapping[int, Collection[str]],
        unknown: str,
        matching: Container[int] | None = None,
    ) -> IdList:
        """Return the ids of the enrollments found for the people, by their number from 1.

        `courses` are the names of the courses of those without one, `unknown` says that a person has none at all.
        `matching` are those that match the filters beside the list, which decide between several of a person.
        """
        ids = IdList(column=self.column, bad=[*self.bad], fault="without exactly one enrollment")
        for number, person in enumerate(self.people, 1):
            ids_found = found.get(number, ())
            if matching is not None and len(ids_found) > 1:  # one that does not match is left out afterwards
                ids_found = [id_ for id_ in ids_found if id_ in matching] or ids_found[:1]
            match ids_found:
                case [id_]:
                    ids.add(person.place, str(id_))
                case []:
                    where = f"the course {person.course}" if self.by_course_id else repr(person.course)
                    why = f"is not enrolled in {where}"
                    why += "" if self.by_course_id else _suggest(person.course, courses.get(number, ()))
                    ids.bad.append(BadRow(person.place, person.value, why if number in courses else unknown))
                case [*several]:
                    told = ", ".join(map(str, several[:MAX_TOLD])) + ("…" if len(several) > MAX_TOLD else "")
                    why = f"has {len(several)} enrollments in this course: name one by its id ({told})"
                    ids.bad.append(BadRow(person.place, person.value, why))
        ids.bad.sort(key=lambda row: int(row.place.rpartition(" ")[2]))
        return ids


def _suggest(course: str, names: Collection[str]) -> str:
    """Tell the nearest name, or else where the learner is enrolled."""
    if near := suggest(course, names):
        return f".{near}"
    told = ", ".join(map(repr, sorted(names)[:MAX_TOLD])) + ("…" if len(names) > MAX_TOLD else "")
    return f", but in {told}" if told else ""


def read_people(table: Table, column: str | None, by: By | None) -> PeopleList | None:
    """Read a list of people; None for a list of anything else. Errors: UserError for two columns of people."""
    for number, row in enumerate(table.rows[:HEADER_ROWS]):
        columns = [(place, kind) for place, cell in enumerate(row.cells) if (kind := _find_kind(cell, column, by))]
        if column is None and by is None and By.ID in (kind for _, kind in columns):
            return None
        if len(columns) > 1:
            names = " and ".join(row.cells[place] for place, _ in columns)
            raise UserError(
                f"{table.name} has {len(columns)} columns that name learners: {names}. Name one with {table.option}."
            )
        if columns:
            [(place, kind)] = columns
            kind = kind if by or _fold(row.cells[place]) in _COLUMNS[kind] else _guess(table.rows[number + 1 :], place)
            return None if kind is By.ID else _read_columns(table, number, place, kind)
        if any("@" in cell for cell in row.cells):
            break
    return _read_without_names(table, column, by)


def _read_without_names(table: Table, column: str | None, by: By | None) -> PeopleList | None:
    if column is not None:
        place = (read_identifier(column) or 0) - 1
        if not 0 <= place < table.width:
            return None
        first = table.rows[0].cells[place : place + 1]
        header = 0 if first and is_a_name(first[0]) and "@" not in first[0] else None
        kind = by or _guess(table.rows, place)
        return None if kind is By.ID else _read_columns(table, header, place, kind)
    if by is not By.EMPLOYEE_ID and all("@" in cell for cell in table.rows[0].cells if cell):
        return _read_plain(table, By.EMAIL)
    if by is None:
        return None
    if table.width > 1:
        how = f"Name the one of {NOUNS[by]}s with {table.option}, or write one per line."
        raise table.refuse_column(" or ".join(sorted(_COLUMNS[by])), how)
    return _read_plain(table, by)


def _fold(cell: str) -> str:
    return re.sub(r"[\s_-]", "", cell).lower()


def _find_kind(cell: str, column: str | None, by: By | None) -> By | None:
    """Tell what a column with this header holds, if it is the wanted one."""
    known = next((kind for kind, names in _COLUMNS.items() if _fold(cell) in names), None)
    if column is not None:
        return (by or known or By.ID) if cell.casefold() == column.casefold() else None
    return known if by in (None, known) else None


def _guess(rows: Sequence[Row], place: int) -> By:
    """Tell what a column of any name holds: no id has an at sign."""
    return By.EMAIL if any("@" in cell for row in rows for cell in row.cells[place : place + 1]) else By.ID


def _read_columns(table: Table, header: int | None, place: int, by: By) -> PeopleList:
    names = [] if header is None else table.rows[header].cells
    found = PeopleList(table.name, by, f"column {names[place] if names else place + 1}")
    courses = [number for number, name in enumerate(names) if _fold(name) in _COURSES]
    # A report has both: the name alone is read, because people read it too.
    courses = courses or [number for number, name in enumerate(names) if _fold(name) in _COURSE_IDS]
    if len(courses) > 1:
        raise UserError(f"{table.name} has {len(courses)} columns of courses. Leave one.")
    if courses:
        found.course_column = names[courses[0]]
        found.by_course_id = _fold(found.course_column) in _COURSE_IDS
        found.column += f", with column {found.course_column}"
    for row in table.rows[0 if header is None else header + 1 :]:
        value = row.cells[place] if len(row.cells) > place else ""
        course = row.cells[courses[0]] if courses and len(row.cells) > courses[0] else ""
        if why := _find_fault(row, names, value, course, found):
            found.bad.append(BadRow(row.place, value or table.write(row), why))
        else:
            course = str(read_identifier(course)) if found.by_course_id else course
            found.people.append(Person(row.place, value, course))
    return found


def _find_fault(row: Row, names: Sequence[str], value: str, course: str, found: PeopleList) -> str:
    if names and len(row.cells) > len(names):
        return f"has {len(row.cells)} fields, and the header {len(names)}"
    if not value:
        return f"lacks the {NOUNS[found.by]}"
    if found.course_column and not course:
        return "lacks the course"
    if found.by_course_id and read_identifier(course) is None:
        return f"has the course {course!r}, which is not a number"
    return ""


def _read_plain(table: Table, by: By) -> PeopleList:
    """Read a list without columns, with one or several people per line."""
    found = PeopleList(table.name, by, f"a plain list by {NOUNS[by]}")
    for row in table.rows:
        for word in filter(None, BETWEEN.split(table.separator.join(row.text))):
            if by is By.EMAIL and "@" not in word:
                why = "is not an e-mail: in a table, name the columns in the first line, such as Email,Course"
                found.bad.append(BadRow(row.place, word, why))
            else:
                found.people.append(Person(row.place, word, ""))
    return found
