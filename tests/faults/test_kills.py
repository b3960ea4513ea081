"""Servers and workers killed at random under load: every accepted item is processed exactly once."""

import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from lxml import etree

from campus import OPERATOR, Campus
from load import Load, check_books, report, wait_until
from rollbook.store.database.database import Database
from rollbook.store.people.accounts import set_policies
from server_process import ForkedProcess, ServerProcess, environment, run_server

# The garbage collector warns of connections that a killed server has left open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Killing:
    """Kills processes repeatedly until it is stopped."""

    def __init__(self, url: str, folder: Path, longest_life: float) -> None:
        self.stopping = threading.Event()
        self.kills: Counter[str] = Counter()
        self._url = url
        self._folder = folder
        self._longest_life = longest_life

    def workers(self) -> None:
        """Run one worker after another, and kill each."""
        while not self.stopping.is_set():
            log = self._folder / f"worker-{time.monotonic_ns()}.log"
            settings = environment(self._url, self._folder, drain_step=25, poll_seconds=0.1)
            worker = ForkedProcess(["worker"], settings, self._folder, log, log)
            wait_until(lambda log=log: log.exists() and "worker started" in log.read_text())  # type: ignore[misc]
            self._live()
            worker.kill()
            worker.wait(10)
            self.kills["workers"] += 1

    def children(self, server: ServerProcess) -> None:
        """Kill one of a server's processes after another."""
        while not self.stopping.is_set():
            self._live()
            with suppress(ProcessLookupError, IndexError):  # it has just ended, or none has started yet
                os.kill(random.choice(server.serving()), signal.SIGKILL)
                self.kills["server processes"] += 1

    def servers(self, port: int) -> None:
        """Run one server after another on the same port, and kill each."""
        while not self.stopping.is_set():
            with run_server(self._url, self._folder, "--no-worker", "--port", str(port)) as server:
                self._live()
                server.kill()
            self.kills["servers"] += 1

    def _live(self) -> None:
        self.stopping.wait(random.uniform(0.05, self._longest_life))


def _remove(load: Load, stopping: threading.Event) -> set[int]:
    """Remove some recently accepted items from the queue at intervals."""
    removed: set[int] = set()
    with load.server.client() as client:
        while not stopping.wait(0.3):
            items = "".join(
                f"<Unenrollment><AccountUserLearningModuleRelID>{id_}</AccountUserLearningModuleRelID></Unenrollment>"
                for id_ in load.accepted[-3:]
            )
            package = load.campus.call("removeUnenrollments", f"<Unenrollments>{items}</Unenrollments>")
            try:
                answer = client.post(load.server.url, data={"Package": package})
            except httpx.TransportError:
                continue
            found = etree.fromstring(answer.content).iterfind("Info//AccountUserLearningModuleRelID")
            removed.update(int(element.text or "") for element in found)
    return removed


def test_random_kills_of_servers_and_workers_lose_no_item_and_process_none_twice(
    database: Database, database_url: str, tmp_path: Path, soaks: bool
) -> None:
    seconds, kind = 300 if soaks else 2.5, database.engine.dialect.name
    campus = Campus(database)
    with database.write() as connection:
        set_policies(connection, campus.account, {"hold_seconds": 1}, by=OPERATOR)
    ids = campus.enroll(60_000 if soaks else 4_000)
    killing = Killing(database_url, tmp_path, longest_life=5 if soaks else 1)
    with (
        run_server(database_url, tmp_path, "--no-worker", "--workers", "2", forked=False) as server,
        ThreadPoolExecutor(5) as pool,
    ):
        with run_server(database_url, tmp_path, "--no-worker") as other:
            other.kill()
        tasks = [
            pool.submit(killing.workers),
            pool.submit(killing.children, server),
            pool.submit(killing.servers, other.port),
        ]
        tasks += [pool.submit(killing.workers)] if kind == "postgresql" else []
        with (
            Load(campus, server, ids[::2], clients=2, pause=0.2 if soaks else 0.02) as one,
            Load(campus, other, ids[1::2], clients=2, pause=0.2 if soaks else 0.02) as two,
        ):
            removing = pool.submit(_remove, one, killing.stopping)
            killing.stopping.wait(seconds)
            killing.stopping.set()
            for task in tasks:
                task.result()
        removed = removing.result()
        log = tmp_path / "worker.log"
        worker = ForkedProcess(["worker"], environment(database_url, tmp_path), tmp_path, log, log)
        try:
            books = check_books(one, two, removed=removed)
        finally:
            worker.terminate()
            worker.wait(30)
    for name, load in (("process killed", one), ("server killed", two)):
        report(f"kills at random, {kind}, {name}", load)
    report(f"kills at random, {kind}", None, **killing.kills, **books)
    assert len(killing.kills) == 3
    assert removed or not soaks
    assert {*one.statuses, *two.statuses} <= {0, 200, 503}
