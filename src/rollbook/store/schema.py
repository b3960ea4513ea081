"""Brings a database to the schema that this release knows, and refuses to run on another."""

import time

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rollbook.errors import ConflictError, LockTimeoutError, UnknownSchemaError
from rollbook.store.engine import Database
from rollbook.store.tables import metadata

MIGRATION_LOCK = 0x526F6C6C626F6F6B  # "Rollbook": one migration at a time on a PostgreSQL server

# Calls that come while a migration waits for a table wait behind it. So it waits briefly, and often.
LOCK_MILLISECONDS = 500
LOCK_ATTEMPTS = 60
PAUSE_SECONDS = 1.0


def migrate(database: Database) -> tuple[str | None, str]:
    """Make the tables of an empty database, or run the migrations that one lacks, in one transaction.

    Returns the revisions before and after. Servers and workers of the release before may run meanwhile. Errors:
    UnknownSchemaError when a newer release has made the database; DatabaseUnavailableError when its tables never became
    free.
    """
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            with database.write() as connection:
                return _migrate(connection)
        except (LockTimeoutError, ConflictError):
            if attempt == LOCK_ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _migrate(connection: sa.Connection) -> tuple[str | None, str]:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        connection.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
    before = _revision(connection)
    _refuse_newer(before)
    config = _config()
    config.attributes["connection"] = connection
    if before is None:
        metadata.create_all(connection)
        command.stamp(config, "head")
    else:
        command.upgrade(config, "head")
    return before, _head()


def check_schema(database: Database) -> None:
    """Raise UnknownSchemaError unless the database has exactly the schema of this release."""
    with database.read() as connection:
        found = _revision(connection)
    if found == _head():
        return
    if found is None:
        raise UnknownSchemaError(
            "The database has no Rollbook schema yet. Run: rollbook init --account NAME --owner EMAIL"
        )
    _refuse_newer(found)
    raise UnknownSchemaError(f"The database has schema {found}, this release needs {_head()}. Run: rollbook migrate")


def can_serve(database: Database) -> bool:
    """Whether a server of this release can go on: also when a newer release has migrated the database meanwhile."""
    with database.read() as connection:
        found = _revision(connection)
    return found is not None and (found == _head() or found not in _known())


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in _known():
        raise UnknownSchemaError(
            f"The database has schema {found}, which this release does not know: a newer one made it. "
            "Install that release or a later one."
        )


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "rollbook.store:migrations")
    return config


def _head() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package ships its migrations"  # noqa: S101
    return head


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
