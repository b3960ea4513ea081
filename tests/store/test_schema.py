"""Migrations lead to the tables of Core, and a database of another release is refused with a way out."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rollbook.errors import DatabaseUnavailableError, UnknownSchemaError, UserError
from rollbook.store.database.database import Database
from rollbook.store.database.schema import HEAD, check_schema, migrate
from rollbook.store.database.tables import metadata

SCHEMAS = Path(__file__).parent / "schemas"

pytestmark = [
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
]


def test_new_database_has_exactly_the_tables(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("whole", [False, True], ids=["no database", "damaged"])
def test_damaged_file_is_named_with_a_way_out(tmp_path: Path, migrated_file: Path, whole: bool) -> None:
    file = tmp_path / "rollbook.db"
    content = migrated_file.read_bytes() if whole else b"These are notes and no database.\n" * 200
    file.write_bytes(content[:4096] + b"\xff" * len(content))
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailableError, match=r"rollbook\.db is no SQLite database, or is damaged.*backup"):
        check_schema(database)
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_null_character_is_refused_with_a_sentence(database: Database) -> None:
    with pytest.raises(UserError, match=r"U\+0000"), database.write() as connection:
        connection.execute(sa.select(sa.bindparam("text", "a\0b")))


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before, after = migrate(database)
    assert before == after
    check_schema(database)


def test_empty_database_is_refused_with_the_command_to_run(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(UnknownSchemaError, match="rollbook init"):
        check_schema(database)
    database.close()


def test_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnknownSchemaError, match=r"9999.*newer"):
        check_schema(database)
    with pytest.raises(UnknownSchemaError, match=r"9999.*newer"):
        migrate(database)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_index_that_an_interrupted_migration_has_left_is_built_again(database: Database) -> None:
    table = sa.table("pg_index", sa.column("indexrelid"), sa.column("indisvalid"))
    mine = table.c.indexrelid == sa.text("CAST('ix_enrollments_status' AS regclass)")
    with database.write() as connection:
        connection.execute(sa.update(table).where(mine).values(indisvalid=False))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0014'"))
    migrate(database)
    with database.read() as connection:
        assert connection.execute(sa.select(table.c.indisvalid).where(mine)).scalar_one()


def test_upgraded_database_equals_a_new_one(database: Database) -> None:
    """Upgrade the schema of the first release (tests/store/schemas)."""
    kind = database.engine.dialect.name
    with database.read() as connection:
        new = _describe(connection)
    with database.write() as connection:
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE alembic_version"))
        for statement in (SCHEMAS / f"0001.{kind}.sql").read_text().split(";\n"):
            if statement:
                connection.exec_driver_sql(statement)
    assert migrate(database) == ("0001", HEAD)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert _describe(connection) == new


def _describe(connection: sa.Connection) -> dict[str, object]:
    inspector = sa.inspect(connection)
    return {
        table: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)},
            sorted(f"{check['name']} {check['sqltext']}" for check in inspector.get_check_constraints(table)),
            sorted(str(index["name"]) for index in inspector.get_indexes(table)),
            sorted(str(key["name"]) for key in inspector.get_foreign_keys(table)),
            inspector.get_pk_constraint(table)["constrained_columns"],
        )
        for table in metadata.tables
    }
