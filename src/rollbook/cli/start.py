"""`rollbook init` and `rollbook migrate`: make the database, and bring it to the schema of this release."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rollbook.cli.keys import print_keys
from rollbook.cli.output import Format, FormatOption
from rollbook.errors import UserError
from rollbook.settings import load_settings
from rollbook.store import schema
from rollbook.store.accounts import add_account
from rollbook.store.engine import Database


def init(
    account: Annotated[str, typer.Option(help="Name of the account.")],
    owner: Annotated[str, typer.Option(help="E-mail of its owner, in whose name calls are made.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Make the database when there is none, and add an account with an owner and their keys."""
    with _make_database() as database:
        schema.migrate(database)
        with database.write() as connection:
            account_key, user_key = add_account(connection, account, owner)
    print_keys({"account_key": account_key, "user_key": user_key}, form, then="Next, start the server: rollbook serve")


def migrate() -> None:
    """Bring the database to the schema of this release; safe to repeat."""
    with _make_database() as database:
        before, after = schema.migrate(database)
    typer.echo(
        f"The database has schema {after}, " + ("as before." if before == after else f"before: {before or 'none'}.")
    )


@contextmanager
def _make_database() -> Iterator[Database]:
    settings = load_settings()
    try:
        # Names, grades and the server's key are nobody else's business; what exists already is left as it is.
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(settings.database)
        if file := database.engine.url.database:
            Path(file).touch(mode=0o600)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}. See ROLLBOOK_DATA_DIR.") from None
    try:
        yield database
    finally:
        database.close()
