"""`rollbook group`: the groups of an account."""

from collections.abc import Mapping
from typing import Annotated

import typer
from sqlalchemy import Connection

from rollbook.actions import GroupChanges, create_group
from rollbook.cli.courses import no_course
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.errors import UserError
from rollbook.model import MAX_ID, Account, utc_now
from rollbook.store.people import group_changes
from rollbook.store.people.accounts import find_account
from rollbook.store.people.fields import check_text
from rollbook.store.people.group_search import list_groups

MAX_LIMIT = 2**31 - 1

app = typer.Typer(help="Groups.", no_args_is_help=True)


@app.command("list")
def list_(account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """List the groups of an account, inactive ones too."""
    with open_database() as database, database.read() as connection:
        rows = list_groups(connection, find_account(connection, account).id)
    print_rows(rows, ("id", "name", "group_id", "active", "description"), form)


@app.command()
def add(
    name: str,
    identifier: Annotated[str, typer.Option(help="GroupID in the API; otherwise the number of the group.")] = "",
    description: str = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUES", help="As Region=North,West.")] = None,
    user_limit: Annotated[int | None, typer.Option(min=0, max=MAX_LIMIT, help="The most members.")] = None,
    course: Annotated[
        list[int] | None, typer.Option(metavar="COURSE", min=1, max=MAX_ID, help="A course of the group.")
    ] = None,
    auto_enroll: Annotated[
        list[int] | None,
        typer.Option(metavar="COURSE", min=1, max=MAX_ID, help="A course that new members are enrolled in."),
    ] = None,
    account: AccountOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Add an active group; --tag, --course and --auto-enroll can be repeated."""
    texts = {"group name": name, "identifier": identifier, "description": description}
    name, identifier, description = (check_text(what, text) if text else text for what, text in texts.items())
    if not name:
        raise UserError("The group name is empty.")
    courses = {number: {"auto_enroll": False} for number in course or ()}
    courses |= {number: {"auto_enroll": True} for number in auto_enroll or ()}
    columns = {"name": name, "identifier": identifier or None, "description": description or None}
    wanted = [_read_tag(each) for each in tag or ()]

    def work(connection: Connection, owner: Account) -> int:
        group_changes.lock_groups(connection, owner.id)
        _check(connection, owner, name, identifier, courses)
        tags = group_changes.find_tags(connection, owner.id, wanted)
        changes = GroupChanges(
            {**columns, "user_limit": user_limit}, tags=None if isinstance(tags, int) else tags, courses=courses
        )
        return create_group(connection, operator(), owner.id, changes, utc_now())[0]

    number = change_account(account, work)
    print_answer(form, f"Added group {number}, {name}.", group=number, name=name)


def _read_tag(text: str) -> tuple[None, str, list[str]]:
    name, _, values = text.partition("=")
    return None, check_text("tag", name), [each.strip() for each in values.split(",") if each.strip()]


def _check(connection: Connection, owner: Account, name: str, identifier: str, courses: Mapping[int, object]) -> None:
    if group_changes.is_name_taken(connection, owner.id, name, None):
        raise UserError(f"The account {owner.name!r} has an active group {name!r} already. See: rollbook group list")
    if identifier and group_changes.is_identifier_taken(connection, owner.id, identifier, None):
        raise UserError(f"A group has the identifier {identifier!r} already. See: rollbook group list")
    if missing := courses.keys() - group_changes.find_course_ids(connection, owner.id, courses):
        raise UserError(no_course(min(missing)))
