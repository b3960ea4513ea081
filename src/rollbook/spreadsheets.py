"""CSV that a spreadsheet may open: no cell of it is taken for a formula."""

import csv
from collections.abc import Iterable
from typing import TextIO

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Writer:
    """Writes rows as CSV; text that would begin a formula gets an apostrophe before it."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def write(self, row: Iterable[object]) -> None:
        """Write one row; None is an empty cell."""
        self._writer.writerow(map(_defuse, row))


def _defuse(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
