"""`rollbook init` and `rollbook migrate`: make the database, and migrate it to the schema of this release."""

from typing import Annotated

import typer

from rollbook.cli.keys import print_keys
from rollbook.cli.local_database import open_database, operator, refuse_sandbox
from rollbook.cli.output import Format, FormatOption, print_answer
from rollbook.store.database import schema
from rollbook.store.people.accounts import add_account


def init(
    account: Annotated[str, typer.Option(help="Name of the account.")],
    owner: Annotated[str, typer.Option(help="E-mail of its owner, the user of the first key.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Make the database if there is none, and add an account with an owner and keys."""
    with open_database(making=True) as database:
        schema.migrate(database)
        refuse_sandbox(database)
        keys = database.transact(lambda connection: add_account(connection, account, owner, by=operator()))
    print_keys({"account_key": keys[0], "user_key": keys[1]}, form, then="Next, start the server: rollbook serve")


def migrate(form: FormatOption = Format.TABLE) -> None:
    """Migrate the database to the schema of this release; safe to repeat."""
    with open_database(any_schema=True) as database:
        before, after = schema.migrate(database)
    earlier = "as before" if before == after else f"before: {before or 'none'}"
    print_answer(form, f"The database has schema {after}, {earlier}.", schema=after, before=before)
