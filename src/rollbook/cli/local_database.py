"""Opens the database of the settings for a command, and names the operator for the audit."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from rollbook.errors import UserError
from rollbook.model import Account, Actor
from rollbook.sandbox.known import ACCOUNT_KEY
from rollbook.settings import Settings, load_settings
from rollbook.settings_file import find_settings_file
from rollbook.store.database.database import Database
from rollbook.store.database.schema import check_schema
from rollbook.store.operations.sandbox import has_key
from rollbook.store.people.accounts import find_account

T = TypeVar("T")


def require_file(settings: Settings) -> None:
    """Refuse to go on without the SQLite file, so that only `init` makes a database; errors: UserError."""
    file = settings.database_file
    if file is not None and not file.is_file():
        raise UserError(
            f"There is no database {file}. Make it with: rollbook init --account NAME --owner EMAIL; "
            f"or correct ROLLBOOK_DATA_DIR or ROLLBOOK_DATABASE_URL. {find_settings_file().note}"
        )


@contextmanager
def open_database(
    settings: Settings | None = None,
    *,
    making: bool = False,
    any_schema: bool = False,
    statement_seconds: float | None = None,
    connections: int | None = None,
) -> Iterator[Database]:
    """Yield the database of the settings with this release's schema, or with `any_schema`; `making` makes its file.

    Errors: UserError, DatabaseUnavailableError.
    """
    settings = settings or load_settings()
    if not making:
        require_file(settings)
    database = Database(settings.database, connections or settings.pool_size, statement_seconds)
    try:
        if not (making or any_schema):
            check_schema(database)
        yield database
    finally:
        database.close()


def is_sandbox(database: Database) -> bool:
    """Tell whether a database is that of a sandbox, whose keys are public."""
    with database.read() as connection:
        return has_key(connection, ACCOUNT_KEY)


def refuse_sandbox(database: Database) -> None:
    """Raise UserError for the database of a sandbox."""
    if is_sandbox(database):
        raise UserError(
            "This is the database of a sandbox, and everyone knows its keys. Go on with it by rollbook sandbox --keep, "
            "or name another database by ROLLBOOK_DATA_DIR or ROLLBOOK_DATABASE_URL."
        )


def change_account(name: str | None, work: Callable[[Connection, Account], T]) -> T:
    """Do the work on an account in a transaction, again when another transaction is in its way.

    Without a name it is the only account of the database. Errors: as open_database, and those of the work.
    """
    with open_database() as database:
        return database.transact(lambda connection: work(connection, find_account(connection, name)))


def operator() -> Actor:
    """Name the user who runs the command, by the operating system's record, which no environment variable changes."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Actor(f"operator {name}")
