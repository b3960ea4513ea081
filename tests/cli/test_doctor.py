"""`rollbook doctor` reports problems with advice, and nothing when all is well."""

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import Run
from rollbook.model import utc_now
from rollbook.server.network.tls import self_signed_certificate
from rollbook.store.database.database import Database
from rollbook.store.database.tables import batches, unenrollments
from rollbook.store.queue.state import pause_queue
from rollbook.store.queue.workers import note_worker

# The PostgreSQL of the tests runs without fsync.
USUAL = {"sqlite": {}, "postgresql": {"durability": "problem"}}


@pytest.fixture
def examine(rollbook: Run, environment: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> "Examination":
    """An installation within the limits of any machine, and the doctor's findings about it."""
    environment.mkdir(mode=0o700)
    for file in environment.parent.glob("rollbook.db*"):
        file.chmod(0o600)
    monkeypatch.setenv("ROLLBOOK_MAX_CONNECTIONS", "100")
    return Examination(rollbook, USUAL[database.engine.dialect.name])


class Examination:
    """Runs the doctor; findings that the test database always has are left out."""

    def __init__(self, rollbook: Run, usual: dict[str, str]) -> None:
        self._rollbook = rollbook
        self._usual = usual

    def __call__(self) -> dict[str, tuple[str, str]]:
        """Return the parts with findings, each with its state and texts."""
        done = self._rollbook("doctor", "--format", "json")
        bad = {
            row["part"]: (row["state"], f"{row['found']} {row['advice']}") for row in done.json if row["state"] != "ok"
        }
        assert done.code == (1 if bad else 0)
        assert all(len(said.split()) > 5 for _, said in bad.values()), "it says what to do"
        assert {part: bad.pop(part)[0] for part in self._usual} == self._usual
        return bad


def test_doctor_reports_nothing_when_all_is_well(examine: Examination, database: Database, environment: Path) -> None:
    campus = Campus(database)
    campus.set(hold_seconds=3600)
    campus.accept(campus.enroll(3))
    self_signed_certificate(environment)
    assert examine() == {}


@pytest.mark.parametrize("database_url", ["sqlite:///rollbook.db"], ids=["sqlite"])
def test_doctor_reports_the_size_of_the_write_ahead_log(rollbook: Run, tmp_path: Path, migrated_file: Path) -> None:
    shutil.copyfile(migrated_file, tmp_path / "rollbook.db")
    holding = sqlite3.connect(tmp_path / "rollbook.db")  # an open connection keeps the log from being truncated
    holding.execute("SELECT count(*) FROM accounts").fetchall()
    assert rollbook("account", "add", "Acme", "--owner", "ann@acme.example").code == 0
    size = (tmp_path / "rollbook.db-wal").stat().st_size / 1e6
    told = {row["part"]: row["found"] for row in rollbook("doctor", "--format", "json").json}
    holding.close()
    assert size > 0
    assert f"{size:,.1f} MB" in told["wal"]


def test_doctor_distinguishes_a_queue_without_a_worker_from_a_paused_one(
    examine: Examination, database: Database
) -> None:
    late, paused = Campus(database), Campus(database)
    for campus in (late, paused):
        campus.accept(campus.enroll(2))
    with database.write() as connection:
        pause_queue(connection, paused.account.id, utc_now())
        connection.execute(unenrollments.update().values(due_at=utc_now() - timedelta(hours=2)))
    bad = examine()
    assert {part: state for part, (state, _) in bad.items()} == {"queue": "problem", "pause": "warning"}
    assert "2 items due, 0 held, 2 paused" in bad["queue"][1]
    assert "no worker was ever seen" in bad["queue"][1]
    assert "rollbook worker" in bad["queue"][1]
    note_worker(database, "here", utc_now())
    assert "a worker was last seen" in examine()["queue"][1]
    assert "rollbook resume" in bad["pause"][1]


def test_doctor_reports_a_recorded_time_in_the_future(examine: Examination, database: Database) -> None:
    campus = Campus(database)
    campus.accept(campus.enroll(1))
    with database.write() as connection:
        connection.execute(batches.update().values(requested_at=utc_now() + timedelta(hours=1)))
    state, said = examine()["clock"]
    assert state == "problem"
    assert "in the future" in said


def test_doctor_reports_another_schema_with_advice(examine: Examination, database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    state, said = examine()["schema"]
    assert state == "problem"
    assert "rollbook migrate" in said


@pytest.mark.parametrize(
    ("database_url", "way_out"),
    [("postgresql://nobody@127.0.0.1:1/none", "Start it"), ("sqlite:////nowhere/rollbook.db", "rollbook init")],
    ids=["postgresql", "sqlite"],
)
def test_doctor_reports_a_missing_database(rollbook: Run, way_out: str) -> None:
    done = rollbook("doctor", "--format", "json")
    assert done.code == 1
    [finding] = [row for row in done.json if row["part"] == "database"]
    assert finding["state"] == "problem"
    assert way_out in finding["advice"]


def test_doctor_checks_the_machine(
    examine: Examination, database: Database, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (self_signed_certificate(tmp_path / name) for name in ("one", "two"))
    monkeypatch.setenv("ROLLBOOK_TLS_CERT", str(first.cert))
    monkeypatch.setenv("ROLLBOOK_TLS_KEY", str(second.key))
    monkeypatch.setenv("ROLLBOOK_TRUSTED_PROXIES", "10.0.0.0/8")
    second.key.chmod(0o644)
    monkeypatch.setenv("ROLLBOOK_MAX_CONNECTIONS", "2000000000")
    bad = examine()
    states = {part: state for part, (state, _) in bad.items()}
    expected = {"certificate": "problem", "files": "warning", "proxies": "warning", "descriptors": "warning"}
    assert states == expected
    assert "do not work together" in bad["certificate"][1]
    assert f"chmod 640 {second.key}" in bad["files"][1]
    assert "10.0.0.0/8" in bad["proxies"][1]
