"""Selects the enrollments of a command: ids as arguments or in a file, or filters that the report resolves."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import NotAnAnswerError, UserError
from rollbook.id_lists import MAX_BYTES, By, IdList, Only, join, read_id_list, read_words
from rollbook.model import suggest
from rollbook.wire.identifiers import read_identifier

IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids of enrollments.", show_default=False)]
FileOption = Annotated[Path | None, typer.Option(help="A CSV, .xlsx or plain list of ids; - is standard input.")]
SheetOption = Annotated[str | None, typer.Option(help="The sheet of a workbook; without it the first one.")]
ColumnOption = Annotated[str | None, typer.Option(help="The column of the file that names them: name or number.")]
ByOption = Annotated[By | None, typer.Option(help="What that column holds, if its name does not say so.")]
SkipOption = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out bad rows of the file.")]


def read_ids(
    words: Sequence[str],
    file: Path | None,
    column: str | None,
    sheet: str | None,
    *,
    skip_bad_rows: bool,
    only: Only | None = None,
) -> list[int]:
    """Read the ids of the arguments and of a file without repetitions, and print what was read; errors: UserError."""
    found = read_words(words)
    if file is not None:
        found = join([found, read_id_list(read_bytes(file), name_of(file), column, only=only, sheet=sheet)])
    elif column is not None or sheet is not None or skip_bad_rows:
        raise UserError("--column, --sheet and --skip-bad-rows need --file.")
    return settle(found, file, skip_bad_rows=skip_bad_rows, only=only)


def settle(found: IdList, file: Path | None, *, skip_bad_rows: bool, only: Only | None = None) -> list[int]:
    """Print what was read of a list, and return its ids; errors: UserError for bad rows that are not to be skipped."""
    if found.bad and not skip_bad_rows:
        rows = "\n  ".join(found.complaints())
        raise UserError(
            f"{len(found.bad):,} {found.fault}, so nothing was done:\n  {rows}\n"
            + (
                "Correct the file, or leave out exactly these with --skip-bad-rows."
                if file
                else "Correct the arguments."
            )
        )
    if file is not None:
        ids = "1 id" if len(found.ids) == 1 else f"{len(found.ids):,} ids"
        typer.echo(f"{name_of(file)}: {ids} from {found.column}.", err=True)
    if found.bad:
        typer.echo("\n  ".join([f"{len(found.bad):,} {found.fault}, left out:", *found.complaints()]), err=True)
    if found.repeats:
        typer.echo(f"{len(found.repeats):,} repeated, sent once: {found.describe_repeats()}", err=True)
    if found.left_out and only:
        typer.echo(f"{found.left_out:,} left out: their {only.column} is none of {', '.join(only.values)}.", err=True)
    return [*found.ids]


def name_of(file: Path) -> str:
    """Return the name of a file for messages."""
    return "standard input" if str(file) == "-" else str(file)


def read_bytes(file: Path) -> bytes:
    """Read a file or standard input; errors: UserError."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None


# For more courses the whole report is read.
MAX_COURSES = 100
# The filters of the report that name something: the option, and the element of a row with the name.
_NAMED = {
    "courses": ("course", "CourseName"),
    "groups": ("group", "GroupName"),
    "emails": ("email", "LearnerEmail"),
    "employee_ids": ("employee-id", "EmployeeID"),
}
NAME_COLUMNS = ("GROUP_NAME", "USER_EMAIL", "EMPLOYEE_ID")


def check_names(client: Client, filters: ReportFilters) -> None:
    """Refuse names that no enrollment of the account has; errors: UserError with the nearest names."""
    asked = [(kind, name) for kind in _NAMED for name in getattr(filters, kind)]
    for kind, name in asked:
        if not name.strip():
            raise UserError(f"--{_NAMED[kind][0]} is empty. Leave it out, or name one.")
    unknown = [each for each in asked if next(client.learner_report(_only(*each), page_size=1), None) is None]
    if unknown:
        known: dict[str, set[str]] = {kind: set() for kind in _NAMED}
        for row in client.learner_report(columns=NAME_COLUMNS):
            for kind, (_, element) in _NAMED.items():
                known[kind].add(row.get(element, ""))
        raise UserError(
            " ".join(
                f"No enrollment has the {_NAMED[kind][0]} '{name}'.{suggest(name, known[kind])}"
                for kind, name in unknown
            )
        )


def _only(kind: str, name: str) -> ReportFilters:
    named: dict[str, Any] = {kind: [name]}
    return ReportFilters(**named)


def find_ids(client: Client, filters: ReportFilters, within: Collection[str] = ()) -> tuple[list[int], set[str]]:
    """Find the enrollments that the filters select, and the names of their courses; `within` are the courses to read.

    Errors: UserError for a name that no enrollment has.
    """
    check_names(client, filters)
    narrow = within and not filters.courses and len(within) <= MAX_COURSES
    report = replace(filters, courses=sorted(within)) if narrow else filters
    ids: list[int] = []
    courses: set[str] = set()
    selected: set[tuple[str, str]] = set()
    for row in client.learner_report(report, NAME_COLUMNS):
        courses.add(row["CourseName"])
        ids.append(read_row_id(row))
        selected.update((kind, row.get(element, "").casefold()) for kind, (_, element) in _NAMED.items())
    for kind, (option, _) in _NAMED.items():
        for name in getattr(filters, kind):
            if (kind, name.strip().casefold()) not in selected:
                typer.echo(f"Of {option} '{name}' nothing is selected: the other options exclude it.", err=True)
    return ids, courses


def read_row_id(row: Mapping[str, str]) -> int:
    """Read the id of the enrollment of a row of the report; errors: NotAnAnswerError."""
    id_ = read_identifier(row["ID"])
    if id_ is None:
        raise NotAnAnswerError(f"The report has a row whose ID is {row['ID'][:40]!r}.")
    return id_
