"""Opens the database that the settings name, for one command, and says in whose name it changes something."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from rollbook.errors import UserError
from rollbook.model import Actor
from rollbook.settings import Settings, load_settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import check_schema

NO_DATABASE = (
    "There is no database {file}. Make it with: rollbook init --account NAME --owner EMAIL; "
    "or correct ROLLBOOK_DATA_DIR or ROLLBOOK_DATABASE_URL."
)


@contextmanager
def open_database(
    settings: Settings | None = None, *, making: bool = False, statement_seconds: float | None = None
) -> Iterator[Database]:
    """Give the database of the settings, of this release's schema; with `making` it may lack both file and schema.

    Errors: UserError, DatabaseUnavailableError.
    """
    settings = settings or load_settings()
    file = settings.database_file
    if not making and file is not None and not file.is_file():
        raise UserError(NO_DATABASE.format(file=file))
    database = Database(settings.database, settings.pool_size, statement_seconds)
    try:
        if not making:
            check_schema(database)
        yield database
    finally:
        database.close()


def operator() -> Actor:
    """Name who runs the command, for the audit: by the system's own record, which no environment variable changes."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Actor(f"operator {name}")
