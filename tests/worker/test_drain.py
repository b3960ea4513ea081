"""The worker: errors and heartbeats."""

import time
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from campus import Campus
from conftest import on_sqlite
from rollbook.store.database.database import Database
from rollbook.store.queue.workers import find_last_seen
from server_process import run_server


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


@on_sqlite
def test_worker_sends_heartbeats_between_polls(database: Database, database_url: str, tmp_path: Path) -> None:
    def seen() -> datetime | None:
        with database.read() as connection:
            return find_last_seen(connection)

    with run_server(database_url, tmp_path, poll_seconds=3600):
        deadline, first = time.monotonic() + 60, None
        while first is None or seen() == first:
            assert time.monotonic() < deadline
            first = first or seen()
            time.sleep(0.05)
