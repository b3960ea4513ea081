"""The preview of `rollbook unenroll`, from the report: counts by course, the first learners, and all of them as CSV."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollbook.brake import CourseShare
from rollbook.cli.selection import MAX_COURSES
from rollbook.client.calls import Rows
from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import UserError
from rollbook.spreadsheets import Writer
from rollbook.wire.identifiers import read_identifier

SHOWN = 5  # of the learners
# Reading so many rows of the report takes as long as looking up an id.
ROWS_PER_ID = 100
STRIDE = 32  # of the first steps of a count
REPORT_COLUMNS = ("STARTED_DATE", "COMPLETED_DATE", "PROGRESS", "USER_EMAIL")
PLAN_COLUMNS = (
    *("ID", "FirstName", "LastName", "LearnerEmail", "EmployeeID", "CourseName", "GroupName"),
    *("Progress", "StartedDate", "CompletedDate"),
)

WriteRow = Callable[[Mapping[str, str], str], None]


@dataclass
class Preview:
    """What would be unenrolled, by course: selected and current enrollments, and how many of them have begun."""

    selected: Counter[str] = field(default_factory=Counter)
    enrolled: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)  # of the chosen courses, by id
    learners: list[str] = field(default_factory=list)  # the first ones

    def count(self, row: Mapping[str, str], *, selected: bool) -> None:
        """Count a row of the report."""
        course, completed = row["CourseName"], bool(row.get("CompletedDate"))
        started = completed or bool(row.get("StartedDate")) or row.get("Progress", "") not in ("", "0")
        self.enrolled[course] += 1
        if selected:
            self.selected[course] += 1
            self.started[course] += started
            self.completed[course] += completed
            self.names[row.get("LearningModuleID", "")] = course
            if len(self.learners) < SHOWN:
                name = f"{row.get('FirstName', '')} {row.get('LastName', '')}".strip() or "No name"
                self.learners.append(f"{name} <{row.get('LearnerEmail') or 'no e-mail'}>, {course}")

    def shares(self) -> list[CourseShare]:
        """The selected share of each course, by name."""
        counts = (self.selected, self.enrolled, self.started, self.completed)
        return [CourseShare(course, *(count[course] for count in counts)) for course in sorted(self.selected)]


def preview_ids(client: Client, ids: Iterable[int], courses: Collection[str], plan: Path | None) -> Preview:
    """Look up the ids in the report of their courses or, if these are unknown, of the whole account.

    Where the report is long, few ids are looked up one by one, and the enrollments of their courses only counted.
    With `plan` a CSV of all ids is written. Memory: nine bytes per id. Errors: UserError for a plan that exists.
    """
    wanted = array("q", sorted(ids))
    found = bytearray(len(wanted))
    preview = Preview()
    filters = ReportFilters(courses=sorted(courses) if len(courses) <= MAX_COURSES else ())
    columns = REPORT_COLUMNS if plan is None else (*REPORT_COLUMNS, "EMPLOYEE_ID", "GROUP_NAME")
    one_by_one = bool(wanted) and bool(_read_row(client, filters, len(wanted) * ROWS_PER_ID))
    with _open_plan(plan) as write:
        rows = _look_up(client, wanted, columns) if one_by_one else client.learner_report(filters, columns)
        for row in rows:
            id_ = read_identifier(row["ID"]) or 0
            place = bisect_left(wanted, id_)
            selected = place < len(wanted) and wanted[place] == id_
            preview.count(row, selected=selected)
            if selected:
                found[place] = True
                write(row, "")
        for id_, is_found in zip(wanted, found, strict=True):
            if not is_found:
                write({"ID": str(id_)}, "not in the report")
    if one_by_one:
        preview.enrolled = Counter(
            {name: _count_rows(client, name, chosen) for name, chosen in preview.selected.items()}
        )
    return preview


def _look_up(client: Client, ids: Iterable[int], columns: Sequence[str]) -> Iterator[Mapping[str, str]]:
    for id_ in ids:
        page = next(client.learner_report_pages(ReportFilters(enrollment_id=id_), columns))
        yield from (row for row in page if read_identifier(row["ID"]) == id_)


def _read_row(client: Client, filters: ReportFilters, position: int) -> Rows:
    return next(client.learner_report_pages(filters, page_size=1, first_page=position))


def _count_rows(client: Client, course: str, least: int) -> int:
    """Count the enrollments of a course by bisection, a row a call.

    On a server that filters by name in another way: by reading the report.
    """
    names = {course}

    def has_row(position: int) -> bool:
        page = _read_row(client, ReportFilters(courses=[course]), position)
        names.update(row["CourseName"] for row in page)
        return bool(page)

    known, beyond = 0, STRIDE * least
    while has_row(beyond):
        known, beyond = beyond, STRIDE * beyond
    count = bisect_left(range(1, beyond), True, lo=known, key=lambda position: not has_row(position))
    if names == {course} and count >= least:
        return count
    return sum(row["CourseName"] == course for row in client.learner_report())


@contextmanager
def _open_plan(path: Path | None) -> Iterator[WriteRow]:
    """Open the CSV of a plan; an incomplete one is deleted."""
    if path is None:
        yield lambda _row, _note: None
        return
    try:
        file = path.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise UserError(f"{path} exists already. Choose another --plan.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with file:
            writer = Writer(file)
            writer.write((*PLAN_COLUMNS, "Note"))
            yield lambda row, note: writer.write((*(row.get(name) for name in PLAN_COLUMNS), note))
    except BaseException:
        path.unlink()
        raise
