"""Calls are preprocessed in batches, and each is answered as if it were alone (decision 0024)."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg

from campus import Campus, read_outcomes
from conftest import Served, on_postgresql
from rollbook.store.database.database import Database
from server_process import run_server


def test_simultaneous_calls_each_get_their_own_answer(served: Served, campus: Campus) -> None:
    other = Campus(served.database)
    ids, others = campus.enroll(60), other.enroll(60)
    good = campus.package(ids[:1])
    calls = [(campus.package(ids[start : start + 5]), ["accepted"] * 5) for start in range(0, 60, 5)]
    calls += [(other.package(others[start : start + 5]), ["accepted"] * 5) for start in range(0, 60, 5)]
    calls += [(campus.package(others[start : start + 5]), ["ULM:03"] * 5) for start in range(0, 60, 5)]
    calls += 3 * [
        (good.replace(campus.owner_key, other.owner_key), ["SU:10"]),
        (good.replace("unenrollLearningModules", "unenrollAll"), ["SU:11"]),
        (good.replace("</SmarterU>", ""), ["SU:03"]),
        (good.replace("SmarterU>", "Smarter>"), ["SU:04"]),
        (campus.package(ids[:1], campus.learner_key), ["ULM:02"]),
    ]
    random.shuffle(calls)
    together = threading.Barrier(len(calls))

    def post(package: str) -> httpx.Response:
        with served.server.client() as client:
            client.get(served.server.url)
            together.wait(20)
            return client.post(served.server.url, data={"Package": package})

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = list(pool.map(post, [package for package, _ in calls]))
    assert [answer.status_code for answer in answers] == [200] * len(calls)
    assert [read_outcomes(answer) for answer in answers] == [outcomes for _, outcomes in calls]
    assert campus.queue() == dict.fromkeys(ids, "Pending")
    assert other.queue() == dict.fromkeys(others, "Pending")


# On SQLite no lock is held for long.
@on_postgresql
def test_refused_call_does_not_wait_for_calls_in_progress(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    ids = campus.enroll(4)
    with (
        run_server(database_url, tmp_path, "--no-worker", pool_size=2, call_seconds=20) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE batches")
            blocked = [pool.submit(server.post, campus.package([id_])) for id_ in ids]
            _wait_for_a_blocked_statement(connection)
            refused = server.post(campus.package(ids, "0" * 64))
            assert not any(call.done() for call in blocked)
        answers = [call.result(20) for call in blocked]
    assert read_outcomes(refused) == ["SU:10"]
    assert [read_outcomes(answer) for answer in answers] == [["accepted"]] * 4


def _wait_for_a_blocked_statement(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + 10
    while connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
