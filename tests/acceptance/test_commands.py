"""The administrator's commands on real registrations: preview, limits, interruption, continuation and undo."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from test_oulad_2013 import DATA, needs_data

from campus import Campus, forget_workers
from commands import run_command
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, environment, run_forked, run_server

COURSE = "AAA 2013J (268 days)"


class Desk:
    """A user with keys of the account and no other access; `run` executes commands in the test's process."""

    def __init__(self, server: ServerProcess, campus: Campus, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.campus = campus
        self.folder = folder
        own = {"ROLLBOOK_URL": server.url, "ROLLBOOK_CA_FILE": str(server.ca_file), "HOME": str(folder)}
        keys = {"ROLLBOOK_ACCOUNT_KEY": campus.account_key, "ROLLBOOK_USER_KEY": campus.owner_key}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROLLBOOK_")}
        self.environment = inherited | own | keys

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "rollbook", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str, expect: int = 0) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", self.environment)
            patch.chdir(self.folder)
            done = run_command(patch, self._capsys, *arguments)
        said = done.out + done.err
        assert done.code == expect, f"{arguments}: {done.code}\n{said}"
        assert "\x1b" not in said
        assert self.campus.account_key not in said
        return said


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    campus = Campus(database, "The Open University")
    command = ["import", "oneroster", str(DATA / "oneroster.zip"), "--ids", "ids.csv"]
    run_forked(command, environment(url, tmp_path), tmp_path).check_returncode()
    with run_server(url, tmp_path, poll_seconds=0.1) as server:
        yield Desk(server, campus, tmp_path, capsys)
    database.close()


def _leaving(folder: Path) -> list[str]:
    with (folder / "ids.csv").open(newline="") as file:
        ids = {row["sourcedId"]: row["AccountUserLearningModuleRelID"] for row in csv.DictReader(file)}
    with (DATA / "unregistrations.csv").open(newline="") as file:
        return [ids[f"{row['classSourcedId']}-{row['userSourcedId']}"] for row in csv.DictReader(file)]


def _count_lines(output: Path) -> int:
    return output.read_text().count("\n") if output.exists() else 0


def _outcomes(output: Path) -> list[dict[str, str]]:
    with output.open(newline="") as file:
        return list(csv.DictReader(file))


@needs_data
def test_thousands_are_unenrolled_across_two_interruptions_and_restored(desk: Desk) -> None:
    before = desk.run("report", "--format", "csv", "--column", "PROGRESS", "--column", "ENROLLED_DATE")
    assert before.count("\n") == 1 + 13_529

    leaving = _leaving(desk.folder)
    (desk.folder / "leaving.csv").write_text("name,ID\n" + "".join(f"someone,{id_}\n" for id_ in leaving))
    output = desk.folder / "result.csv"
    command = ["unenroll", "--file", "leaving.csv", "--output", str(output), "--yes", "--reason", "withdrew"]
    for _ in range(2):
        before_start = _count_lines(output)
        process = desk.start(*command)
        while _count_lines(output) < before_start + 300:
            assert process.poll() is None, process.communicate()
            # A concurrent writer slows the run down, so that the interruption comes before its end.
            with desk.campus.database.write():
                time.sleep(0.02)
            time.sleep(0.01)
        # The open write transaction blocks the server, so that a call is in progress at Ctrl-C.
        with desk.campus.database.write():
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
        assert (process.returncode, "Traceback" in stderr) == (130, False), stdout + stderr
        assert "Run the same command again" in stderr
    said = desk.run(*command, "--wait")
    assert "3723 accepted, 0 refused" in said

    rows = _outcomes(output)
    assert [row["id"] for row in rows] == leaving
    assert {row["outcome"] for row in rows} == {"accepted"}
    assert desk.campus.current() == 13_529 - 3_723
    assert not (desk.folder / "result.csv.plan").exists()

    [batch] = json.loads(desk.run("batches", "--format", "json"))
    assert (batch["complete"], batch["reason"]) == (3_723, "withdrew")
    assert {row["batch"] for row in rows} == {str(batch["batch"])}
    assert "3723 restored" in desk.run("restore", "--yes", "--batch", str(batch["batch"]))
    assert desk.run("report", "--format", "csv", "--column", "PROGRESS", "--column", "ENROLLED_DATE") == before


@needs_data
def test_course_is_previewed_and_stopped_by_the_limits_before_anything_is_queued(desk: Desk) -> None:
    choice = ["unenroll", "--course", COURSE, "--status", "Enrolled"]
    stopped = desk.run(*choice, "--yes", expect=4)
    assert "100 % of" in stopped
    assert "383 to unenroll" in desk.run(*choice, "--max-percent", "100", "--max", "382", "--yes", expect=4)
    assert "pass --yes" in desk.run(*choice, "--max-percent", "100", expect=2)
    tried = desk.run(*choice, "--max-percent", "100", "--dry-run")
    assert "383 would be accepted" in tried
    assert desk.campus.queue() == {}

    assert "queue" in desk.run("pause")
    assert "383 accepted" in desk.run(*choice, "--max-percent", "100", "--yes")
    assert json.loads(desk.run("queue", "--format", "json"))[0]["pending"] == 383
    assert "refused" in desk.run("unenroll", "999999999", "--yes", expect=1)
    assert "argument 2: 'abc' is not an id" in desk.run("unenroll", "999999999", "abc", "--yes", expect=2)
    first = json.loads(desk.run("batches", "--format", "json"))[-1]["batch"]
    assert desk.run("batch", str(first)).count("Pending") == 383
    assert "383 would be removed" in desk.run("remove", "--batch", str(first), "--dry-run")
    assert "383 removed" in desk.run("remove", "--batch", str(first), "--yes")
    desk.run("resume")
    desk.campus.wait_until_drained()
    assert desk.campus.current() == 13_529


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_mistake_ends_with_a_sentence_and_the_documented_exit_code(
    served: Served, campus: Campus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(served.server, campus, tmp_path, capsys)
    assert "Name enrollments by ids" in desk.run("unenroll", expect=2)
    assert "cannot be read" in desk.run("unenroll", "--file", "no-such-file", expect=2)
    (tmp_path / "one-field").write_text("1" * 200_000)
    assert "not in CSV format" in desk.run("unenroll", "--file", "one-field", expect=2)
    assert "Name either ids or --file" in desk.run("restore", expect=2)
    assert "no batch 12345" in desk.run("batch", "12345", expect=2)
    assert "has no profile" in _with_profiles(desk, 0o600, "report", "--profile", "other")
    assert "chmod 600" in _with_profiles(desk, 0o644, "report", "--profile", "school")
    desk.environment["ROLLBOOK_USER_KEY"] = "0" * 64
    assert "SU:10" in desk.run("queue", expect=3)
    del desk.environment["ROLLBOOK_USER_KEY"]
    assert "ROLLBOOK_USER_KEY" in desk.run("queue", expect=2)


def _with_profiles(desk: Desk, mode: int, *arguments: str) -> str:
    path = desk.folder / "profiles.toml"
    path.write_text('[school]\nurl = "https://localhost:1/apiv2/"\naccount_key = "a"\nuser_key = "b"\n')
    path.chmod(mode)
    desk.environment["ROLLBOOK_PROFILES_FILE"] = str(path)
    return desk.run(*arguments, expect=2)


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_wait_reports_a_missing_worker_and_ends_when_the_items_are_processed(
    served: Served, campus: Campus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(served.server, campus, tmp_path, capsys)
    forget_workers(served.database)
    (id_, _) = campus.enroll(2)
    process = desk.start("unenroll", str(id_), "--yes", "--wait")
    assert process.stderr is not None
    said = next(line for line in process.stderr if "worker" in line)
    assert "No worker has been seen yet: nothing is processed. Start one: rollbook worker" in said
    assert "No worker has been seen" in desk.run("queue")
    campus.drain()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "All items are processed." in stdout
    assert "No worker" not in stderr
    assert json.loads(desk.run("batches", "--format", "json"))[0]["undo_until"] == "without limit"
    campus.set(retention_days=3)
    until = json.loads(desk.run("batches", "--format", "json"))[0]["undo_until"]
    assert until.startswith(f"{utc_now() + timedelta(days=3):%Y-%m-%d}")
    campus.set(retention_days=0)
    assert json.loads(desk.run("batches", "--format", "json"))[0]["undo_until"].startswith("over since ")
