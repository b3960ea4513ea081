"""Keys are shown once, and are nowhere after that: not in the database, not in any log."""

import json
import subprocess
import sys
from pathlib import Path

from server_process import environment, run_server


def test_no_key_is_in_the_database_file_or_in_a_log(tmp_path: Path) -> None:
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
