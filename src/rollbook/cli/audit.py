"""`rollbook audit`: who changed what in an account, when, from where."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from rollbook.cli.database import open_database
from rollbook.cli.keys import AccountOption
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.errors import UserError
from rollbook.model import Action
from rollbook.store.accounts import find_account
from rollbook.store.audit import list_changes

COLUMNS = ("happened_at", "actor", "action", "subject", "details", "address", "request_id")


def audit(
    account: AccountOption = None,
    user: Annotated[str | None, typer.Option(help="Whose changes only: an e-mail, or 'operator NAME'.")] = None,
    action: Annotated[Action | None, typer.Option(metavar="ACTION", help="Changes of one kind, as unenroll.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="2026-01-31 or 2026-01-31T08:00, UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The latest so many.")] = 100,
    form: FormatOption = Format.TABLE,
) -> None:
    """List who changed what in an account, when and from where, the latest last."""
    from_time = None if since is None else _read_time(since)
    with open_database() as database, database.read() as connection:
        number = find_account(connection, account).id
        rows = list_changes(connection, number, actor=user, action=action, since=from_time, limit=limit)
    if form is not Format.JSON:
        rows = [row | {"details": _write_details(row["details"])} for row in rows]
    print_rows(rows[::-1], COLUMNS, form)


def _read_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--since is a time like 2026-01-31 or 2026-01-31T08:00, not {text!r}.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _write_details(details: object) -> str:
    return json.dumps(details, ensure_ascii=False) if details else ""
