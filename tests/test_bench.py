"""The limits that `make bench` compares with execute the store's own statements, with every parameter."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "bench"))

import accepting
import draining
from pgbench import accept_by_pgbench
from places import postgresql_place, sqlite_place
from postgresql import PostgresServer

COUNT = 1_000


def test_plain_sqlite_executes_the_statements_of_the_store() -> None:
    with sqlite_place(COUNT) as place:
        assert accepting.accept_by_plain_sqlite(place, 0, 5) > 0
        assert place.run("SELECT COUNT(*) FROM unenrollments WHERE status = 'Pending'") == [(500,)]


def test_pgbench_and_psql_execute_the_statements_of_the_store(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "ITEMS", COUNT)
    with postgresql_place(postgresql, COUNT) as place:
        assert accept_by_pgbench(place, 1, 0, 5) > 0
        assert place.run("SELECT COUNT(*) FROM unenrollments WHERE status = 'Pending'") == [(500,)]
        place.forget_queue()
        draining.enqueue(place, 0, 0, COUNT)
        assert draining.drain_by_psql(place, place.accounts) > 0
