"""`rollbook audit`: who changed what in an account, when and from where."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import open_database
from rollbook.cli.options import read_since
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.errors import UserError
from rollbook.model import Action, suggest
from rollbook.store.operations.audit import list_actors, list_changes
from rollbook.store.people.accounts import find_account
from rollbook.store.people.users import find_user

COLUMNS = ("happened_at", "actor", "action", "subject", "details", "address", "request_id")


def audit(
    account: AccountOption = None,
    user: Annotated[str | None, typer.Option(help="Changes by this user: an e-mail, or 'operator NAME'.")] = None,
    action: Annotated[
        Action | None, typer.Option(metavar="ACTION", help=f"Changes of this kind: {', '.join(Action)}.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=read_since, metavar="TIME", help="Changes since 2026-01-31 or 2026-01-31T08:00, UTC."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The latest N changes.")] = 100,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the changes of an account, the latest last: who, what, when, from where.

    The table leaves out the address and the request id, which json and csv have.
    """
    with open_database() as database, database.read() as connection:
        owner = find_account(connection, account)
        if user is not None and user not in (actors := list_actors(connection, owner.id)):
            if "@" not in user:
                raise UserError(f"The audit has no change by {user!r}.{suggest(user, actors)}")
            find_user(connection, owner, user)  # a user without any change
        rows = list_changes(connection, owner.id, actor=user, action=action, since=since, limit=limit)
    if form is not Format.JSON:
        write = _say_details if form is Format.TABLE else _write_details
        rows = [row | {"details": write(row["details"] or {})} for row in rows]
    print_rows(rows[::-1], COLUMNS, form, shown=COLUMNS[:5], wrap=True)


def _write_details(details: Any) -> str:
    return json.dumps(details, ensure_ascii=False) if details else ""


def _say_details(details: Any) -> str:
    return ", ".join(f"{name} {_say(value)}" for name, value in details.items())


def _say(value: Any) -> str:
    if isinstance(value, dict) and [*value] == ["from", "to"]:
        return f"{_say(value['from'])} → {_say(value['to'])}"
    return "none" if value is None else str(value)
