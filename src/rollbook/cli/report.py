"""`rollbook report`: the filtered learner report of a server as a table, JSON or CSV."""

import sys
from typing import Annotated

import typer

from rollbook.cli.options import DayOption, StatusOption, check_known
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.selection import check_names
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.requests import ReportFilters
from rollbook.errors import UserError
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.spreadsheets import Writer

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
    """List current enrollments, in the order of their ids."""
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
        rows = client.learner_report(filters, column or ())
        if form is not Format.CSV:
            listed = list(rows)
            print_rows(listed, list(listed[0]) if listed else ["ID"], form)
            return
        # Row by row, because a report can be large.
        writer = Writer(sys.stdout)
        for number, row in enumerate(rows):
            if number == 0:
                writer.write(row)
            writer.write(row.values())
