"""Writers on SQLite take turns in the order in which they asked, also those of different connections to a file."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.database.tables import accounts, keys


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database, the only kind with a queue of writers."""
    database = Database(f"sqlite:///{tmp_path / 'rollbook.db'}")
    migrate(database)
    yield database
    database.close()


def _insert(connection: sa.Connection, name: str) -> None:
    account = {"name": name, "protect_completed": False, "hold_seconds": 0, "created_at": utc_now()}
    connection.execute(accounts.insert(), account)


def _add(database: Database, name: str) -> None:
    with database.write() as connection:
        _insert(connection, name)


def _names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(accounts.c.name).order_by(accounts.c.id)).scalars())


def test_databases_and_sessions_on_one_file_take_turns(database: Database, tmp_path: Path) -> None:
    # As the server and the worker of `rollbook serve`: at the file lock one of them could starve the other.
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "rollbook.db")
    other = Database(f"sqlite:///{link}")

    def add_in_session(database: Database, name: str) -> None:
        with database.session() as connection:
            connection.execution_options(writes=True)
            with database.turn(connection, rollback=False), connection.begin():
                _insert(connection, name)

    wanted = [f"writer {number}" for number in range(6)]
    kinds = [(_add, database), (_add, other), (add_in_session, database)]
    threads = []
    with database.write():
        for number, name in enumerate(wanted):
            work, place = kinds[number % 3]
            threads.append(threading.Thread(target=work, args=(place, name)))
            threads[-1].start()
            _wait_for_writers(database, number + 2)
    for thread in threads:
        thread.join()
    assert _names(database) == wanted
    other.close()


def test_writer_times_out_and_the_others_go_on(database: Database) -> None:
    assert database._writers is not None
    database._writers._wait_seconds = 0.05
    with database.write(), pytest.raises(DatabaseUnavailableError):
        _in_a_thread(database, "late")
    _add(database, "afterwards")
    assert _names(database) == ["afterwards"]


def test_failed_commit_leaves_no_open_transaction(database: Database) -> None:
    def spoil(connection: sa.Connection) -> None:
        # A row without an account, which SQLite detects at the commit.
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.execute(keys.insert(), {"account_id": 999, "digest": b"x", "created_at": utc_now()})

    with pytest.raises(sa.exc.IntegrityError):
        database.transact(spoil)
    _add(database, "afterwards")
    assert _names(database) == ["afterwards"]


def _wait_for_writers(database: Database, number: int) -> None:
    assert database._writers is not None
    deadline = time.monotonic() + 10
    while len(database._writers._waiting) < number:
        assert time.monotonic() < deadline, "the writers do not wait"
        time.sleep(0.01)


def _in_a_thread(database: Database, name: str) -> None:
    errors: list[Exception] = []

    def add() -> None:
        try:
            _add(database, name)
        except DatabaseUnavailableError as error:
            errors.append(error)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    for error in errors:
        raise error
