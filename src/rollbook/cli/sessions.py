"""`rollbook session`: the sessions of a course."""

from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import Connection

from rollbook.actions import add_session
from rollbook.cli.courses import CourseArgument, no_course
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.options import read_moment
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.errors import UserError
from rollbook.model import Account
from rollbook.store.learning.courses import has_course, list_sessions
from rollbook.store.people.accounts import find_account

app = typer.Typer(help="Sessions of courses.", no_args_is_help=True)


def _read_start(text: str) -> datetime:
    return read_moment("--start", text)


def _read_end(text: str) -> datetime:
    return read_moment("--end", text)


@app.command("list")
def list_(course: CourseArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """List the sessions of a course, by their beginning."""
    with open_database() as database, database.read() as connection:
        owner = find_account(connection, account)
        if not has_course(connection, owner.id, course):
            raise UserError(no_course(course))
        rows = list_sessions(connection, owner.id, course)
    print_rows(rows, ("id", "name", "starts_at", "ends_at", "status"), form)


@app.command()
def add(
    course: CourseArgument,
    start: Annotated[datetime, typer.Option(parser=_read_start, metavar="TIME", help="As 2026-01-31T08:00, in UTC.")],
    end: Annotated[
        datetime | None, typer.Option(parser=_read_end, metavar="TIME", help="As 2026-01-31T09:30, in UTC.")
    ] = None,
    account: AccountOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Add a session to a course; it is named by its beginning."""
    if end is not None and end < start:
        raise UserError(f"--end {end:%Y-%m-%dT%H:%M} is before --start {start:%Y-%m-%dT%H:%M}.")

    def work(connection: Connection, owner: Account) -> int:
        if not has_course(connection, owner.id, course):
            raise UserError(no_course(course))
        return add_session(connection, operator(), owner.id, course, starts_at=start, ends_at=end)

    number = change_account(account, work)
    print_answer(form, f"Added session {number} of course {course}.", session=number, course=course)
