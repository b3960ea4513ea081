"""Splits CSV at a given separator into rows, each with its line."""

import csv
import io

from rollbook.errors import UserError
from rollbook.id_lists.found import BLANKS
from rollbook.id_lists.table import Row, make_row
from rollbook.wire.identifiers import read_identifier


def split_rows(text: str, separator: str, name: str, first_line: int) -> list[Row]:
    """Split a text that begins in `first_line` of its file; errors: UserError."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows, line = [], 0
    try:
        for fields in reader:
            rows.append(make_row(f"line {line + first_line}", fields))
            if reader.line_num > line + 1 and (stray := _find_swallowed_row(rows[-1], separator)):
                raise UserError(f"{name}, {stray} to {reader.line_num + first_line - 1}. Close it.")
            line = reader.line_num
    except csv.Error as error:
        if "unexpected end" not in str(error):
            raise UserError(f"{name}, line {line + first_line}: not in CSV format: {error}.") from None
        *before, _ = next(csv.reader(lines[line:], delimiter=separator))  # the last field is open
        line += sum(len(list(io.StringIO(each, newline=""))) - 1 for each in before if each) + first_line
        raise UserError(f"{name}, line {line}: a quotation mark opens there and is not closed.") from None
    return rows


def _find_swallowed_row(row: Row, separator: str) -> str | None:
    """Describe a field that contains rows, between a stray quotation mark and a later one."""
    for line in (line for cell in row.text for line in cell.splitlines()[1:]):
        parts = [part.strip(BLANKS) for part in line.split(separator)]
        if len(parts) > 1 and any(map(read_identifier, parts)):
            number = row.place.removeprefix("line ")
            return f"{row.place}: a quotation mark opens there, and makes one row of lines {number}"
    return None
