"""Reads lists of enrollment ids or of people: pasted, typed, or a column of a CSV file of any spreadsheet.

A list is read completely or refused with a reason. Ambiguous text is never guessed: `1,000` is neither an id nor two
ids, and two columns of numbers without a header are no list. The caller decides about rows without an id.
"""

import re
from collections.abc import Iterable, Sequence

from rollbook.errors import UserError
from rollbook.id_lists.found import BLANKS, BadRow, IdList
from rollbook.id_lists.people import NOUNS, By, PeopleList, read_people
from rollbook.id_lists.table import Only, Table

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
    b"PK\x03\x04": "a workbook (.xlsx or .ods) or another zip archive",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel (.xls)",
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
    data: bytes, name: str, column: str | None = None, *, by: By | None = None, option: str = "--column"
) -> IdList | PeopleList:
    """Read a list of ids or of people, as its columns or `by` say; otherwise as `read_id_list`."""
    readings = _split(data, name, option)[0]
    if by is not By.ID:
        for table in readings:
            if isinstance(table, Table) and (people := read_people(table, column, by)) is not None:
                return people
    return read_id_list(data, name, column, option=option)


def read_id_list(
    data: bytes, name: str, column: str | None = None, *, only: Only | None = None, option: str = "--column"
) -> IdList:
    """Read a plain list or a column of CSV; errors: UserError when the whole list cannot be read.

    `column` is the name or number of the column; `option` is where the user names it. `only` restricts the rows by the
    values of another column, if the list has it.
    """
    tables, separators = _split(data, name, option)
    readings: list[IdList | UserError] = []
    for table in tables:
        try:
            readings.append(table.read(column, only) if isinstance(table, Table) else table)
        except UserError as error:
            readings.append(error)
    whole = [reading for reading in readings if isinstance(reading, IdList) and not reading.bad]
    if any(reading.ids.keys() != whole[0].ids.keys() for reading in whole):
        names = " or by ".join(SEPARATORS[mark] for mark in separators)
        raise UserError(f"{name} has different ids when separated by {names}. Begin it with a line like sep=;")
    found = (whole or readings)[0]
    if isinstance(found, UserError):
        raise found
    return found


def _split(data: bytes, name: str, option: str) -> tuple[list[Table | UserError], list[str]]:
    """Split the text at each separator that it can have, the likeliest first; in place of a table why it is none."""
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
            tables.append(Table(text, separator, name, first_line, option))
        except UserError as error:
            tables.append(error)
    return tables, separators


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
