"""Which enrolments a command is about: ids as arguments or in a file, or a choice that the report resolves."""

import csv
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import UserError
from rollbook.wire.values import read_identifier

ID_COLUMNS = ("AccountUserLearningModuleRelID", "EnrollmentID", "ID", "id")


@dataclass
class Preview:
    """What would be unenrolled, by course: how many are chosen, of how many, how many of them have come how far."""

    chosen: Counter[str] = field(default_factory=Counter)
    enrolled: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)

    def count(self, row: dict[str, str]) -> None:
        """Count a row of the report as chosen."""
        course = row["CourseName"]
        self.chosen[course] += 1
        self.started[course] += bool(row.get("StartedDate"))
        self.completed[course] += bool(row.get("CompletedDate"))

    def percent(self, course: str) -> float:
        """Tell which part of the course's enrolments is chosen."""
        return 100 * self.chosen[course] / max(1, self.enrolled[course])


def read_ids(ids: Sequence[str], file: Path | None, column: str | None) -> Iterator[str]:
    """Yield the ids of the arguments and of a CSV or plain file (`-` is standard input), one a line."""
    yield from ids
    if file is None:
        return
    try:
        with sys.stdin if str(file) == "-" else file.open(newline="", encoding="utf-8-sig") as lines:
            yield from _read_column(csv.reader(lines), column, str(file))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not text in UTF-8.") from None
    except csv.Error as error:
        raise UserError(f"{file} is not in CSV format: {error}.") from None


def _read_column(rows: Iterator[list[str]], column: str | None, file: str) -> Iterator[str]:
    first = [cell.strip() for cell in next(rows, [])]
    named = next((name for name in ([column] if column else ID_COLUMNS) if name in first), None)
    if named is not None:
        place = first.index(named)
    elif column is None and len(first) == 1:
        place = 0
        yield first[0]  # a plain list has no header
    else:
        wanted = column or ", ".join(ID_COLUMNS)
        raise UserError(f"{file} has no column {wanted}; it has {', '.join(first)}. Name one with --column.")
    for number, row in enumerate(rows, 2):
        if len(row) <= place:
            if not row:
                continue
            raise UserError(f"{file}, line {number}: the row is too short to have an id.")
        yield row[place].strip()


def find_ids(client: Client, filters: ReportFilters) -> Iterator[str]:
    """Yield the ids of the enrolments that the filters choose."""
    return (row["ID"] for row in client.learner_report(filters))


def preview_ids(client: Client, ids: Iterable[str]) -> Preview:
    """Look the ids up in the report of the whole account; memory: eight bytes an id."""
    wanted = array("q", sorted(filter(None, map(read_identifier, ids))))
    preview = Preview()
    for row in client.learner_report(columns=["STARTED_DATE", "COMPLETED_DATE"]):
        preview.enrolled[row["CourseName"]] += 1
        id_ = read_identifier(row["ID"]) or 0
        place = bisect_left(wanted, id_)
        if place < len(wanted) and wanted[place] == id_:
            preview.count(row)
    return preview
