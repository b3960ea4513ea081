"""Writes CSV that is safe to open in a spreadsheet: no cell is read as a formula."""

import csv
from collections.abc import Iterable
from typing import TextIO

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Writer:
    """Writes rows as CSV, with an apostrophe before text that would begin a formula."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, row: Iterable[object]) -> None:
        """Write one row; None is an empty cell."""
        cells = [_escape_formula(value) for value in row]
        # The csv module quotes a carriage return only when it is part of the line terminator.
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoting if returns else self._writer).writerow(cells)


def read_cell(cell: str) -> str:
    """Read a cell that Writer may have written."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _escape_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def _is_formula(text: str) -> bool:
    # Also behind apostrophes, so that reading gives back what was written.
    return text.lstrip("'").startswith(FORMULA_STARTS)
