"""The databases that tests run on: a SQLite file and a real PostgreSQL, each made anew for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql import PostgresServer, run_postgresql
from rollbook.store.engine import Database
from rollbook.store.schema import migrate


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole test run."""
    with run_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'rollbook.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgresql")
        with server.fresh_database() as url:
            yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, once of each kind."""
    database = Database(database_url)
    migrate(database)
    yield database
    database.close()
