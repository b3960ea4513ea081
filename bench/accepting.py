"""Rows about calls: accepting on both databases, refusing, 10,000,000 enrollments, memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from generator import call_ids
from pgbench import accept_by_pgbench
from places import Place, durable_postgresql, postgresql_place, sqlite_place
from serving import serving
from statements import AUDIT, accepting, digests

CLIENTS = 8
TABLE = 1_000_000
CALLS = "calls/s"


def accept_on_postgresql(rounds: int) -> Iterator[Figure]:
    """Accepting, compared with pgbench and the same statements."""
    figure = Figure("accept, PostgreSQL, 8 connections", CALLS, 0.65, 0.80)
    with durable_postgresql() as server, postgresql_place(server, TABLE) as place, serving(place) as served:
        calls = min(800, TABLE // 200 // rounds // CLIENTS * CLIENTS)
        for first in range(0, 2 * rounds * calls, 2 * calls):
            reached = served.accept(CLIENTS, first, calls)
            figure.add(reached, accept_by_pgbench(place, CLIENTS, first + calls, calls))
    yield figure


def accept_on_sqlite(rounds: int) -> Iterator[Figure]:
    """Accepting, compared with plain sqlite3 and the same statements, one transaction a call."""
    few, many = (Figure(f"accept, SQLite, {number} connections", CALLS, 0.95, 1.20) for number in (8, 32))
    with sqlite_place(TABLE) as place, serving(place) as served:
        calls = min(500, TABLE // 300 // rounds)
        for first in range(0, 3 * rounds * calls, 3 * calls):
            by_eight = served.accept(8, first, calls)
            limit = accept_by_plain_sqlite(place, first + calls, calls)
            few.add(by_eight, limit)
            many.add(served.accept(32, first + 2 * calls, calls), limit)
    yield from (few, many)


def refuse(rounds: int) -> Iterator[Figure]:
    """A wrong key, compared with two fixed answers: a 404, and a call without a Package.

    The first is the cost of HTTP, the second that of every call before it is parsed.
    """
    figures = [Figure(f"refused call, of {text}", CALLS, 0.35, 0.50) for text in ("a 404", "one without a Package")]
    with durable_postgresql() as server, postgresql_place(server, 10_000) as place, serving(place) as served:

        def rate(expected: str, **given: str) -> float:
            return 2000 / served.call(expected=expected, connections=CLIENTS, calls=2000, **given).seconds

        for _ in range(rounds):
            refused = rate("SU:10", user_key="0" * 64)
            figures[0].add(refused, rate("404 Not Found", path="/nothing"))
            figures[1].add(refused, rate("SU:02", head="Nothing="))
    yield from figures


def accept_in_a_large_table(rounds: int) -> Iterator[Figure]:
    """Accepting at 10,000,000 enrollments, compared with 100,000."""
    figure = Figure("accept at 10,000,000 enrollments, of 100,000", CALLS, 0.75, 0.90)
    with (
        durable_postgresql() as server,
        postgresql_place(server, 100_000) as small,
        postgresql_place(server, 10_000_000) as large,
        serving(small) as at_small,
        serving(large) as at_large,
    ):
        for number in range(rounds):
            large.forget_queue()
            small.forget_queue()
            reached = at_large.accept(CLIENTS, number * 800, 800)
            figure.add(reached, at_small.accept(CLIENTS, 0, 800))
    yield figure


def keep_memory(rounds: int) -> Iterator[Figure]:
    """The server's memory after 1,000,000 accepted items, compared with 10,000; measured once."""
    figure = Figure("memory after 1,000,000 items, of that after 10,000", "KiB", 1.10, 1.02, at_most=True)
    del rounds
    with durable_postgresql() as server, postgresql_place(server, TABLE) as place, serving(place) as served:
        served.accept(CLIENTS, 0, 100)
        before = served.resident()
        served.accept(CLIENTS, 100, 9_900)
        figure.add(served.resident(), before)
    yield figure


def accept_by_plain_sqlite(place: Place, first_call: int, calls: int) -> float:
    """Accept in one thread; return calls per second."""
    given = {"protect_completed": False, "rows": json.dumps([AUDIT])}
    given |= dict.fromkeys(("now_at", "requested_at", "due_at", "happened_at"), "2026-01-31 12:00:00.000000")
    job = {
        "file": place.url.removeprefix("sqlite:///"),
        "statements": accepting("sqlite"),
        "digests": {name: value.hex() for name, value in digests(place.accounts[0]).items()},
        "given": given,
        "calls": [list(call_ids(call, place.count, 100)) for call in range(first_call, first_call + calls)],
    }
    command = [sys.executable, str(Path(__file__).with_name("plain_sqlite.py"))]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return calls / float(done.stdout)
