"""Two releases at once: the database is migrated while the previous release serves, then both serve; no call fails."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

import rollbook
from campus import Campus
from load import Load, check_books, report
from rollbook.model import Account, Policies
from rollbook.store.database.database import Database
from server_process import environment, run_server

ROOT = Path(__file__).parents[2]
VERSIONS = Path(rollbook.__file__).parent / "store" / "database" / "migrations" / "versions"
# Since the release before: later ones can change until they are released.
FIRST_MIGRATION = "0011"

MAKE_CAMPUS = """
import json, sys
from campus import Campus
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
database = Database(sys.argv[1])
migrate(database)
campus = Campus(database)
made = {name: getattr(campus, name) for name in ("name", "account_key", "owner_key")}
print(json.dumps({**made, "account": campus.account.id, "ids": campus.enroll(int(sys.argv[2]))}))
"""


class OldCampus(Campus):
    """An account that the previous release has made."""

    def __init__(self, database: Database, made: dict[str, str]) -> None:
        self.database = database
        self.name = made["name"]
        self.account_key, self.owner_key = made["account_key"], made["owner_key"]
        self.account = Account(int(made["account"]), self.name, Policies())


@pytest.fixture(scope="module")
def previous_release(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The code before the first migration since the release before, from the history of the repository."""
    added = ["git", "log", "--diff-filter=A", "--format=%H", "--", str(VERSIONS / f"{FIRST_MIGRATION}_*.py")]
    commits = subprocess.run(added, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    folder = tmp_path_factory.mktemp("previous")
    archive = ["git", "archive", f"{commits[-1]}^" if commits else "no-history", "src", "tests"]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        missing = f"TWO RELEASES NOT TESTED: fetch the history from before migration {FIRST_MIGRATION}"
        pytest.fail(missing) if request.config.getoption("--soak") else pytest.skip(missing)
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


@contextmanager
def _running_code_of(release: Path) -> Iterator[None]:
    before = os.environ.copy()
    os.environ["PYTHONPATH"] = f"{release / 'src'}:{release / 'tests'}:{release / 'tests' / 'support'}"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_database_is_migrated_while_the_previous_release_serves(
    previous_release: Path, database_url: str, tmp_path: Path, soaks: bool
) -> None:
    with ExitStack() as stack:
        with _running_code_of(previous_release):
            command = [sys.executable, "-c", MAKE_CAMPUS, database_url, "60000" if soaks else "12000"]
            made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            old_server = stack.enter_context(run_server(database_url, tmp_path, forked=False))
        ids = [int(id_) for id_ in made["ids"]]
        database = Database(database_url)
        stack.callback(database.close)
        campus = OldCampus(database, made)
        before = stack.enter_context(Load(campus, old_server, ids[::2], clients=2, pause=0.05))
        before.wait_for_answers(20)
        _migrate_while_a_transaction_is_open(database_url, tmp_path, before)
        before.wait_for_answers(20)
        new_server = stack.enter_context(run_server(database_url, tmp_path))
        after = stack.enter_context(Load(campus, new_server, ids[1::2], clients=2, pause=0.05))
        for _ in range(20 if soaks else 1):
            after.wait_for_answers(50 if soaks else 20)
            before.wait_for_answers(50 if soaks else 20)
        before.stop()
        assert old_server.stop() == 0
        after.wait_for_answers(20)
        after.stop()
        books = check_books(before, after)
    report(f"two releases, {database.engine.dialect.name}: the old one", before, **books)
    report(f"two releases, {database.engine.dialect.name}: the new one", after)
    assert set(before.statuses) == set(after.statuses) == {200}
    assert len(books) > 0


def _migrate_while_a_transaction_is_open(database_url: str, folder: Path, load: Load) -> None:
    command = [sys.executable, "-m", "rollbook", "migrate"]
    options = {"env": environment(database_url, folder), "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        if database_url.startswith("postgresql:"):
            other = stack.enter_context(psycopg.connect(database_url))
            other.execute(
                "LOCK TABLE accounts, users IN ROW EXCLUSIVE MODE"
            )  # as a transaction that has written to them
        migration = stack.enter_context(subprocess.Popen(command, **options))  # type: ignore[call-overload]
        if database_url.startswith("postgresql:"):
            stack.callback(other.close)
            time.sleep(2.5)
            assert migration.poll() is None, "it has not waited for the transaction"
            load.wait_for_answers(20, timeout=10)
            other.rollback()
        said, _ = migration.communicate(timeout=60)
    assert migration.returncode == 0
    assert "before: 0" in said
