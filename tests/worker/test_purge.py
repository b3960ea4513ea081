"""Expired rows are deleted in bounded steps: the queue is drained meanwhile, and a stop does not wait."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import on_sqlite
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import (
    answers,
    drafts,
    enrollments,
    external_authorizations,
    learner_sessions,
    login_sessions,
    uploads,
    users,
)
from rollbook.worker.drain import Worker
from rollbook.worker.purge import Purge

TABLES = [answers, login_sessions, external_authorizations, learner_sessions, drafts, uploads]


def _purge(database: Database, step: int) -> Purge:
    return Purge(database, step, calls_kept=10, calls_kept_days=7)


def _count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_purge_step_deletes_no_more_rows_than_its_size(database: Database, table: sa.Table) -> None:
    campus, old = Campus(database), utc_now() - timedelta(days=30)
    with database.write() as connection:
        owner = connection.execute(sa.select(users.c.id).where(users.c.role == "owner")).scalar_one()
        who = {"account_id": campus.account.id, "user_id": owner, "created_at": old}
        rows = {
            answers: [{**who, "key": str(n), "package_digest": b"", "succeeded": True, "body": b""} for n in range(25)],
            login_sessions: [{**who, "digest": bytes([n]), "seen_at": old} for n in range(25)],
            external_authorizations: [{**who, "digest": bytes([n])} for n in range(25)],
            learner_sessions: [{**who, "digest": bytes([n])} for n in range(25)],
            drafts: [{**who, "ids": "[1]", "total": 1, "choice": "{}", "shares": "[]"} for _ in range(25)],
            uploads: [{**who, "name": "p.csv", "content": b"", "outcome": "{}"} for _ in range(25)],
        }[table]
        connection.execute(table.insert(), rows)
    purge, left = _purge(database, 10), []
    while purge.run_step():
        left.append(_count(database, table))
    assert left[:3] == [15, 5, 0]


def test_stopped_worker_leaves_the_rest_of_a_purge_to_the_next_one(database: Database) -> None:
    campus = Campus(database)
    campus.set(retention_days=0)
    campus.accept(campus.enroll(2_000))
    campus.drain()
    kept = enrollments.c.purged_at.is_(None)
    worker = Worker(database, 10, 0.01, _purge(database, 10))
    thread = threading.Thread(target=worker.run)
    thread.start()
    deadline = time.monotonic() + 30
    while _count(database, enrollments, kept) == 2_000:
        assert time.monotonic() < deadline, "nothing is purged"
    worker.stop()
    thread.join(30)
    assert 0 < _count(database, enrollments, kept) < 2_000
    next_one = _purge(database, 1_000)
    while next_one.run_step():
        pass
    assert _count(database, enrollments, kept) == 0


@on_sqlite
def test_sqlite_log_is_truncated_even_after_a_reader_has_held_it(database: Database, tmp_path: Path) -> None:
    campus, log = Campus(database), tmp_path / "rollbook.db-wal"
    with database.read() as connection:
        connection.execute(sa.select(users.c.id)).all()
        campus.enroll(1_000)
        database.trim_log()
        assert log.stat().st_size > 100_000
    database.trim_log()
    assert log.stat().st_size == 0
    assert campus.current() == 1_000
