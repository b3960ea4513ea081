"""`rollbook course`: the courses of an account."""

from enum import StrEnum
from typing import Annotated

import typer

from rollbook.actions import add_course, archive_course
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.errors import UserError
from rollbook.model import MAX_ID
from rollbook.store.learning.courses import list_courses
from rollbook.store.people.accounts import find_account
from rollbook.store.people.fields import check_text

CourseArgument = Annotated[
    int, typer.Argument(metavar="COURSE", min=1, max=MAX_ID, help="As `rollbook course list` shows it.")
]

app = typer.Typer(help="Courses.", no_args_is_help=True)


class Status(StrEnum):
    """The status of a course."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    ARCHIVED = "Archived"


@app.command("list")
def list_(
    account: AccountOption = None,
    status: Annotated[Status | None, typer.Option(case_sensitive=False, help="Courses with this status.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the courses of an account."""
    with open_database() as database, database.read() as connection:
        rows = list_courses(connection, find_account(connection, account).id, status=status and status.value)
    print_rows(rows, ("id", "name", "status", "term", "duration"), form)


@app.command()
def add(
    name: str,
    account: AccountOption = None,
    term: Annotated[str, typer.Option(help="When it takes place, such as Spring 2027.")] = "",
    duration: Annotated[str, typer.Option(help="How long it takes, such as 90 minutes.")] = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Add a course; several can have one name."""
    name = check_text("course name", name)
    texts = {"term": term, "duration": duration}
    given = {what: check_text(what, text) if text else None for what, text in texts.items()}
    number = change_account(
        account, lambda connection, owner: add_course(connection, operator(), owner.id, name, **given)
    )
    print_answer(form, f"Added course {number}, {name}.", course=number, name=name)


@app.command()
def archive(course: CourseArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Archive a course: no one is enrolled in it any more; its enrollments stay."""
    name = change_account(account, lambda connection, owner: archive_course(connection, operator(), owner.id, course))
    if name is None:
        raise UserError(no_course(course))
    print_answer(form, f"Course {course}, {name}, is archived.", course=course, name=name, status="Archived")


def no_course(course: int) -> str:
    """Say that the account has no such course."""
    return f"The account has no course {course}. See: rollbook course list"
