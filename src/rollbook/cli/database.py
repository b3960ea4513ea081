"""Opens the database that the settings name, for one command, and says in whose name it changes something."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from rollbook.model import Actor
from rollbook.settings import Settings, load_settings
from rollbook.store.engine import Database
from rollbook.store.schema import check_schema


@contextmanager
def open_database(
    settings: Settings | None = None, *, any_schema: bool = False, statement_seconds: float | None = None
) -> Iterator[Database]:
    """Give the database of the settings; errors: DatabaseUnavailableError, UnknownSchemaError unless `any_schema`."""
    settings = settings or load_settings()
    database = Database(settings.database, settings.pool_size, statement_seconds)
    try:
        if not any_schema:
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
