"""Promises of the queue at the store: policies, concurrent workers, pause, retention."""

import threading
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from campus import Campus
from rollbook.model import EnrollmentStatus, RejectReason, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import accounts, enrollments, unenrollments
from rollbook.store.learning.purge import purge_progress
from rollbook.store.queue.hourly import read_hours
from rollbook.store.queue.process import PROTECTED_NOTE, find_due_accounts, process_due
from rollbook.store.queue.state import read_queue, recount_items
from rollbook.store.queue.undo import Undo


def test_unenrolling_sets_only_the_end_of_an_enrollment(database: Database) -> None:
    campus = Campus(database)
    (gone,) = campus.enroll(1, EnrollmentStatus.IN_PROGRESS)
    row = sa.select(enrollments).where(enrollments.c.id == gone)
    with database.read() as connection:
        before = connection.execute(row).one()._asdict()
    campus.accept([gone])
    now = utc_now()
    process_due(database, campus.account.id, now, 10)
    with database.read() as connection:
        after = connection.execute(row).one()._asdict()
    assert after == before | {"unenrolled_at": now}


def test_item_is_not_due_before_its_hold_is_over(database: Database) -> None:
    campus = Campus(database)
    campus.set(hold_seconds=600)
    ids = campus.enroll(3)
    campus.accept(ids)
    soon, later = utc_now() + timedelta(seconds=590), utc_now() + timedelta(seconds=610)
    assert find_due_accounts(database, soon) == []
    assert process_due(database, campus.account.id, soon, 10).finished == 0
    assert find_due_accounts(database, later) == [campus.account.id]
    assert process_due(database, campus.account.id, later, 10).complete == 3


def test_enrollment_completed_while_pending_fails_if_protected(database: Database) -> None:
    campus = Campus(database)
    campus.set(protect_completed=True)
    completed, other = campus.enroll(2)
    campus.accept([completed, other])
    with database.write() as connection:
        connection.execute(sa.update(enrollments).where(enrollments.c.id == completed).values(status="Completed"))
    step = process_due(database, campus.account.id, utc_now(), 10)
    assert (step.complete, step.failed) == (1, 1)
    assert campus.queue() == {completed: "Failed", other: "Complete"}
    assert _counts(database, campus) == {"Complete": 1, "Failed": 1}
    assert campus.current() == 1
    with database.read() as connection:
        notes = connection.execute(sa.select(unenrollments.c.notes).order_by(unenrollments.c.block)).scalars().all()
    assert notes == [PROTECTED_NOTE, None]


def test_paused_queue_accepts_items_and_processes_none(database: Database) -> None:
    campus, running = Campus(database), Campus(database)
    paused = sa.update(accounts).where(accounts.c.id == campus.account.id)
    with database.write() as connection:
        connection.execute(paused.values(queue_paused_at=utc_now()))
    assert campus.accept(campus.enroll(2)).accepted == (1, 2)
    running.accept(running.enroll(1))
    assert find_due_accounts(database, utc_now()) == [running.account.id]
    assert process_due(database, campus.account.id, utc_now(), 10).finished == 0
    with database.write() as connection:
        connection.execute(paused.values(queue_paused_at=None))
    assert process_due(database, campus.account.id, utc_now(), 10).complete == 2


def test_removed_item_can_be_queued_again_and_complete_one_cannot(database: Database) -> None:
    campus = Campus(database)
    removed, complete = campus.enroll(2)
    campus.accept([removed, complete])
    with database.write() as connection:
        item = sa.update(unenrollments).where(unenrollments.c.enrollment_id == removed)
        connection.execute(item.values(status="Removed", finished_at=utc_now()))
    process_due(database, campus.account.id, utc_now(), 10)
    again = campus.accept([removed, complete])
    assert again.accepted == (1,)
    assert again.refused == {2: RejectReason.UNKNOWN}


# SQLite has no statistics that could mislead it.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_worker_step_does_not_read_all_pending_items(database: Database, database_url: str) -> None:
    Campus(database)  # has no items
    campus = Campus(database)
    campus.accept(campus.enroll(5_000))
    with psycopg.connect(database_url, autocommit=True) as statistics:
        statistics.execute("VACUUM ANALYZE")
    before = _rows_read(database)
    assert find_due_accounts(database, utc_now()) == [campus.account.id]
    assert process_due(database, campus.account.id, utc_now(), 10).complete == 10
    after = _rows_read(database)
    assert 20 <= after - before < 200


def _rows_read(database: Database) -> int:
    """Return how many rows of enrollments and items PostgreSQL has read so far."""
    query = """
        SELECT SUM(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_user_tables
        WHERE relname IN ('enrollments', 'unenrollments')
    """
    with database.read() as connection:
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    with database.read() as connection:
        return int(connection.execute(sa.text(query)).scalar_one())


def test_concurrent_workers_finish_every_item_once(database: Database) -> None:
    campus = Campus(database)
    ids = campus.enroll(1000)
    for start in range(0, 1000, 100):
        campus.accept([*ids[start : start + 100]])
    finished: list[int] = []

    def work() -> None:
        idle = 0
        while idle < 3:
            step = process_due(database, campus.account.id, utc_now(), 50)
            idle = 0 if step.finished else idle + 1
            finished.append(step.finished)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(finished) == 1000
    assert set(campus.queue().values()) == {"Complete"}
    assert campus.current() == 0


@pytest.mark.parametrize(("age_days", "purged"), [(29, 0), (31, 2)])
def test_progress_is_kept_until_retention_is_over(database: Database, age_days: int, purged: int) -> None:
    campus, keeper = Campus(database), Campus(database)
    campus.set(retention_days=30)
    for place in (campus, keeper):
        place.accept(place.enroll(2, EnrollmentStatus.IN_PROGRESS))
        process_due(database, place.account.id, utc_now(), 10)
    with database.write() as connection:
        connection.execute(sa.update(enrollments).values(progress="80"))
    assert purge_progress(database, utc_now() + timedelta(days=age_days), 1000) == purged
    kept = sa.select(enrollments.c.account_id).where(enrollments.c.progress == "80").order_by(enrollments.c.id)
    with database.read() as connection:
        kept_by = connection.execute(kept).scalars().all()
    assert kept_by == [campus.account.id] * (2 - purged) + [keeper.account.id] * 2
    assert campus.accept([1]).refused == {1: RejectReason.UNKNOWN}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_formerly_held_items_are_not_read_at_every_step(database: Database, database_url: str) -> None:
    campus = Campus(database)
    campus.set(hold_seconds=3600)
    campus.accept(campus.enroll(5_000))
    campus.set(hold_seconds=0)
    with psycopg.connect(database_url, autocommit=True) as statistics:
        statistics.execute("VACUUM ANALYZE")
    before = _rows_read(database)
    assert find_due_accounts(database, utc_now()) == []
    assert process_due(database, campus.account.id, utc_now(), 10).finished == 0
    assert _rows_read(database) - before < 4_000


def _counts(database: Database, campus: Campus) -> dict[str, int]:
    with database.read() as connection:
        state = read_queue(connection, campus.account.id)
    return {status: count for status, count in state.counts.items() if count}


def test_queue_counts_include_changes_of_an_older_release(database: Database) -> None:
    campus = Campus(database)
    ids = campus.enroll(20)
    campus.accept(ids)
    with database.write() as connection:
        undo = Undo(connection, account_id=campus.account.id, user_id=1, reason=None, now=utc_now())
        undo.remove(undo.find_enrollments(ids[:3]))
    campus.drain()
    with database.write() as connection:
        undo = Undo(connection, account_id=campus.account.id, user_id=1, reason=None, now=utc_now())
        undo.restore(undo.find_enrollments(ids[3:5]))
    campus.accept(ids[:1])
    expected = {"Pending": 1, "Removed": 3, "Restored": 2, "Complete": 15}
    assert _counts(database, campus) == expected
    with database.write() as connection:
        one = sa.update(unenrollments).where(unenrollments.c.enrollment_id == ids[9])
        connection.execute(one.values(status="Restored"))
        connection.execute(sa.update(accounts).values(last_change=accounts.c.last_change + 1))
    expected |= {"Restored": 3, "Complete": 14}
    assert _counts(database, campus) == expected
    assert (recount_items(database), recount_items(database)) == (1, 0)
    assert _counts(database, campus) == expected
    campus.drain()
    assert _counts(database, campus) == {"Removed": 3, "Restored": 3, "Complete": 15}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_queue_state_does_not_read_the_history(database: Database, database_url: str) -> None:
    campus = Campus(database)
    campus.accept(campus.enroll(2_000), requested_at=utc_now() - timedelta(days=3))
    process_due(database, campus.account.id, utc_now() - timedelta(days=2), 2_000)
    campus.accept(campus.enroll(5))
    with psycopg.connect(database_url, autocommit=True) as statistics:
        statistics.execute("VACUUM ANALYZE")
    before = _rows_read(database)
    assert _counts(database, campus) == {"Pending": 5, "Complete": 2_000}
    with database.read() as connection:
        hours = read_hours(connection, campus.account.id, utc_now(), 5, 24)
    assert (hours[-1].accepted, hours[-1].waiting, sum(hour.completed for hour in hours)) == (5, 5, 0)
    assert _rows_read(database) - before < 200
