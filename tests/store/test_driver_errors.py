"""Errors of the driver have the same classes in a bulk load as in a statement."""

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import LockTimeoutError
from rollbook.model import utc_now
from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.sql import write_time
from rollbook.store.database.tables import workers

ROW = ("worker", write_time(utc_now()))


def test_duplicate_row_in_a_bulk_load_is_an_integrity_error(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as connection:
        load_rows(connection, workers, [ROW, ROW])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_lock_timeout_in_a_bulk_load_means_unavailable(database: Database, database_url: str) -> None:
    def load(connection: sa.Connection) -> None:
        execute(connection, "SET LOCAL lock_timeout = 50")
        load_rows(connection, workers, [ROW])

    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE workers")
        with pytest.raises(LockTimeoutError):
            database.transact(load)
