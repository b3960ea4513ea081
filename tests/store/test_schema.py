"""The migrations and the tables say the same, and a database of another release is refused with a way out."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rollbook.errors import UnknownSchemaError
from rollbook.store.engine import Database
from rollbook.store.schema import check_schema, migrate
from rollbook.store.tables import metadata

pytestmark = [
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
]


def test_a_new_database_has_exactly_the_tables(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before, after = migrate(database)
    assert before == after
    check_schema(database)


def test_an_empty_database_is_refused_and_init_is_named(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(UnknownSchemaError, match="rollbook init"):
        check_schema(database)
    database.close()


def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnknownSchemaError, match=r"9999.*newer"):
        check_schema(database)
    with pytest.raises(UnknownSchemaError, match=r"9999.*newer"):
        migrate(database)
