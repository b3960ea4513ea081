"""`rollbook account`: accounts and their policies."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated, Any

import typer

from rollbook.cli.keys import print_keys
from rollbook.cli.local_database import change_account, open_database, operator, refuse_sandbox
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.cli.prompts import confirm
from rollbook.errors import UserError
from rollbook.model import utc_now
from rollbook.store.learning.retention import count_lost_undos
from rollbook.store.people.accounts import add_account, check_policies, find_account, list_accounts, set_policies

app = typer.Typer(help="Accounts and their policies.", no_args_is_help=True)


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """List the accounts and their policies."""
    with open_database() as database, database.read() as connection:
        rows = list_accounts(connection)
    policies = (
        "protect_completed",
        "hold_seconds",
        "retention_days",
        "require_second_factor",
        "authorization_addresses",
    )
    print_rows(rows, ("id", "name", *policies, "created_at"), form, shown=("id", "name", *policies))


@app.command()
def add(
    name: str,
    owner: Annotated[str, typer.Option(help="E-mail of the account's first owner.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Add an account with its owner, and show both keys, this once."""
    with open_database() as database:
        refuse_sandbox(database)
        keys = database.transact(lambda connection: add_account(connection, name, owner, by=operator()))
    print_keys({"account_key": keys[0], "user_key": keys[1]}, form)


@app.command("set")
def change_policies(
    name: str,
    protect_completed: Annotated[
        bool | None,
        typer.Option("--protect-completed/--no-protect-completed", help="Refuse to unenroll completed enrollments."),
    ] = None,
    hold_seconds: Annotated[int | None, typer.Option(help="Seconds before an accepted item is processed.")] = None,
    retention_days: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Days that progress is kept after unenrollment; none: without limit."),
    ] = None,
    require_second_factor: Annotated[
        bool | None,
        typer.Option(
            "--require-second-factor/--no-require-second-factor", help="Demand a second factor of users of the console."
        ),
    ] = None,
    authorization_addresses: Annotated[
        str | None,
        typer.Option(
            metavar="LIST|all",
            help="Callers of requestExternalAuthorization: addresses and networks, separated by commas.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, even if undos are lost.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Change policies of an account.

    A shorter retention ends the undo of older unenrollments: the command shows how many, and asks.
    """
    changes: dict[str, bool | int | str | None] = {}
    if protect_completed is not None:
        changes["protect_completed"] = protect_completed
    if hold_seconds is not None:
        changes["hold_seconds"] = hold_seconds
    if retention_days is not None:
        changes["retention_days"] = _read_days(retention_days)
    if require_second_factor is not None:
        changes["require_second_factor"] = require_second_factor
    if authorization_addresses is not None:
        changes["authorization_addresses"] = _read_addresses(authorization_addresses)
    if not changes:
        raise UserError("Name a policy to change. See: rollbook account set --help")
    if "retention_days" in changes and not yes:
        _ask_about_undos(name, changes)
    change_account(name, lambda connection, account: set_policies(connection, account, changes, by=operator()))
    print_answer(form, f"Changed {', '.join(changes)} of {name}.", account=name, **changes)


def _ask_about_undos(name: str, changes: Mapping[str, Any]) -> None:
    """Ask before undos are lost; errors: UserError when this is not a terminal."""
    check_policies(changes)
    days, now = changes["retention_days"], utc_now()
    with open_database() as database, database.read() as connection:
        lost = count_lost_undos(connection, find_account(connection, name).id, days, now)
    if not lost:
        return
    before = f"{now - timedelta(days=days or 0):%Y-%m-%d %H:%M}"
    typer.echo(
        f"{lost} unenrollments that ended by {before} UTC can no longer be undone once the retention is {days} days: "
        "their progress is deleted within the hour and cannot be brought back.",
        err=True,
    )
    confirm("Change it?")


def _read_addresses(text: str) -> str | None:
    """Read the list; None for all addresses. Errors: UserError."""
    if text.strip().lower() == "all":
        return None
    addresses = [part.strip() for part in text.split(",")]
    for address in addresses:
        try:
            ip_network(address)
        except ValueError as error:
            wanted = "Give addresses and networks, such as 192.0.2.7,10.0.0.0/8, or all."
            raise UserError(f"--authorization-addresses: {error}. {wanted}") from None
    return ", ".join(addresses)


def _read_days(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError("--retention-days is a number of days, or none.")
    return int(text)
