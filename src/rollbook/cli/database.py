"""Opens the database that the settings name, for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from rollbook.settings import load_settings
from rollbook.store.engine import Database
from rollbook.store.schema import check_schema


@contextmanager
def open_database() -> Iterator[Database]:
    """Give the database of the settings; errors: UnknownSchemaError, DatabaseUnavailableError."""
    settings = load_settings()
    database = Database(settings.database, settings.pool_size)
    try:
        check_schema(database)
        yield database
    finally:
        database.close()
