"""Migrates a database to the schema of this release, and refuses databases with another one."""

import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from rollbook.errors import ConflictError, LockTimeoutError, UnknownSchemaError
from rollbook.store.database.database import Database
from rollbook.store.database.deadlocks import limit_lock_waits
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import enrollments, metadata, unenrollments
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.people.search_text import fold_all_names

MIGRATIONS = Path(__file__).parent / "migrations"
# The schemas that this release knows, named by their migrations; the last one is its own.
REVISIONS = sorted(path.name[:4] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
HEAD = REVISIONS[-1]
MIGRATION_LOCK = 0x526F6C6C626F6F6B  # "Rollbook": one migration at a time on a PostgreSQL server

# Alembic's own table.
_MAKE_VERSION = """
    CREATE TABLE IF NOT EXISTS alembic_version (
        version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))
"""

# The indexes of large tables that migrations 0013 and later add.
BUILT_BEFORE = ("ix_enrollments_course", "ix_enrollments_status", "ix_unenrollments_closed_status")
# Indexes that an interrupted migration has left.
_FIND_UNFINISHED = "SELECT CAST(CAST(indexrelid AS regclass) AS text) FROM pg_index WHERE NOT indisvalid"

# While a migration waits for a table's lock, calls queue behind it. So it waits briefly and tries again.
LOCK_MILLISECONDS = 500
LOCK_ATTEMPTS = 60
PAUSE_SECONDS = 1.0


def migrate(database: Database) -> tuple[str | None, str]:
    """Create the tables of an empty database, or run the migrations that it lacks, in one transaction.

    Returns the revisions before and after. Servers and workers of the previous release may run at the same time.
    Errors: UnknownSchemaError when a newer release made the database; DatabaseUnavailableError when its tables stay
    locked.
    """
    _build_indexes(database)
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            with database.write() as connection:
                revisions = _migrate(connection)
            break
        except (LockTimeoutError, ConflictError):
            if attempt == LOCK_ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)
    fold_all_emails(database)
    fold_all_names(database)
    return revisions


def _build_indexes(database: Database) -> None:
    """Build the indexes of large tables beside the calls on PostgreSQL: in the migration, calls would wait for them."""
    with database.read() as connection:
        if connection.dialect.name != "postgresql" or _revision(connection) not in REVISIONS[:-1]:
            return
    with database.autocommit() as connection:
        for (unfinished,) in execute(connection, _FIND_UNFINISHED):
            if unfinished in BUILT_BEFORE:
                execute(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {unfinished}")
        for index in (*enrollments.indexes, *unenrollments.indexes):
            if index.name in BUILT_BEFORE:
                create = str(CreateIndex(index).compile(dialect=connection.dialect))
                execute(connection, create.replace(" INDEX ", " INDEX CONCURRENTLY IF NOT EXISTS ", 1))


def _migrate(connection: sa.Connection) -> tuple[str | None, str]:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        limit_lock_waits(connection, LOCK_MILLISECONDS)
    before = _revision(connection)
    _refuse_newer(before)
    if before is None:
        metadata.create_all(connection)
        execute(connection, _MAKE_VERSION)
        execute(connection, "INSERT INTO alembic_version (version_num) VALUES (:head)", {"head": HEAD})
    elif before != HEAD:
        _upgrade(connection)
    return before, HEAD


def _upgrade(connection: sa.Connection) -> None:
    # Imported here because it takes 0.2 s, and a new database needs none of it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check_schema(database: Database) -> None:
    """Raise UnknownSchemaError unless the database has exactly the schema of this release."""
    with database.read() as connection:
        found = _revision(connection)
    if found == HEAD:
        return
    if found is None:
        raise UnknownSchemaError(
            "The database has no Rollbook schema yet. Run: rollbook init --account NAME --owner EMAIL"
        )
    _refuse_newer(found)
    raise UnknownSchemaError(f"The database has schema {found}, this release needs {HEAD}. Run: rollbook migrate")


def can_serve(database: Database) -> bool:
    """Tell whether a running server can go on, as it can when a newer release has migrated the database."""
    with database.read() as connection:
        found = _revision(connection)
    return found is not None and (found == HEAD or found not in REVISIONS)


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in REVISIONS:
        raise UnknownSchemaError(
            f"The database has schema {found}, which this release does not know: a newer one made it. "
            "Install that release or a later one."
        )


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    rows = execute(connection, "SELECT version_num FROM alembic_version")
    return rows[0][0] if rows else None
