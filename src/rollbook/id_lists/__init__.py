"""Reads lists of enrollment ids or of people: pasted, typed, or a column of a workbook or of any spreadsheet's CSV.

A list is read completely or refused with a reason. Ambiguous text is never guessed: `1,000` is neither an id nor two
ids, and two columns of numbers without a header are no list. The caller decides about rows without an id.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from rollbook.errors import UserError
from rollbook.id_lists.csv_text import split_rows
from rollbook.id_lists.found import BLANKS, BadRow, IdList
from rollbook.id_lists.people import NOUNS, By, PeopleList, read_people
from rollbook.id_lists.table import AmbiguousError, Only, Table, make_row
from rollbook.id_lists.workbook import MAGIC, read_workbook

__all__ = [
    "MAX_BYTES",
    "NOUNS",
    "BadRow",
    "By",
    "IdList",
    "Only",
    "PeopleList",
    "join",
    "read_id_list",
    "read_list",
    "read_words",
]

MAX_BYTES = 256 * 1_048_576
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
SAVE = "Save the sheet as “CSV UTF-8” and give that file."

_FORMATS = {
    b"\xd0\xcf\x11\xe0": "an old workbook (.xls), or one with a password",
    b"%PDF": "a PDF",
    b"<": "HTML or XML",
}
_SEPARATOR_LINE = re.compile(r'[\s\ufeff]*"?sep=(.?)"?[,;\t| ]*(\r\n?|\n|\Z)', re.IGNORECASE)
_LINE_END = re.compile(r"\r\n?|\n")


def read_words(words: Iterable[str]) -> IdList:
    """Read ids from the arguments of a command."""
    found = IdList()
    for number, word in enumerate(words, 1):
        found.add(f"argument {number}", word.strip(BLANKS))
    return found


def read_list(
    data: bytes,
    name: str,
    column: str | None = None,
    *,
    by: By | None = None,
    option: str = "--column",
    sheet: str | None = None,
) -> IdList | PeopleList:
    """Read a list of ids or of people, as its columns or `by` say; otherwise as `read_id_list`."""
    found = _split(data, name, option, sheet)
    if by is not By.ID:
        for table in found.tables:
            if isinstance(table, Table) and (people := read_people(table, column, by)) is not None:
                return replace(people, column=found.sheet + people.column)
    return _read_ids(found, name, column, None)


def read_id_list(
    data: bytes,
    name: str,
    column: str | None = None,
    *,
    only: Only | None = None,
    option: str = "--column",
    sheet: str | None = None,
) -> IdList:
    """Read a plain list, or a column of CSV or of a workbook; errors: UserError when the whole list cannot be read.

    `column` is the name or number of the column; `option` is where the user names it. `only` restricts the rows by the
    values of another column, if the list has it.
    """
    return _read_ids(_split(data, name, option, sheet), name, column, only)


def _read_ids(split: "_Split", name: str, column: str | None, only: Only | None) -> IdList:
    readings: list[IdList | UserError] = []
    for table in split.tables:
        try:
            readings.append(table.read(column, only) if isinstance(table, Table) else table)
        except AmbiguousError:  # however else the lines could be split
            raise
        except UserError as error:
            readings.append(error)
    whole = [reading for reading in readings if isinstance(reading, IdList) and not reading.bad]
    if any(reading.ids.keys() != whole[0].ids.keys() for reading in whole):
        names = " or by ".join(SEPARATORS[mark] for mark in split.separators)
        raise UserError(f"{name} has different ids when separated by {names}. Begin it with a line like sep=;")
    found = (whole or readings)[0]
    if isinstance(found, UserError):
        raise found
    return replace(found, column=split.sheet + found.column)


class _Split(NamedTuple):
    """A list split at each separator that it can have, the likeliest first; in place of a table why it is none."""

    tables: list[Table | UserError]
    separators: list[str]
    sheet: str = ""


def _split(data: bytes, name: str, option: str, sheet: str | None) -> _Split:
    if data.startswith(MAGIC):
        read, numbered = read_workbook(data, name, sheet)
        rows = [make_row(f"row {number}", cells) for number, cells in numbered]
        return _Split([Table(rows, "\t", f"{name}, {read}", option)], [], f"{read}, ")
    if sheet is not None:
        raise UserError(f"{name} is no workbook (.xlsx), so it has no sheet {sheet}.")
    text = _decode(data, name)
    first_line, separators = 1, [mark for mark in ";\t," if mark in text] or [","]
    if said := _SEPARATOR_LINE.match(text):
        if said[1] not in SEPARATORS:
            raise UserError(f"{name}: the line {said[0].strip()!r} names no separator of a list: , ; | or a tab.")
        text, separators = text[said.end() :], [said[1]]
        first_line += len(_LINE_END.findall(said[0]))
    start = _LINE_END.split(text.strip(BLANKS)[:100_000], 1)[0]
    separators.sort(key=start.count, reverse=True)
    tables: list[Table | UserError] = []
    for separator in separators:
        try:
            tables.append(Table(split_rows(text, separator, name, first_line), separator, name, option))
        except UserError as error:
            tables.append(error)
    return _Split(tables, separators)


def join(lists: Sequence[IdList]) -> IdList:
    """Join lists; an id in two of them is a repetition."""
    joined = IdList(column=", ".join(each.column for each in lists if each.column), fault=lists[-1].fault)
    for each in lists:
        for id_, place in each.ids.items():
            joined.add(place, str(id_))
        joined.bad += each.bad
        joined.repeats += each.repeats
        joined.left_out += each.left_out
    return joined


def _decode(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES >> 20} MiB, so it is not a list of ids.")
    start = data[:100].lstrip(b"\xef\xbb\xbf \r\n\t")
    for magic, what in _FORMATS.items():
        if start.startswith(magic):
            raise UserError(f"{name} is {what}, not a list in text. {SAVE}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise UserError(f"{name} is UTF-16 or binary instead of UTF-8. {SAVE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not text in UTF-8. {SAVE}") from None
