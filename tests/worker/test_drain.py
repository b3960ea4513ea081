"""The worker: errors and heartbeats."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from campus import Campus
from conftest import on_sqlite
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.queue.state import read_queue
from rollbook.store.queue.workers import find_last_seen, is_silent
from server_process import ForkedProcess, environment, run_server


@on_sqlite
def test_worker_error_in_one_account_does_not_block_others(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    broken, other = Campus(database), Campus(database)
    for campus in (broken, other):
        campus.accept(campus.enroll(2))
    with database.write() as connection:
        connection.execute(
            sa.text(
                "CREATE TRIGGER broken BEFORE UPDATE ON enrollments "
                f"WHEN OLD.account_id = {broken.account.id} BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
        )
    with run_server(database_url, tmp_path, poll_seconds=0.05) as server:
        other.wait_until_drained()
        log = server.log.read_text()
    assert set(broken.queue().values()) == {"Pending"}
    assert "worker error; continuing" in log


def _wait_until_seen(database: Database, after: datetime) -> None:
    deadline = time.monotonic() + 60
    while (seen := _find_last_seen(database)) is None or seen < after:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _find_last_seen(database: Database) -> datetime | None:
    with database.read() as connection:
        return find_last_seen(connection)


@on_sqlite
def test_worker_sends_heartbeats_between_polls(database: Database, database_url: str, tmp_path: Path) -> None:
    with run_server(database_url, tmp_path, poll_seconds=3600):
        _wait_until_seen(database, utc_now() + timedelta(seconds=1))


def test_worker_in_a_long_step_is_seen_and_a_killed_one_is_missed_within_seconds(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    campus.accept(campus.enroll(2))
    log = tmp_path / "worker.log"
    with database.session() as blocking:
        block = (
            "UPDATE accounts SET name = name"
            if database_url.startswith("sqlite")
            else "LOCK TABLE enrollments IN EXCLUSIVE MODE"
        )
        blocking.exec_driver_sql(block)
        worker = ForkedProcess(["worker"], environment(database_url, tmp_path), tmp_path, log, log)
        try:
            _wait_until_seen(database, utc_now() + timedelta(seconds=2))
            assert set(campus.queue().values()) == {"Pending"}
        finally:
            worker.kill()
            worker.wait(30)
    killed, state = utc_now(), None
    while state is None or not is_silent(state.worker_seen_at, utc_now()):
        assert utc_now() < killed + timedelta(seconds=60)
        time.sleep(0.1)
        with database.read() as connection:
            state = read_queue(connection, campus.account.id)
    assert state.worker_seen_at is not None
    assert state.worker_seen_at <= killed
