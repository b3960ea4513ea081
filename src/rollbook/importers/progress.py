"""Reads a CSV file of progress: its columns by the names of the report's elements, and the values of its rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from rollbook.errors import UserError
from rollbook.importers.csv_file import read_csv
from rollbook.methods.update_enrollments import ITEM
from rollbook.model import Remark, fold_email
from rollbook.spreadsheets import read_cell
from rollbook.store.learning.progress import Key
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import Element

# The columns that hold progress, by their names in lower case.
VALUES: Mapping[str, Element] = {child.name.lower(): child for child in ITEM.children if child.field != "id"}
# The columns that name an enrollment. The first of them that a file has counts; a learner needs a course beside it.
KEYS = {"id": Key.ID, "sourcedid": Key.EXTERNAL_ID, "employeeid": Key.EMPLOYEE_ID, "email": Key.EMAIL}
KEYS |= {"learneremail": Key.EMAIL}
COURSES = ("learningmoduleid", "coursename")


class ProgressRow(NamedTuple):
    """A row that can be looked for: `named` are the values by which the store finds the enrollment."""

    line: int
    named: Mapping[str, Any]
    values: Mapping[str, Any]


class ProgressFile:
    """The rows of a file. Errors, when it is opened: UserError for columns that do not say what to write where."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        header, self._records = read_csv(name, stream, "A file of progress")
        names = [name.lower() for name in header]
        known = {*VALUES, *KEYS, *COURSES}
        if twice := sorted({name for name in names if name in known and names.count(name) > 1}):
            raise UserError(f"{self.name}: the column {header[names.index(twice[0])]} stands in it twice.")
        self._key_column = next((name for name in KEYS if name in names), "")
        if not self._key_column:
            raise UserError(f"{self.name} names no enrollment. Add a column ID, sourcedId, EmployeeID or Email.")
        self.key = KEYS[self._key_column]
        needs_course = self.key in (Key.EMPLOYEE_ID, Key.EMAIL)
        self._course_column = next((name for name in COURSES if needs_course and name in names), "")
        if needs_course and not self._course_column:
            raise UserError(f"{self.name} names learners and no course. Add a column CourseName or LearningModuleID.")
        used = {*VALUES, self._key_column, self._course_column}
        self._values = [
            (place, VALUES[name].field, VALUES[name].kind.read, VALUES[name])
            for place, name in enumerate(names)
            if name in VALUES
        ]
        if not self._values:
            raise UserError(
                f"{self.name} has no progress. Its columns can be {', '.join(e.name for e in VALUES.values())}."
            )
        self.ignored = [name for name, low in zip(header, names, strict=True) if low not in used]
        self._key_place = names.index(self._key_column)
        self._course_place = names.index(self._course_column) if self._course_column else None
        self._header = header

    def read_rows(self) -> Iterator[ProgressRow | Remark]:
        """Read the rows; one that cannot be used is a remark."""
        for line, record in self._records:
            if isinstance(record, str):
                yield Remark(self.name, line, "", record)
            elif len(record) != len(self._header):
                yield Remark(self.name, line, "", f"{len(record)} fields, where the header has {len(self._header)}")
            elif _unstorable(whole := "".join(record)):
                bad = next(place for place, cell in enumerate(record) if _unstorable(cell))
                yield Remark(self.name, line, self._header[bad], _unstorable(record[bad]))
            else:
                yield self._read(line, [*map(read_cell, record)] if "'" in whole else record)

    def _read(self, line: int, cells: Sequence[str]) -> ProgressRow | Remark:
        values: dict[str, Any] = {}
        for place, field, read, element in self._values:
            # An empty cell leaves the value as it is.
            if text := cells[place].strip():
                try:
                    values[field] = read(text)
                except ValueError:
                    return Remark(self.name, line, element.name, f"{_shown(text)} is no {element.kind.name}")
        named = self._name(cells)
        if named is None:
            column = self._header[self._key_place]
            return Remark(self.name, line, column, f"{_shown(cells[self._key_place])} names no enrollment")
        return ProgressRow(line, named, values)

    def _name(self, cells: Sequence[str]) -> dict[str, Any] | None:
        text = cells[self._key_place].strip()
        try:
            if self.key is Key.ID:
                return {"id": NUMBER.read(text)}
            if self._course_place is None:
                return {"external_id": text} if text else None
            course, by_number = cells[self._course_place].strip(), self._course_column == "learningmoduleid"
            place = {"course": None if by_number else course, "course_id": NUMBER.read(course) if by_number else None}
        except ValueError:
            return None
        if not text or not course:
            return None
        who = {"employee_id": text} if self.key is Key.EMPLOYEE_ID else {"email_folded": fold_email(text)}
        return who | place


def _unstorable(cell: str) -> str:
    """Say why no database can keep a text; what is no UTF-8 has been read as lone surrogates."""
    if "\0" in cell:
        return "the character U+0000 is no text"
    try:
        if not cell.isascii():
            cell.encode()
    except UnicodeEncodeError:
        return "not in UTF-8"
    return ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
