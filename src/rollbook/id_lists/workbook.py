"""Reads a sheet of an Excel workbook (.xlsx) as rows of text, as people see them, in bounded memory (decision 0040).

Nothing is guessed: a sheet with hidden rows or columns is refused, and a formula without a stored value is no id.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from posixpath import basename, join, normpath
from typing import TypeVar
from xml.parsers import expat

from rollbook.errors import UserError
from rollbook.id_lists.workbook_parts import Formats, Handler, Names, Strings

MAGIC = b"PK\x03\x04"
MAX_BYTES = 32 << 20
MAX_PARTS = 10_000
MAX_UNPACKED = 64 << 20  # of the parts that are read
MAX_CELLS = 2_000_000  # of the rectangle of rows and columns
MAX_TEXT = 64 << 20  # characters in the cells; a shared text counts in each
MAX_COLUMN, MAX_ROW = 16_384, 1_048_576  # of any workbook
NO_VALUE = "(a formula without a stored value)"
ROUNDED_FROM = 10**15  # a spreadsheet keeps 15 digits

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, expat.ExpatError, ValueError)
_CELL = re.compile("([A-Z]{1,3})[0-9]{1,7}")

H = TypeVar("H", bound=Handler)


def read_workbook(data: bytes, name: str, sheet: str | None) -> tuple[str, list[tuple[int, list[str]]]]:
    """Return which sheet was read, the first visible or the named one, and its rows that are not blank.

    Rows have their number and equally many cells. Errors: UserError.
    """
    if len(data) > MAX_BYTES or data.count(b"PK\x01\x02") > MAX_PARTS:
        raise UserError(f"{name} is larger than {MAX_BYTES >> 20} MiB or has too many parts. Save it as CSV.")
    with _damage_reported(name), zipfile.ZipFile(BytesIO(data)) as archive:
        return _Workbook(archive, name).read(sheet)


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UserError(f"{name} is not a workbook (.xlsx) that can be read: {error}.") from None
    except (KeyError, IndexError):
        raise UserError(f"{name} is no workbook of Excel (.xlsx), or a damaged one. Save the sheet as CSV.") from None


class _Workbook:
    """The parts of a workbook that lead to a sheet."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._unpacked = 0
        root = self._find_targets("")
        [self._main] = [target for kind, target in root.values() if kind == "officeDocument"] or [""]
        self._targets = self._find_targets(self._main)

    def read(self, wanted: str | None) -> tuple[str, list[tuple[int, list[str]]]]:
        names = self._parse(self._main, Names())
        sheets = {n: self._targets[id_][1] for n, id_ in names.visible if self._targets[id_][0] == "worksheet"}
        chosen = next((n for n in sheets if wanted is None or n.casefold() == wanted.casefold()), None)
        if chosen is None:
            named = ", ".join(sheets) or "none"
            raise UserError(f"{self._name} has no sheet {wanted or 'to read'}. Its visible ones are: {named[:500]}.")
        parts = dict(self._targets.values())
        strings, formats = Strings(), Formats()
        for kind, handler in (("sharedStrings", strings), ("styles", formats)):
            if kind in parts:
                self._parse(parts[kind], handler)
        rows = self._parse(sheets[chosen], _Sheet(f"{self._name}, sheet {chosen}", strings, formats)).finish()
        first = f" (the first of {len(sheets)})" if wanted is None and len(sheets) > 1 else ""
        return f"sheet {chosen}{first}", rows

    def _find_targets(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the parts that a part refers to, by their id: kind and path."""
        folder = part.rpartition("/")[0]
        path = join(folder, "_rels", f"{basename(part)}.rels")
        found = self._parse(path, Names()).targets
        return {id_: (kind, normpath(join("/", folder, target))[1:]) for id_, kind, target in found}

    def _parse(self, part: str, handler: H) -> H:
        info = self._archive.getinfo(part)
        self._unpacked += info.file_size
        if self._unpacked > MAX_UNPACKED:
            raise UserError(f"{self._name} has more than {MAX_UNPACKED >> 20} MiB of XML. Save the sheet as CSV.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("its compression is not that of a workbook")
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = handler.start, handler.end
        parser.CharacterDataHandler = handler.add_text
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.Parse(self._archive.read(info), True)  # in parts, a long token would take quadratic time
        return handler


def _refuse_document_type(*_: object) -> None:
    raise ValueError("it has a document type")


class _Sheet(Handler):
    """The rows of a sheet, and which rows and columns are hidden."""

    def __init__(self, name: str, strings: Strings, formats: Formats) -> None:
        super().__init__()
        self._name = name
        self._strings = strings.texts
        self._formats = formats
        self._rows: list[tuple[int, list[str]]] = []
        self._hidden: list[int] = []
        self._hidden_columns = 0  # a bit for each, however often a file repeats one
        self._row = self._column = self._width = self._characters = 0
        self._cells: list[str] = []
        self._cell: dict[str, str] = {}
        self._is_hidden = self._has_formula = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "c":
            self._cell, self.text, self._has_formula = attributes, None, False
            self._column = _find_column(attributes.get("r"), self._column)
        elif name == "f":
            self._has_formula = True
        elif name == "row":
            self._row, self._column, self._cells = int(attributes.get("r", self._row + 1)), 0, []
            self._is_hidden = _is_hidden(attributes)
            if not 0 < self._row <= MAX_ROW:
                raise ValueError(f"it has a row {self._row}")
        elif name == "col" and _is_hidden(attributes):
            first, last = (min(max(int(attributes[name]), 1), MAX_COLUMN) for name in ("min", "max"))
            self._hidden_columns |= (2 << last) - (1 << first) if first <= last else 0
        else:
            super().start(name, attributes)

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name == "c":
            self._add_cell()
        elif name == "row":
            if any(map(str.strip, self._cells)):
                self._rows.append((self._row, self._cells))
                self._hidden += [self._row] if self._is_hidden else []
        else:
            super().end(name)

    def _add_cell(self) -> None:
        text = NO_VALUE if self._has_formula and not self.text else self._write(self.text or "")
        self._characters += len(text)
        if text:
            self._width = max(self._width, self._column)
            self._cells += [""] * (self._column - len(self._cells))
            self._cells[self._column - 1] = text
        if (len(self._rows) + 1) * self._width > MAX_CELLS or self._characters > MAX_TEXT:
            size = f"{len(self._rows) + 1:,} rows of {self._width:,} columns"
            raise UserError(f"{self._name} has {size}, too many. Delete what is not needed, or save it as CSV.")

    def _write(self, text: str) -> str:
        """Write a value as a person sees it, but numbers exactly and times as ISO 8601."""
        kind = self._cell.get("t", "n")
        if kind == "s" and text:
            return self._strings[int(text)]
        if kind == "b":
            return "TRUE" if text == "1" else "FALSE"
        if kind != "n" or not text:
            return text
        number, style = float(text), self._formats.find(self._cell.get("s", "0"))
        if style == "date":
            day = datetime(1899, 12, 30) + timedelta(days=max(0.0, min(number, 2_958_465)))
            return str(day).removesuffix(" 00:00:00")
        if not number.is_integer():
            return repr(number)
        # In this form the reader of ids says that it was rounded.
        return f"{int(number):0{len(style)}}" if abs(number) < ROUNDED_FROM else f"{number:.14E}"

    def finish(self) -> list[tuple[int, list[str]]]:
        """Return the rows, filled up to one width; errors: UserError when some are hidden."""
        if self._hidden:
            raise self._hides("row", len(self._hidden), str(self._hidden[0]), "by clearing the filter")
        if not self._rows:
            raise UserError(f"{self._name} is empty.")
        rows = [(number, cells + [""] * (self._width - len(cells))) for number, cells in self._rows]
        covered = [column for column in range(self._width) if self._hidden_columns >> column + 1 & 1]
        if hidden := [column for column in covered if any(cells[column].strip() for _, cells in rows)]:
            raise self._hides("column", len(hidden), _letters(hidden[0] + 1), "by the command Unhide")
        return rows

    def _hides(self, what: str, count: int, first: str, how: str) -> UserError:
        many = "s" if count > 1 else ""
        return UserError(
            f"{self._name} has {count:,} hidden {what}{many} with values, the first is {what} {first}. "
            f"Show them, for instance {how}, or copy the visible {what}s into a new sheet."
        )


def _is_hidden(attributes: dict[str, str]) -> bool:
    return attributes.get("hidden") in ("1", "true")


def _letters(column: int) -> str:
    """Return the name of a column by its number."""
    before, last = divmod(column - 1, 26)
    return (_letters(before) if before else "") + chr(65 + last)


def _find_column(reference: str | None, before: int) -> int:
    """Return the number of a cell's column, by default the next one."""
    if reference is None:
        column = before + 1
    else:
        found = _CELL.fullmatch(reference)
        column = 0
        for letter in found[1] if found else "":
            column = column * 26 + ord(letter) - 64
    if not 0 < column <= MAX_COLUMN:
        raise ValueError(f"it has a cell {str(reference)[:20]!r}")
    return column
