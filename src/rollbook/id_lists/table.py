"""A list of ids with a given separator: finds the column of the ids, or reads a plain list."""

import re
from collections.abc import Collection
from typing import NamedTuple

from rollbook.errors import UserError
from rollbook.id_lists.found import BLANKS, SHOWN, BadRow, IdList, is_number
from rollbook.wire.identifiers import read_identifier

GROUPED = "has a thousands separator, or is several ids: write one id per line, without it"
ID_COLUMNS = ("AccountUserLearningModuleRelID", "EnrollmentID", "ID")
LIST_COLUMNS = f"{', '.join(ID_COLUMNS)}, Email or EmployeeID"

# A number with thousands separators, or several ids: `1,000` can be both.
_GROUPED = re.compile("(?<![0-9])[0-9]{1,3}([, \u00a0\u2007\u2009\u202f])[0-9]{3}(?:\\1[0-9]{3})*(?![0-9])")
BETWEEN = re.compile(f"[,;|{re.escape(BLANKS)}]+")


class AmbiguousError(UserError):
    """The list is a table at this separator, in which several columns can hold the ids."""


class Only(NamedTuple):
    """Restricts the rows to those with one of the values in a column, if there is such a column."""

    column: str
    values: Collection[str]


class Row(NamedTuple):
    place: str
    text: list[str]  # the fields unchanged
    cells: list[str]  # stripped, without empty ones at the end


def make_row(place: str, fields: list[str]) -> Row:
    """Make a row of its fields."""
    cells = [each.strip(BLANKS) for each in fields]
    while cells and not cells[-1]:
        cells.pop()
    return Row(place, fields, fields if cells == fields else cells)


class Table:
    """The rows of a list; errors of `read`: UserError when the whole list cannot be read."""

    def __init__(self, rows: list[Row], separator: str, name: str, option: str) -> None:
        self.separator = separator
        self.name = name
        self.option = option
        self._how = f"Name the one of ids or e-mails with {option}."
        self.rows = [row for row in rows if row.cells]
        if not self.rows:
            raise UserError(f"{name} is empty.")
        self.width = max(len(row.cells) for row in self.rows)
        self._is_grid = len({len(row.text) for row in self.rows}) == 1 < len(self.rows)

    def _error(self, row: Row, what: str) -> UserError:
        return UserError(f"{self.name}, {row.place}: {what}")

    def read(self, column: str | None, only: Only | None) -> IdList:
        """Read the ids of a column, or of a list without columns."""
        wanted = [column] if column is not None else [*ID_COLUMNS]
        header = self._find_header({name.casefold() for name in wanted})
        if header is not None:
            return self._read_column(self._find_place(header, wanted), header, only)
        if column is not None:
            return self._read_number(column)
        first = self.rows[0].cells
        if len(self.rows) == 1:
            return self._read_plain()
        if any(map(read_identifier, first)):
            return self._read_without_header() if self._is_grid and self.width > 1 else self._read_plain()
        if self.width > 1 and (self._is_grid or all(is_a_name(cell) for cell in first if cell)):
            raise self.refuse_column(LIST_COLUMNS, self._how)
        if self.width == 1 and is_a_name(first[0]):
            if first[0].casefold().endswith("id"):
                raise self.refuse_column(LIST_COLUMNS, self._how)
            return self._read_column(0, 0, only)
        return self._read_plain()

    def _find_header(self, wanted: Collection[str]) -> int | None:
        """Find the header: a row with one of the names, not below the first row with an id."""
        for number, row in enumerate(self.rows):
            if any(cell.casefold() in wanted for cell in row.cells):
                return number
            if any(map(read_identifier, row.cells)):
                break
        return None

    def _find_place(self, header: int, wanted: list[str]) -> int:
        cells = self.rows[header].cells
        folded = {name.casefold() for name in wanted}
        places = [place for place, cell in enumerate(cells) if cell.casefold() in folded]
        if len(wanted) == 1:  # a named column: others may differ only in upper and lower case
            places = [place for place in places if cells[place] == wanted[0]] or places
        if len(places) > 1:
            names = " and ".join(f"{cells[place]} (column {place + 1})" for place in places)
            raise UserError(f"{self.name} has {len(places)} columns of ids: {names}. {self._how}")
        return places[0]

    def refuse_column(self, column: str, how: str) -> UserError:
        """Return the error for a column that the list lacks."""
        header = next(row for row in self.rows if len(row.cells) == self.width)  # a title can stand above it
        named = ", ".join(filter(None, header.cells[:SHOWN]))
        return UserError(f"{self.name} has no column {column}. It has: {named[:500]}. {how}")

    def _read_number(self, column: str) -> IdList:
        number = read_identifier(column) or 0
        if not 1 <= number <= self.width:
            raise self.refuse_column(column, self._how)
        first = self.rows[0].cells[number - 1 : number]
        return self._read_column(number - 1, 0 if first and is_a_name(first[0]) else None, None)

    def _read_without_header(self) -> IdList:
        """Read the only column with numbers."""
        columns = enumerate(zip(*(row.text for row in self.rows), strict=True))
        places = [place for place, texts in columns if any(map(_has_numbers_alone, texts))]
        if len(places) > 1:
            if odd := next((row for row in self.rows if self._is_grouped(row)), None):
                raise AmbiguousError(str(self._error(odd, f"{self.write(odd)!r} {GROUPED}.")))
            numbers = " and ".join(str(place + 1) for place in places)
            what = f"has no header, and numbers in columns {numbers}. {self._how[:-1]}, or write one id per line."
            raise AmbiguousError(f"{self.name} {what}")
        if any(text.startswith(" ") for row in self.rows for text in row.text[1:]):
            return self._read_plain()  # a blank after a comma is typed by a person, not written by a program
        return self._read_column(places[0], None, None)

    def _read_column(self, place: int, header: int | None, only: Only | None) -> IdList:
        names = [] if header is None else self.rows[header].cells
        found = IdList(column=f"column {names[place] if names else place + 1}")
        if header:
            found.column += f", below {self.rows[header].place}"
        condition = names.index(only.column) if only and only.column in names else None
        for row in self.rows[0 if header is None else header + 1 :]:
            cells = row.cells
            if only and condition is not None and "".join(cells[condition : condition + 1]) not in only.values:
                found.left_out += 1
            elif len(cells) > len(names) and (names or self._is_grouped(row)):
                found.bad.append(self._odd_row(row, f"has {len(cells)} fields, and the header {len(names)}"))
            else:
                found.add(row.place, cells[place] if len(cells) > place else "")
        return found

    def _read_plain(self) -> IdList:
        """Read a list without columns, with one or several ids per line."""
        found = IdList(column="a plain list")
        for row in self.rows:
            if len(row.text) == 1 and row.cells[0].isdigit():  # the common case, at a third of the time
                found.add(row.place, row.cells[0])
                continue
            if not all(text.strip(BLANKS) for text in row.text[:-1]):
                what = "an empty field in a list without a header for the column of ids."
                raise self._error(row, what)
            if self._is_grouped(row):
                found.bad.append(self._odd_row(row, ""))
                continue
            for word in filter(None, BETWEEN.split(self.separator.join(row.text))):
                found.add(row.place, word)
        return found

    def write(self, row: Row) -> str:
        """Write a row for a message."""
        return (", " if self.separator == "\t" else self.separator).join(row.cells)

    def _is_grouped(self, row: Row) -> bool:
        return bool(_GROUPED.search(self.separator.join(row.text)))

    def _odd_row(self, row: Row, why: str) -> BadRow:
        if self._is_grouped(row):
            why = GROUPED
        return BadRow(row.place, self.write(row), why)


def _has_numbers_alone(text: str) -> bool:
    words = [*filter(None, BETWEEN.split(text))]
    return bool(words) and (is_number(text.strip(BLANKS)) or all(map(is_number, words)))


def is_a_name(cell: str) -> bool:
    """Whether a cell is a header rather than a mistyped id: it has letters and no digit."""
    return any(map(str.isalpha, cell)) and not any(map(str.isdigit, cell))
