"""`rollbook key`: makes, lists and revokes keys. A key is shown only once, when it is made."""

from datetime import datetime
from typing import Annotated

import typer

from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.options import read_moment
from rollbook.cli.output import Format, FormatOption, print_answer, print_json, print_rows
from rollbook.store.people.accounts import find_account
from rollbook.store.people.api_keys import list_keys, new_key, revoke_key

AccountOption = Annotated[
    str | None, typer.Option("--account", help="Name of the account; optional if there is only one.")
]

app = typer.Typer(help="Keys of accounts and of users.", no_args_is_help=True)


def _read_expiry(text: str) -> datetime:
    return read_moment("--expires", text)


@app.command()
def new(
    account: AccountOption = None,
    user: Annotated[str | None, typer.Option(help="E-mail of the user; without it, a key of the account.")] = None,
    name: Annotated[str | None, typer.Option(help="What the key is for, such as the program that has it.")] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(parser=_read_expiry, metavar="TIME", help="When it stops working, as 2027-01-31, in UTC."),
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make a key and show it, only this once."""
    key = change_account(
        account,
        lambda connection, owner: new_key(connection, owner, user, by=operator(), name=name, expires_at=expires),
    )
    print_keys({"account_key" if user is None else "user_key": key}, form)


@app.command("list")
def list_(account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """List the keys by their numbers, with their last use to the minute, never the keys themselves."""
    with open_database() as database, database.read() as connection:
        rows = list_keys(connection, find_account(connection, account))
    times = ("created_at", "last_used_at", "expires_at", "revoked_at")
    short = ("id", "kind", "user", "name", "state", "last_used_at", "expires_at")
    print_rows(rows, ("id", "kind", "user", "name", "state", *times), form, shown=short, keep=("kind", "state"))


@app.command()
def revoke(
    key_id: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="As `rollbook key list` shows it.")],
    account: AccountOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Revoke a key at once; this cannot be undone."""
    change_account(account, lambda connection, owner: revoke_key(connection, owner, key_id, by=operator()))
    print_answer(form, f"Revoked key {key_id}.", key=key_id, revoked=True)


def print_keys(keys: dict[str, str], form: Format, then: str = "") -> None:
    """Print new keys, named as in JSON; `then` is the next step for the user."""
    if form is Format.JSON:
        print_json(keys)
    elif form is Format.CSV:
        print_rows([keys], list(keys), form)
    else:
        for name, key in keys.items():
            typer.echo(f"{name.replace('_', ' '):12} {key}")
        typer.echo("\nKeep this safe now: it is shown only this once, and only its digest is stored.")
        if then:
            typer.echo(then)
