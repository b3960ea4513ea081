"""`rollbook report`: the learner report of any server, filtered, as a table, JSON or CSV."""

import csv
import sys
from datetime import datetime
from typing import Annotated

import typer

from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.remote import ProfileOption, open_client
from rollbook.client.requests import ReportFilters

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day; it counts.")]


def report(
    course: Annotated[list[str] | None, typer.Option(help="Only this course.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only this status, as 'In Progress'.")] = None,
    email: Annotated[list[str] | None, typer.Option(help="Only this learner.")] = None,
    employee_id: Annotated[list[str] | None, typer.Option(help="Only this learner.")] = None,
    enrolled_from: Day = None,
    enrolled_to: Day = None,
    column: Annotated[list[str] | None, typer.Option(help="A further column, as PROGRESS or DUE_DATE.")] = None,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """List current enrolments, in the order of their ids."""
    filters = ReportFilters(
        courses=course or (),
        groups=group or (),
        statuses=status or (),
        emails=email or (),
        employee_ids=employee_id or (),
        enrolled_from=enrolled_from and enrolled_from.date(),
        enrolled_to=enrolled_to and enrolled_to.date(),
    )
    with open_client(profile) as client:
        rows = client.learner_report(filters, column or ())
        if form is not Format.CSV:
            listed = list(rows)
            print_rows(listed, list(listed[0]) if listed else ["ID"], form)
            return
        # Row by row, because a report may be as long as a university is large.
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
