"""`rollbook report`: the filtered learner report of a server as a table, JSON or CSV."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import merge
from typing import Annotated

import typer

from rollbook.cli.options import DayOption, StatusOption, check_known
from rollbook.cli.output import Format, FormatOption, print_json, print_rows
from rollbook.cli.selection import check_names
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import UserError
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.model import EnrollmentStatus
from rollbook.spreadsheets import Writer
from rollbook.wire.identifiers import read_identifier

TABLE_COLUMNS = ("USER_EMAIL", "GROUP_NAME", "ENROLLED_DATE")
SHOWN = ("ID", "Learner", "CourseName", "GroupName", "Status", "Enrolled")

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", callback=check_known(COLUMNS), help=f"A further column: {', '.join(COLUMNS)}."),
]


def report(
    course: Annotated[list[str] | None, typer.Option(help="Only this course.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group.")] = None,
    status: StatusOption = None,
    email: Annotated[list[str] | None, typer.Option(help="Only this learner.")] = None,
    employee_id: Annotated[list[str] | None, typer.Option(help="Only this learner.")] = None,
    enrolled_from: DayOption = None,
    enrolled_to: DayOption = None,
    column: ColumnOption = None,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """List current enrollments, in the order of their ids.

    The table has e-mail, course, group, status and day of enrollment; json and csv have the columns of the API.
    """
    if enrolled_from and enrolled_to and enrolled_to < enrolled_from:
        raise UserError(f"--enrolled-to {enrolled_to} is before --enrolled-from {enrolled_from}.")
    filters = ReportFilters(
        courses=course or (),
        groups=group or (),
        statuses=status or (),
        emails=email or (),
        employee_ids=employee_id or (),
        enrolled_from=enrolled_from,
        enrolled_to=enrolled_to,
    )
    with open_client(profile) as client:
        check_names(client, filters)
        if form is Format.TABLE:
            listed = [*_by_status(client, filters, [*TABLE_COLUMNS, *(column or ())])]
            asked = [COLUMNS[name].name for name in column or () if name not in TABLE_COLUMNS]
            print_rows(listed, [*SHOWN, *asked], form)
            return
        rows = client.learner_report(filters, column or ())
        if form is Format.JSON:
            print_json([*rows])
            return
        # Row by row, because a report can be large.
        writer = Writer(sys.stdout)
        for number, row in enumerate(rows):
            if number == 0:
                writer.write(row)
            writer.write(row.values())


def _by_status(client: Client, filters: ReportFilters, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Read the rows status by status, because a report does not tell it, in the order of their ids."""

    def read(status: str) -> Iterator[dict[str, str]]:
        for row in client.learner_report(replace(filters, statuses=[status]), [*dict.fromkeys(columns)]):
            learner = row.get("LearnerEmail") or f"{row.get('FirstName', '')} {row.get('LastName', '')}"
            yield row | {"Learner": learner, "Status": status, "Enrolled": row.get("EnrolledDate", "")[:10]}

    parts = map(read, filters.statuses or EnrollmentStatus)
    return merge(*parts, key=lambda row: read_identifier(row["ID"]) or 0)
