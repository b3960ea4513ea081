"""A transaction that deadlocks with a command on PostgreSQL; the command's transaction is aborted."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from rollbook.store.database.database import Database

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def deadlock(database: Database, change: str) -> Iterator[None]:
    """Hold the audit, which every change is written to, and make `change` once the block waits for it."""
    holds = threading.Event()
    errors: list[Exception] = []

    def conflict() -> None:
        try:
            with database.write() as connection:
                connection.execute(sa.text("SET LOCAL deadlock_timeout = '1min'"))  # the other one is ended
                connection.execute(sa.text("LOCK TABLE audit IN EXCLUSIVE MODE"))
                holds.set()
                _wait_until_blocked(database)
                connection.execute(sa.text(change))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=conflict)
    thread.start()
    assert holds.wait(10)
    yield
    thread.join(30)
    assert not errors, errors


def _wait_until_blocked(database: Database) -> None:
    deadline = time.monotonic() + 10
    while True:
        with database.read() as connection:
            if connection.execute(sa.text(WAITING)).scalar_one():
                return
        assert time.monotonic() < deadline, "nothing waits"
        time.sleep(0.02)
