"""Secrets appear in no database file, log, error message, traceback or command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from commands import Run
from conftest import Served
from postgresql import PostgresServer
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import environment, run_server


def test_database_file_and_logs_contain_no_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"

    def rollbook(*arguments: str) -> dict[str, str]:
        command = [sys.executable, "-m", "rollbook", *arguments, "--format", "json"]
        done = subprocess.run(command, env=environment(url, tmp_path), capture_output=True, text=True, check=True)
        with (tmp_path / "commands.log").open("a") as log:
            log.write(f"{arguments}\n{done.stderr}")
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    keys = rollbook("init", "--account", "North", "--owner", "owner@example.org")
    another = rollbook("key", "new", "--account", "North", "--user", "owner@example.org")
    secrets = [*keys.values(), *another.values()]
    assert len(set(secrets)) == 3

    package = (
        f"<SmarterU><AccountAPI>{keys['account_key']}</AccountAPI><UserAPI>{keys['user_key']}</UserAPI>"
        "<Method>{}</Method><Parameters>{}</Parameters></SmarterU>"
    )
    good = "<LearningModuleEnrollment><Unenrollment><AccountUserLearningModuleRelID>1</AccountUserLearningModuleRelID>"
    good += "</Unenrollment></LearningModuleEnrollment>"
    calls = [
        package.format("unenrollLearningModules", good),
        package.format("unenrollLearningModules", "<Wrong/>"),
        package.format("noSuchMethod", good),
        package.format("unenrollLearningModules", good).replace("</UserAPI>", ""),
        package.format("unenrollLearningModules", good).replace(keys["account_key"], keys["user_key"]),
    ]
    with run_server(url, tmp_path, log_format="json") as server:
        answers = [server.post(call).content for call in calls]
        assert server.stop() == 0
    assert [b"ULM:03" in answers[0], b"SU:12" in answers[1], b"SU:11" in answers[2]] == [True] * 3
    assert [b"SU:03" in answers[3], b"SU:10" in answers[4]] == [True] * 2

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"rollbook.db", "commands.log"} < {path.name for path in files}
    assert any(path.name.startswith("server-") and path.stat().st_size for path in files)
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, path
            assert bytes.fromhex(secret) not in content, path


URL_PASSWORD = "swordfish"
# Unreachable or malformed URLs, with the password in the usual places.
BAD_URLS = [
    f"postgresql://rollbook:{URL_PASSWORD}@127.0.0.1:1/rollbook",
    f"postgresql://rollbook:{URL_PASSWORD} @127.0.0.1/rollbook",
    f"postgresql://rollbook:{URL_PASSWORD}/@127.0.0.1/rollbook",
    f"postgresql://127.0.0.1:1/rollbook?pasword={URL_PASSWORD}",
    f"host=127.0.0.1 password={URL_PASSWORD}",
    f"mysql://rollbook:{URL_PASSWORD}@127.0.0.1/rollbook",
]


@pytest.mark.parametrize("database_url", [""], ids=["bad"])
@pytest.mark.parametrize("in_file", [False, True], ids=["in_the_environment", "in_a_file"])
@pytest.mark.parametrize("url", BAD_URLS)
def test_error_about_a_database_url_omits_its_password(
    rollbook: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, in_file: bool
) -> None:
    monkeypatch.setenv("ROLLBOOK_DATABASE_URL", "" if in_file else url)
    if in_file:
        secret = tmp_path / "database-url"
        secret.write_text(url + "\n")
        monkeypatch.setenv("ROLLBOOK_DATABASE_URL_FILE", str(secret))
    done = rollbook("account", "list")
    assert done.code in (2, 3)
    assert "rollbook: " in done.err
    assert URL_PASSWORD not in done.out + done.err


def test_traceback_of_an_unexpected_error_shows_no_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    campus = Campus(database)
    with run_server(url, tmp_path, "--no-worker", log_format="console") as server:
        with database.write() as connection:
            connection.execute(sa.text("ALTER TABLE batches RENAME TO lost"))
        answer = server.post(campus.package([1]))
        log = server.log.read_text()
    database.close()
    assert b"SU:9999" in answer.content
    assert "Traceback" in log
    assert [key for key in (campus.account_key, campus.owner_key) if key[:16] in log] == []


def test_command_lines_of_the_server_processes_show_no_secret(postgresql: PostgresServer, tmp_path: Path) -> None:
    with postgresql.fresh_database() as url:
        shown = f"{url}{'&' if '?' in url else '?'}application_name={URL_PASSWORD}"
        migrated = Database(url)
        migrate(migrated)
        migrated.close()
        secret = tmp_path / "database-url"
        secret.write_text(shown)
        with run_server("", tmp_path, "--workers", "2", forked=False, database_url_file=secret) as server:
            pids = [server.process.pid, *server.serving()]
            lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    assert len(lines) >= 3
    assert all("python" in line for line in lines)
    assert URL_PASSWORD not in "".join(lines)


@pytest.mark.parametrize("database_url", [""], ids=["remote"])
def test_commands_read_their_keys_from_files(
    served: Served, campus: Campus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rollbook: Run
) -> None:
    files = {"ACCOUNT_KEY": tmp_path / "account-key", "USER_KEY": tmp_path / "user-key"}
    files["ACCOUNT_KEY"].write_text(campus.account_key + "\n")
    files["USER_KEY"].write_text(campus.owner_key)
    monkeypatch.setenv("ROLLBOOK_URL", served.server.url)
    monkeypatch.setenv("ROLLBOOK_CA_FILE", str(served.server.ca_file))
    for name, path in files.items():
        monkeypatch.setenv(f"ROLLBOOK_{name}_FILE", str(path))
    assert rollbook("queue", "--format", "json").code == 0

    monkeypatch.setenv("ROLLBOOK_USER_KEY", campus.owner_key)
    both = rollbook("queue")
    assert (both.code, campus.owner_key in both.err) == (2, False)
    assert "ROLLBOOK_USER_KEY and ROLLBOOK_USER_KEY_FILE are both set" in both.err
    monkeypatch.delenv("ROLLBOOK_USER_KEY")
    for content, complaint in ((None, "cannot be read"), ("", "one line"), ("a\nb", "one line"), ("\udcff", "UTF-8")):
        files["USER_KEY"].unlink(missing_ok=True)
        if content is not None:
            files["USER_KEY"].write_bytes(content.encode(errors="surrogateescape"))
        done = rollbook("queue")
        assert (done.code, complaint in done.err) == (2, True), done.err
