"""PostgreSQL restarted, killed and frozen under load: calls are 503 in time, and the server recovers by itself."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from campus import Campus
from load import Load, check_books, report
from postgresql import Cluster
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import environment, run_forked, run_server

# A call waits for the database for 4 seconds at most; here a client's time is measured, on a busy machine.
LONGEST = 5.0


@pytest.fixture
def url(cluster: Cluster) -> str:
    """The address of a database of its own."""
    return cluster.new_database()


@pytest.fixture
def campus(url: str) -> Iterator[Campus]:
    """An account in it."""
    database = Database(url)
    migrate(database)
    yield Campus(database)
    database.close()


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_server_survives_a_restart_or_kill_of_postgresql_under_load(
    how: str, cluster: Cluster, url: str, campus: Campus, tmp_path: Path, soaks: bool
) -> None:
    ids = campus.enroll(30_000 if soaks else 3_000)
    recovered = []
    with run_server(url, tmp_path, poll_seconds=0.1) as server, Load(campus, server, ids) as load:
        for _ in range(10 if soaks else 1):
            load.wait_for_answers()
            cluster.stop() if how == "restarted" else cluster.kill()
            time.sleep(0.5)
            cluster.start()
            recovered.append(load.wait_for_answers())
        load.wait_for_answers(50)
        load.stop()
        books = check_books(load)
    report(f"PostgreSQL {how}", load, recovered=max(recovered), **books)
    assert load.statuses[503] > 0
    assert set(load.statuses) <= {200, 503}
    assert load.longest < LONGEST


def test_connections_dropped_by_postgresql_fail_no_call(
    url: str, campus: Campus, cluster: Cluster, tmp_path: Path
) -> None:
    before, after = campus.enroll(1_000), campus.enroll(1_000)
    with run_server(url, tmp_path, "--no-worker") as server:
        with Load(campus, server, before, clients=8) as load:
            load.wait_for_answers(50)
        with psycopg.connect(cluster.url) as connection:
            dropped = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'rollbook'"
            ).fetchall()
        assert len(dropped) > 2
        with Load(campus, server, after, clients=8) as load:
            load.wait_for_answers(50)
    assert set(load.statuses) == {200}
    assert load.wrong == []


def test_frozen_postgresql_is_503_within_the_time_of_a_call_for_all_waiting_calls(
    cluster: Cluster, url: str, campus: Campus, tmp_path: Path
) -> None:
    ids = campus.enroll(2_000)
    with run_server(url, tmp_path, "--no-worker", pool_size=2, call_seconds=1.5) as server:
        with Load(campus, server, ids, clients=8) as load:
            load.wait_for_answers()
            with cluster.frozen():
                time.sleep(4)
            recovered = load.wait_for_answers(20)
        load.stop()
    report("PostgreSQL frozen", load, recovered=recovered)
    assert load.statuses[503] >= 8
    assert set(load.statuses) <= {200, 503}
    assert load.wrong == []
    assert load.longest < 1.5 + 2 + 1  # the time of the call and of a connection begun within it


def test_doctor_reports_a_frozen_postgresql(cluster: Cluster, url: str, tmp_path: Path) -> None:
    with cluster.frozen():
        done = run_forked(["doctor", "--format", "json"], environment(url, tmp_path), tmp_path, timeout=15)
    states = {row["part"]: row["state"] for row in json.loads(done.stdout)}
    assert (done.returncode, states["database"]) == (1, "problem")
    assert "Traceback" not in done.stderr


def test_lock_held_by_others_is_503_within_the_time_of_a_call(url: str, campus: Campus, tmp_path: Path) -> None:
    with run_server(url, tmp_path, "--no-worker", call_seconds=1) as server, server.client() as client:

        def pause() -> httpx.Response:
            return client.post(server.url, data={"Package": campus.call("pauseUnenrollments", "<UnenrollmentQueue/>")})

        with psycopg.connect(url) as connection:
            connection.execute("SELECT * FROM accounts FOR UPDATE")
            started = time.monotonic()
            refused = pause()
            assert time.monotonic() - started < 3
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "statement timeout" in server.log.read_text()
        assert pause().status_code == 200


def test_read_only_postgresql_is_503_and_its_connections_are_dropped(
    url: str, campus: Campus, cluster: Cluster, tmp_path: Path
) -> None:
    ids = campus.enroll(3)
    read_only = "ALTER SYSTEM SET default_transaction_read_only = on"
    with run_server(url, tmp_path, "--no-worker") as server, psycopg.connect(cluster.url, autocommit=True) as operator:
        assert server.post(campus.package(ids[:1])).status_code == 200
        for change, status in ((read_only, 503), ("ALTER SYSTEM RESET default_transaction_read_only", 200)):
            operator.execute("SET default_transaction_read_only = off")
            operator.execute(change)
            operator.execute("SELECT pg_reload_conf()")
            time.sleep(0.5)
            assert [server.post(campus.package(ids[1:])).status_code for _ in range(2)] == [status, status]
    assert campus.queue() == dict.fromkeys(ids, "Pending")
