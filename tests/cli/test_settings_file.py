"""The machine's settings file: every command reads it, says so, and uses no other database when it may not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import Run

INIT = ("init", "--account", "Acme", "--owner", "ann@acme.example")
NOBODY = 65534

pytestmark = pytest.mark.parametrize("database_url", ["sqlite:///rollbook.db"], ids=["sqlite"])


@pytest.fixture
def settings_file(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that names the data directory; the environment does not."""
    path = tmp_path / "etc" / "rollbook.env"
    path.parent.mkdir()
    path.write_text(f"# Rollbook\n\nROLLBOOK_DATA_DIR={tmp_path}/service\n")
    path.chmod(0o640)
    for name in ("DATA_DIR", "DATABASE_URL"):
        monkeypatch.delenv(f"ROLLBOOK_{name}")
    monkeypatch.setenv("ROLLBOOK_SETTINGS_FILE", str(path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return path


@contextmanager
def _without_permission(path: Path) -> Iterator[None]:
    path.parent.chmod(0)
    try:
        if os.geteuid() == 0:  # root may read everything
            os.seteuid(NOBODY)
        yield
    finally:
        os.seteuid(os.getuid())
        path.parent.chmod(0o700)


def test_commands_use_the_database_of_the_settings_file(rollbook: Run, settings_file: Path, tmp_path: Path) -> None:
    assert rollbook(*INIT).code == 0
    assert (tmp_path / "service" / "rollbook.db").is_file()
    assert "Acme" in rollbook("account", "list").out
    found = {row["part"]: (row["state"], row["found"]) for row in rollbook("doctor", "--format", "json").json}
    assert found["settings"] == ("ok", f"Settings were read from {settings_file}.")
    assert found["files"][0] == "ok"


def test_env_file_overrides_the_settings_file_and_the_environment_both(
    rollbook: Run, settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settings_file.open("a") as file:
        file.write("ROLLBOOK_URL=https://one.example/apiv2/\nROLLBOOK_ACCOUNT_KEY=a\n")
    (tmp_path / ".env").write_text(f"ROLLBOOK_DATA_DIR={tmp_path}/second\n")
    assert f"{tmp_path}/second/" in rollbook("account", "list").err
    monkeypatch.setenv("ROLLBOOK_DATA_DIR", f"{tmp_path}/third")
    assert f"{tmp_path}/third/" in rollbook("account", "list").err
    assert "Set ROLLBOOK_USER_KEY, or" in rollbook("queue").err


def test_command_that_may_not_read_the_settings_file_uses_no_other_database(
    rollbook: Run, settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rollbook(*INIT).code == 0
    for command in ("queue", "serve", "migrate"):
        assert rollbook(command, "--help").code == 0  # modules are imported while their files can be read
    with _without_permission(settings_file):
        assert "The file .env in this directory cannot be read. Go to another one first" in rollbook("queue").err
        monkeypatch.chdir("/")
        for arguments in (INIT, ("account", "list"), ("serve",), ("migrate",)):
            done = rollbook(*arguments)
            assert done.code == 2
            assert f"The settings file {settings_file} cannot be read" in done.err
        assert f"The settings file {settings_file} cannot be read" in rollbook("queue").err
        monkeypatch.setenv("ROLLBOOK_DATA_DIR", "/dev/null/none")
        done = rollbook("account", "list")
    assert not (tmp_path / "home").exists()
    assert "There is no database /dev/null/none/rollbook.db" in done.err
    assert f"{settings_file} cannot be read" in done.err


def test_missing_settings_file_is_an_error_only_if_it_is_named(
    rollbook: Run, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file.unlink()
    done = rollbook("account", "list")
    assert done.code == 2
    assert f"There is no file {settings_file}, which ROLLBOOK_SETTINGS_FILE names." in done.err
    monkeypatch.setenv("ROLLBOOK_SETTINGS_FILE", "")
    assert "No settings file is read" in rollbook("account", "list").err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ROLLBOOK_PORT=1\nROLLBOOK_HOST 0.0.0.0\n", "Line 2 of {} is no setting: 'ROLLBOOK_HOST 0.0.0.0'."),
        (b"ROLLBOOK_PORT=https\n", "ROLLBOOK_PORT: "),
        (b"\xff\xfe", "{} is not text in UTF-8."),
    ],
)
def test_mistake_in_the_settings_file_is_named(rollbook: Run, settings_file: Path, content: bytes, said: str) -> None:
    settings_file.write_bytes(content)
    done = rollbook("account", "list")
    assert done.code == 2
    assert said.format(settings_file) in done.err


def test_doctor_names_unknown_settings_and_a_settings_file_that_all_may_read(
    rollbook: Run, settings_file: Path
) -> None:
    assert rollbook(*INIT).code == 0
    settings_file.chmod(0o644)
    with settings_file.open("a") as file:
        file.write("ROLLBOOK_PROT=443\nOTHER=1\n")
    found = {row["part"]: row for row in rollbook("doctor", "--format", "json").json}
    assert found["settings"]["found"] == f"{settings_file} sets ROLLBOOK_PROT, which is no setting"
    assert f"chmod 640 {settings_file}" in found["files"]["advice"]
