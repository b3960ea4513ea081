"""Group commit on SQLite: concurrent writers share a transaction, but not their errors and rollbacks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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
    """An SQLite database, the only kind with group commit."""
    database = Database(f"sqlite:///{tmp_path / 'rollbook.db'}")
    migrate(database)
    yield database
    database.close()


def _add(connection: sa.Connection, name: str) -> None:
    account = {"name": name, "protect_completed": False, "hold_seconds": 0, "created_at": utc_now()}
    connection.execute(accounts.insert(), account)


def _names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(accounts.c.name)).scalars())


def _together(database: Database, works: Mapping[str, Callable[[str], None]]) -> dict[str, Exception | None]:
    """Run the writers while another one holds the transaction; return the exception of each."""
    outcomes: dict[str, Exception | None] = {}

    def do(name: str, work: Callable[[str], None]) -> None:
        outcomes[name] = None
        try:
            work(name)
        except Exception as error:
            outcomes[name] = error

    threads = [threading.Thread(target=do, args=item) for item in works.items()]
    with suppress(DatabaseUnavailableError), database.write() as connection:
        _add(connection, "first")
        for thread in threads:
            thread.start()
        assert database._group_commit is not None
        deadline = time.monotonic() + 10
        while database._group_commit._waiting < len(works):
            assert time.monotonic() < deadline, "the writers do not wait"
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    return outcomes


def test_error_or_rollback_of_one_writer_does_not_affect_the_group(database: Database) -> None:
    def keep(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)

    def fail(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)
            raise ValueError(name)

    def clash(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)
            _add(connection, "first")

    def try_out(name: str) -> None:
        with database.write(rollback=True) as connection:
            _add(connection, name)

    works = {"kept": keep, "failed": fail, "clashed": clash, "tried": try_out, "kept too": keep}
    outcomes = _together(database, works)
    assert _names(database) == {"first", "kept", "kept too"}
    assert {name: type(outcome) for name, outcome in outcomes.items() if outcome} == {
        "failed": ValueError,
        "clashed": sa.exc.IntegrityError,
    }


def test_failed_commit_raises_in_every_writer_of_the_group(database: Database) -> None:
    def keep(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)

    def spoil(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)
            # A row without an account, which SQLite detects at the commit.
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            row = {"account_id": 999, "digest": b"x", "created_at": utc_now()}
            connection.execute(keys.insert(), row)

    outcomes = _together(database, {"kept": keep, "spoiled": spoil, "kept too": keep})
    assert {type(outcome) for outcome in outcomes.values()} == {DatabaseUnavailableError}
    assert _names(database) == set()
    keep("afterwards")
    assert _names(database) == {"afterwards"}


def test_writer_times_out_and_the_others_go_on(database: Database) -> None:
    def keep(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)

    assert database._group_commit is not None
    database._group_commit._wait_seconds = 0.05
    held = threading.Event()

    def hold() -> None:
        with database.write() as connection:
            _add(connection, "held")
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    with pytest.raises(DatabaseUnavailableError):
        keep("late")
    thread.join()
    keep("afterwards")
    assert _names(database) == {"held", "afterwards"}


def test_databases_on_one_file_share_the_queue_of_writers(database: Database, tmp_path: Path) -> None:
    # As the server and the worker of `rollbook serve`: at the file lock one of them could starve the other.
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "rollbook.db")
    other = Database(f"sqlite:///{link}")

    def keep(name: str) -> None:
        with other.write() as connection:
            _add(connection, name)

    assert _together(database, {"kept": keep, "kept too": keep}) == {"kept": None, "kept too": None}
    assert _names(database) == {"first", "kept", "kept too"}
    other.close()


def test_session_takes_its_turn_among_the_writers(database: Database) -> None:
    def write(name: str) -> None:
        with database.write() as connection:
            _add(connection, name)

    def write_in_session(name: str) -> None:
        with database.session() as connection:
            connection.execution_options(writes=True)
            with database.turn(connection, rollback=False), connection.begin():
                _add(connection, name)

    works = {"a": write, "b": write_in_session, "c": write, "d": write_in_session, "e": write}
    assert _together(database, works) == dict.fromkeys(works)
    assert _names(database) == {"first", *works}
