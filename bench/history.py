"""The row about the history: pages and accepting with 10,000,000 items, compared with 100,000 items and with none."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial

import psycopg

from accepting import CALLS, CLIENTS
from figures import Figure
from places import COURSES, Place, durable_postgresql, postgresql_place
from rollbook.model import utc_now
from rollbook.store.queue.state import recount_items
from serving import Serving, serving
from visitor import Visitor, give_password

TABLE = 1_000_000
FEW, MANY = 100_000, 10_000_000
REPEATS = 5  # the fastest counts
PAGES = {
    "queue": "/console/queue",
    "queue, all items": "/console/queue?status=All",
    "queue, a rare status": "/console/queue?status=Failed",
    "batches": "/console/batches",
}

RECENT = 100_000  # items of the last 20 hours; the others are older, one in 9 seconds
PENDING = 1_000

# A history of `count` items in batches of 100, each of its own enrollment.
_FILL = (
    """INSERT INTO enrollments (account_id, user_id, group_id, course_id, status, enrolled_at, created_at, modified_at,
                                unenrolled_at)
       SELECT {account}, {user} + i % {users}, {group}, {course} + i % {courses}, 'Completed', {now}, {now}, {now},
              CASE WHEN {status} = 'Complete' THEN {at} END
       FROM {numbers} ORDER BY i""",
    """INSERT INTO batches (account_id, requested_by, reason, requested_at)
       SELECT {account}, {owner}, 'Reason ' || i, {at} FROM {numbers} WHERE i % 100 = 0 ORDER BY i""",
    """INSERT INTO audit (account_id, user_id, actor, action, subject, details, address, request_id, happened_at)
       SELECT {account}, {owner}, 'owner@example.org', 'unenrollLearningModules', 'batch ' || i,
              '{{"accepted": 100, "refused": 0, "reason": null}}', '127.0.0.1', '0123456789abcdef', {at}
       FROM {numbers} WHERE i % 100 = 0 ORDER BY i""",
    """INSERT INTO unenrollments (batch_id, block, account_id, enrollment_id, status, requested_at, due_at, finished_at,
                                  change)
       SELECT {batch} + (i - 1) / 100, (i - 1) % 100 + 1, {account}, {enrollment} + i, {status}, {at}, {at},
              CASE WHEN {status} <> 'Pending' THEN {at} END, CASE WHEN {status} <> 'Pending' THEN i / 1000 + 1 END
       FROM {numbers} ORDER BY i""",
    "UPDATE accounts SET last_change = {count} / 1000 + 1",
)
_STATUS = f"""CASE WHEN {{count}} - i < {PENDING} THEN 'Pending' WHEN i % 50 = 1 THEN 'Removed'
              WHEN i % 50 = 2 THEN 'Restored' ELSE 'Complete' END"""
_AGE = f"""CASE WHEN {{count}} - i < {RECENT} THEN ({{count}} - i) * 0.72
           ELSE 72000 + ({{count}} - {RECENT} - i) * 9 END"""


def compare_histories(rounds: int) -> Iterator[Figure]:
    """Pages, the feed and accepting, on PostgreSQL."""
    with ExitStack() as opened:
        server = opened.enter_context(durable_postgresql())
        served = {}
        for items in (0, FEW, MANY):
            place = opened.enter_context(postgresql_place(server, TABLE))
            if items:
                add_history(place, items)
            served[items] = opened.enter_context(serving(place))
        yield from _read(served[FEW], served[MANY], rounds)
        figure = Figure("accept with 10,000,000 items of history, of none", CALLS, 0.85, 0.95)
        calls = min(800, TABLE // 100 // rounds // CLIENTS * CLIENTS)
        for first in range(0, rounds * calls, calls):
            figure.add(*(served[items].accept(CLIENTS, first, calls) for items in (MANY, 0)))
        yield figure


def _read(few: Serving, many: Serving, rounds: int) -> Iterator[Figure]:
    with ExitStack() as opened:
        readers = [_readers(served, opened) for served in (few, many)]
        for what in readers[0]:
            figure = Figure(f"{what}, {MANY:,} items of history, of {FEW:,}", "ms", 2.0, 1.2, at_most=True)
            for _ in range(rounds):
                limit, reached = (_fastest(each[what]) for each in readers)
                figure.add(reached, limit)
            yield figure


def _readers(served: Serving, opened: ExitStack) -> dict[str, Callable[[], object]]:
    """Return what reads each page and the feed."""
    client = opened.enter_context(served.client())
    visitor = Visitor(served.server, opened.enter_context(served.server.client()))
    give_password(served.place.accounts[0])
    visitor.sign_in(served.place.accounts[0])

    def read(path: str) -> None:
        assert visitor.open(path).status_code == 200, path

    pages: dict[str, Callable[[], object]] = {what: partial(read, path) for what, path in PAGES.items()}
    return pages | {"feed of a day": lambda: client.changes(since=utc_now() - timedelta(days=1))}


def _fastest(read: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        read()
        took.append((time.perf_counter() - started) * 1000)
    return min(took)


def add_history(place: Place, count: int) -> None:
    """Fill the history of the first account, as if recorded over the years."""
    campus = place.accounts[0]
    if place.on_sqlite:
        numbers = f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count}) SELECT i FROM n)"
        now, at = (
            "'2026-01-31 12:00:00.000000'",
            "strftime('%Y-%m-%d %H:%M:%f000', 'now', (-1 * ({age})) || ' seconds')",
        )
    else:
        numbers, now, at = (
            f"generate_series(1, {count}) AS numbers(i)",
            "now()",
            "now() - ({age}) * interval '1 second'",
        )
    age, status = _AGE.format(count=count), _STATUS.format(count=count)
    [(owner, user, course, enrollment, batch)] = place.run(
        f"""SELECT MIN(id), MAX(id) - {place.count // COURSES} + 1, (SELECT MAX(id) - {COURSES} + 1 FROM courses),
                   (SELECT MAX(id) FROM enrollments), (SELECT COALESCE(MAX(id), 0) + 1 FROM batches) FROM users"""
    )
    values = {"account": campus.account.id, "group": campus.group_id, "user": user, "course": course, "owner": owner}
    values |= {"enrollment": enrollment, "batch": batch, "users": place.count // COURSES, "courses": COURSES}
    values |= {"now": now, "at": at.format(age=age), "status": status, "numbers": numbers, "count": count}
    statements = [statement.format(**values) for statement in _FILL]
    if place.on_sqlite:
        with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as plain, plain:
            for statement in statements:
                plain.execute(statement)
    else:
        with psycopg.connect(place.url) as connection:
            connection.execute("SET session_replication_role = replica")  # skips foreign keys: the rows are valid
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type, unused-ignore]
    while recount_items(place.database):
        pass
    place.run("ANALYZE" if place.on_sqlite else "VACUUM ANALYZE", *(() if place.on_sqlite else ("CHECKPOINT",)))
