"""/livez, /readyz and /metrics on the operations port, for all processes together."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import sqlalchemy as sa

from campus import Campus
from conftest import on_postgresql, on_sqlite
from postgresql import PostgresServer
from rollbook.store.database.database import Database
from server_process import ServerProcess, environment, run_server

ROOT = Path(__file__).parents[2]
WATCHING = [ROOT / "deploy" / "alerts.yml", ROOT / "docs" / "operate.md"]


def _scrape(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    figures = {name: float(value) for name, value in lines}
    assert len(figures) == len(lines), "a metric occurs twice"
    return figures


def _calls(figures: dict[str, float], method: str, status: int = 200, code: str = "") -> float:
    return figures.get(f'rollbook_calls_total{{code="{code}",method="{method}",status="{status}"}}', 0)


def _wait_until(figure: str, value: float, url: str) -> dict[str, float]:
    deadline = time.monotonic() + 20
    while True:
        figures = _scrape(url)
        if figures.get(figure) == value:
            return figures
        assert time.monotonic() < deadline, f"{figure} is {figures.get(figure)}, not {value}"
        time.sleep(0.1)


def _call_each_process(server: ServerProcess, package: str) -> None:
    """Make each server process answer three calls, by suspending the others meanwhile."""
    children = {*server.serving()}
    assert len(children) == 2
    for awake in children:
        for pid in children - {awake}:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            server.post(package)
        for pid in children - {awake}:
            os.kill(pid, signal.SIGCONT)


@on_sqlite
def test_metrics_cover_all_processes_and_readyz_reports_the_stop(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus, held = Campus(database), Campus(database)
    campus.set(protect_completed=True)
    held.set(hold_seconds=3600)
    ids = [*campus.enroll(3), *held.enroll(2)]
    with run_server(
        database_url, tmp_path, "--workers", "2", forked=False, operations_port=0, poll_seconds=0.05
    ) as server:
        operations = server.operations_url
        assert httpx.get(f"{operations}/livez", trust_env=False).json() == {"status": "alive"}
        ready = httpx.get(f"{operations}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert httpx.get(f"{operations}/apiv2/", trust_env=False).status_code == 404
        _call_each_process(server, campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>"))
        server.post(campus.package([*ids[:3], 0, 0]))
        server.post(held.package(ids[3:]))
        server.post(campus.package(ids).replace(campus.account_key, "0" * 64))
        server.post(campus.call("madeUp", "<X/>"))
        _wait_until('rollbook_unenrollments_processed_total{status="Complete"}', 3, operations)
        _wait_until('rollbook_unenrollments_pending{state="held"}', 2, operations)
        figures = _wait_until('rollbook_unenrollments_pending{state="due"}', 0, operations)
        assert _calls(figures, "getUnenrollmentQueue") == 6
        assert figures['rollbook_call_seconds_count{method="getUnenrollmentQueue"}'] == 6
        assert _calls(figures, "unenrollLearningModules") == 2
        assert (_calls(figures, "", code="SU:10"), _calls(figures, "", code="SU:11")) == (1, 1)
        assert figures['rollbook_errors_total{code="ULM:01"}'] == 2
        assert "madeUp" not in str(figures)
        assert figures["rollbook_unknown_methods_total"] == 1
        assert 0 < figures["rollbook_oldest_pending_seconds"] < 60
        assert (figures["rollbook_late_seconds"], figures["rollbook_database_up"]) == (0, 1)
        assert figures["process_resident_memory_bytes"] > 1_000_000
        watched = {
            name for page in WATCHING for name in re.findall(r"(?<!#)\b(?:rollbook|process)_\w+", page.read_text())
        }
        assert watched - {name.partition("{")[0] for name in figures} == set()
        with database.write():  # blocks the call, and with it the stop
            caller = threading.Thread(target=lambda: server.post(campus.package([ids[0]])))
            caller.start()
            time.sleep(0.4)
            server.process.terminate()
            time.sleep(0.8)
            stopping = httpx.get(f"{operations}/readyz", trust_env=False)
        caller.join()
        assert server.process.wait(15) == 0
    assert (stopping.status_code, stopping.json()["process"]) == (503, "shutting down")
    assert stopping.json()["database"] == "ok"


@on_postgresql
def test_worker_reports_its_counts_and_the_part_that_is_not_ready(
    postgresql: PostgresServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database)
    campus.set(protect_completed=True)
    campus.accept(campus.enroll(2))
    done = campus.enroll(1)
    campus.accept(done)
    campus.import_progress("ID,EnrollmentStatus", f"{done[0]},Completed")
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "rollbook", "worker"]
        told = environment(database_url, tmp_path, operations_port=0, poll_seconds=0.1, log_format="json")
        process = subprocess.Popen(command, env=told, stderr=output, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 20
        while "Operations: " not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        operations = log.read_text().split("Operations: ")[1].split("/readyz")[0]
        _wait_until('rollbook_unenrollments_processed_total{status="Failed"}', 1, operations)
        _wait_until('rollbook_unenrollments_processed_total{status="Complete"}', 2, operations)
        with postgresql.unreachable(database_url):
            away = httpx.get(f"{operations}/readyz", trust_env=False)
            _wait_until("rollbook_database_up", 0, operations)
            alive = httpx.get(f"{operations}/livez", trust_env=False)
        _set_schema(database, "0001")
        older = httpx.get(f"{operations}/readyz", trust_env=False)
        _set_schema(database, "9999")
        newer = httpx.get(f"{operations}/readyz", trust_env=False)
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
    assert (away.status_code, alive.status_code) == (503, 200)
    assert away.json()["database"].startswith("the database cannot be used")
    assert (older.status_code, older.json()["database"]) == (503, "ok")
    assert "rollbook migrate" in older.json()["schema"]
    assert newer.status_code == 200


def _set_schema(database: Database, revision: str) -> None:
    database.close()  # the pool has connections that PostgreSQL has closed
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


@on_sqlite
def test_taken_operations_port_stops_only_a_server_configured_for_it(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with socket.socket() as other:
        with suppress(OSError):  # a port that is taken already serves the test as well
            other.bind(("127.0.0.1", 8444))
            other.listen()
        with run_server(database_url, tmp_path, operations_port=None) as server:
            said = server.log.read_text()
    assert "No /livez, /readyz and /metrics here. Cannot listen on 127.0.0.1 port 8444" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        named = environment(database_url, tmp_path, operations_port=taken.getsockname()[1])
        command = [sys.executable, "-m", "rollbook", "serve", "--port", "0"]
        done = subprocess.run(command, env=named, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ROLLBOOK_OPERATIONS_PORT" in done.stderr
