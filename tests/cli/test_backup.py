"""A backup under load contains every call that was answered before it, and can be served."""

import copy
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campus import Campus
from commands import Run
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, environment, run_forked, run_server


def _run(database_url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked([*arguments], environment(database_url, folder), folder)


class Load:
    """Two clients that unenroll continuously; `answered` are the ids of answered calls."""

    def __init__(self, server: ServerProcess, campus: Campus, ids: list[int]) -> None:
        self.answered: list[int] = []
        self._calls = iter([ids[start : start + 5] for start in range(0, len(ids), 5)])
        self._server = server
        self._campus = campus
        self.stopping = threading.Event()

    def run(self) -> None:
        with self._server.client() as client:
            while not self.stopping.is_set():
                ids = next(self._calls)
                answer = client.post(self._server.url, data={"Package": self._campus.package(ids)})
                assert answer.content.count(b"<Unenrollment block=") == 5
                self.answered += ids
                time.sleep(0.02)  # the ids must last until the backup is made, on a slow machine too

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.answered) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_backup_under_load_is_restored_and_served_with_every_answered_call(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    campus = Campus(database)
    ids = campus.enroll(8000)
    with run_server(url, tmp_path, poll_seconds=0.05) as server, ThreadPoolExecutor(2) as threads:
        load = Load(server, campus, ids)
        running = [threads.submit(load.run) for _ in range(2)]
        try:
            load.wait_for(100)
            before = len(load.answered)
            done = _run(url, tmp_path, "backup", "copy.db")
            load.wait_for(len(load.answered) + 20)
        finally:
            load.stopping.set()
        assert [client.result() for client in running] == [None, None]
        refused = _run(url, tmp_path, "backup", "copy.db")
    assert (done.returncode, refused.returncode) == (0, 2), done.stderr
    assert "copy.db" in done.stdout
    assert "--force" in refused.stderr
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
    database.close()

    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(tmp_path / "copy.db", restored / "rollbook.db")
    copied = copy.copy(campus)
    copied.database = Database(f"sqlite:///{restored / 'rollbook.db'}")
    with run_server(f"sqlite:///{restored / 'rollbook.db'}", restored, poll_seconds=0.05) as server:
        assert b"<Result>Success</Result>" in server.post(campus.package(ids[-1:])).content
        copied.wait_until_drained()
    queue = copied.queue()
    copied.database.close()
    assert set(load.answered[:before]) <= set(queue)
    assert set(queue.values()) == {"Complete"}
    assert copied.current() + len(queue) == len(ids)


@pytest.mark.parametrize(
    ("database_url", "way_out"),
    [("sqlite:////nowhere/rollbook.db", "There is no database"), ("postgresql:///rollbook", "pg_dump")],
    ids=["none", "postgresql"],
)
def test_backup_says_what_to_do_instead_when_it_cannot(rollbook: Run, tmp_path: Path, way_out: str) -> None:
    done = rollbook("backup", "copy.db")
    assert done.code == 2
    assert way_out in done.err
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path, migrated_file: Path) -> None:
    shutil.copyfile(migrated_file, tmp_path / "rollbook.db")
    told = environment(f"sqlite:///{tmp_path / 'rollbook.db'}", tmp_path)
    command = f"ulimit -f 100; exec {sys.executable} -m rollbook backup copy.db"  # the disk is full after 100 kB
    done = subprocess.run(["bash", "-c", command], env=told, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be backed up" in done.stderr
    assert [*tmp_path.glob("copy.db*")] == []
