"""Any arguments of a command end with a sentence and a documented exit code, never with a traceback."""

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from campus import Campus
from commands import Done, Run, run_command
from conftest import Served
from rollbook.cli import app

CODES = {0, 1, 2, 3, 4}
NASTY = (
    *("", " ", "-1", "0", "9" * 20, "9" * 5000, "٣", "nan", "1e400", "%s", "[x", "https://[", "a@b"),
    *(
        "2026-02-30",
        "0001-01-01",
        "9999-12-31T23:59-12:00",
        "\x1b[31m",
        "a\nb",
        "\u2028",
        "\udcff",
        "x" * 300,
        "x" * 5000,
    ),
    *(".", "/", "/nonexistent/x", "/dev/full", "/dev/zero"),
)
# The values of required arguments when another option is tested.
REQUIRED = {
    "account": "Acme",
    "keep": "Acme",
    "url": "https://example.org/hook",
    "batch": "1",
    "user": "owner@example.org",
    "owner": "ann@acme.example",
    "email": "ann@acme.example",
    "file": "roster.zip",
    "number": "1",
    "role": "learner",
    "group": "North",
    "key_id": "1",
    "course": "1",
    "start": "2027-01-31",
}
# Lists of ids have their own tests. --watch does not end.
LISTS = {("unenroll", "ids"), ("unenroll", "file"), ("unenroll", "column"), ("remove", "ids"), ("restore", "ids")}
OTHERS = {("queue", "watch")}
# Commands that stand for all with --format, which is one option.
FORMATTED = {("report",), ("user", "add"), ("unenroll",)}


def _options() -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    def walk(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        children = getattr(command, "commands", {})
        if not children:
            yield names, command
        for name in children:
            yield from walk(children[name], *names, name)

    for names, command in walk(typer.main.get_command(app)):
        for option in command.params:
            if (names[-1], option.name) in LISTS | OTHERS or option.name == "help":
                continue
            if option.name != "form" or names in FORMATTED:
                yield names, command, option


def _write(option: Any, value: str) -> list[str]:
    if getattr(option, "is_flag", False):
        return [option.opts[0]]
    return [f"{option.opts[0]}={value}"] if option.opts[0].startswith("-") else [value]


class Shell:
    """The command line with a database, a server and keys, and no terminal."""

    def __init__(self, run: Run, patch: pytest.MonkeyPatch, served: Served, campus: Campus, folder: Path) -> None:
        self._run = run
        self._patch = patch
        self._names = (f"Account {number}" for number in itertools.count())
        self._id = str(campus.enroll(1)[0])
        self.folder = folder
        for name in [name for name in os.environ if name.startswith("ROLLBOOK_")]:
            patch.delenv(name)
        patch.chdir(folder)
        settings = {
            "DATABASE_URL": f"sqlite:///{folder / 'rollbook.db'}",
            "DATA_DIR": str(folder / "data"),
            "URL": served.server.url,
            "CA_FILE": str(served.server.ca_file),
            "ACCOUNT_KEY": campus.account_key,
            "USER_KEY": campus.owner_key,
            "PROFILES_FILE": str(folder / "profiles.toml"),
        }
        for name, value in settings.items():
            patch.setenv(f"ROLLBOOK_{name}", value)

    def run(self, *arguments: str) -> Done:
        self._patch.setattr(sys, "stdin", io.StringIO())
        done = self._run(*arguments)
        assert done.code in CODES, arguments
        assert "Traceback" not in done.err, arguments
        if done.code in (2, 3):
            assert "rollbook: " in done.err or "\nError: " in done.err, arguments
        return done

    def try_option(self, names: tuple[str, ...], command: Any, option: Any, value: str) -> None:
        arguments = list(names)
        for each in command.params:
            if each is option:
                arguments += _write(each, value)
            elif each.required:
                new = each.name == "name" or (names[0], each.name) == ("init", "account")
                arguments += _write(each, next(self._names) if new else REQUIRED[each.name])
        if names[0] in ("unenroll", "remove", "restore") and option.name != "batch":
            arguments += [self._id]
        if names == ("sandbox",):  # it must not begin to serve
            arguments += ["--seed=/nowhere"] if option.name == "host" else ["--host=nowhere.invalid"]
        if names == ("serve",):  # its options are checked before the database is opened
            self._patch.setenv("ROLLBOOK_DATABASE_URL", "sqlite:////nowhere/rollbook.db")
        self.run(*arguments)


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    served: Served,
    campus: Campus,
    tmp_path: Path,
    migrated_file: Path,
) -> Shell:
    shutil.copyfile(migrated_file, tmp_path / "rollbook.db")
    with zipfile.ZipFile(tmp_path / "roster.zip", "w") as archive:
        archive.writestr("manifest.csv", "propertyName,value\noneroster.version,1.1\n")
    shell = Shell(lambda *words: run_command(monkeypatch, capsys, *words), monkeypatch, served, campus, tmp_path)
    shell.run("account", "add", "Acme", "--owner", "ann@acme.example")
    return shell


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("names", "command", "option"), [*_options()], ids=lambda each: str(getattr(each, "name", each))
)
def test_any_value_of_an_option_ends_with_a_sentence(
    shell: Shell, soaks: bool, request: pytest.FixtureRequest, names: tuple[str, ...], command: Any, option: Any
) -> None:
    place = sum(map(ord, request.node.name))
    values = NASTY if soaks else [NASTY[(place + step) % len(NASTY)] for step in (0, 13)]
    for value in values[:1] if getattr(option, "is_flag", False) else values:
        shell.try_option(names, command, option, value)


# A setting, a command that uses it, the exit code, and a part of the error.
ENVIRONMENT = [
    ("PORT=x", "account list", 2, "ROLLBOOK_PORT"),
    ("WORKERS=0", "account list", 2, "ROLLBOOK_WORKERS"),
    ("WORKERS=", "account list", 0, ""),
    ("PUBLIC_URL=http://lms.example.org", "account list", 2, "ROLLBOOK_PUBLIC_URL: 'http://lms"),
    ("PUBLIC_URL=https://lms.example.org/x", "account list", 2, "with https and without a path"),
    ("CALL_SECONDS=inf", "account list", 2, "ROLLBOOK_CALL_SECONDS"),
    ("CALL_SECONDS=1e300", "account list", 2, "larger than 2147483647"),
    (f"DRAIN_STEP={10**30}", "worker", 2, "larger than 2147483647"),
    ("CALLS_KEPT_DAYS=2147483647", "account list", 2, "less than or equal to 36500"),
    ("TRUSTED_PROXIES=foo", "serve", 2, "'foo'"),
    ("DATABASE_URL=mysql://host/x", "doctor", 1, ""),
    ("DATABASE_URL=mysql://host/x", "account list", 2, "neither sqlite:/// nor postgresql://"),
    ("DATABASE_URL=sqlite:///.", "account list", 2, "There is no database"),
    ("DATABASE_URL=postgresql://host/%zz", "account list", 2, "cannot be understood"),
    ("DATABASE_URL=postgresql://127.0.0.1:1/x", "audit", 3, "refused"),
    ("DATABASE_URL_FILE=missing", "account list", 2, "leave one out"),
    ("SETTINGS_FILE=/dev/zero", "account list", 2, "File too large"),
    ("TLS_CERT=missing", "serve", 2, "a certificate and its key go together"),
    ("URL=", "queue", 2, "Set ROLLBOOK_URL"),
    ("URL=https://[", "queue", 2, "begins with https:// and a host"),
    ("URL=http://localhost/apiv2/", "queue", 2, "begins with https://"),
    ("URL=https://localhost:99999/apiv2/", "queue", 2, "port"),
    ("URL=localhost:8443", "queue", 2, "begins with https://"),
    ("CA_FILE=", "queue", 3, "certificate"),
    ("CA_FILE=missing", "queue", 2, "There is no file missing"),
    ("CA_FILE=profiles.toml", "queue", 2, "PEM"),
    ("PROFILE=other", "queue", 2, "has no profile [other]. It has: school"),
    ("PROFILE=number", "queue", 2, "ROLLBOOK_URL"),
    ("PROFILES_FILE=.", "queue --profile school", 2, "Is a directory"),
    ("PROFILES_FILE=/dev/zero", "queue --profile school", 2, "File too large"),
    ("PROFILES_FILE=latin", "queue --profile school", 2, "is not TOML"),
]


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_wrong_settings_are_named_with_what_to_do(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (shell.folder / "profiles.toml").write_text('[school]\nurl = "https://localhost"\n[number]\nurl = 3\n')
    (shell.folder / "latin").write_bytes(b"[caf\xe9]\n")
    for file in ("profiles.toml", "latin"):
        (shell.folder / file).chmod(0o600)
    for setting, command, code, sentence in ENVIRONMENT:
        name, _, value = setting.partition("=")
        with monkeypatch.context() as patch:
            patch.setenv(f"ROLLBOOK_{name}", value)
            done = shell.run(*command.split())
        assert done.code == code, setting
        assert sentence.lower() in done.err.lower(), setting
    for bad in (b"ROLLBOOK_PORT=\xff\n", b"ROLLBOOK_PORT=\x00\n", b"=\n'\n"):
        (shell.folder / ".env").write_bytes(bad)
        assert shell.run("account", "list").code in (0, 2)


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("report --status enroled", "Is it 'Enrolled'?"),
        ("report --status Sleeping", "Known are: Enrolled, Unconfirmed"),
        ("report --column titel", "Is it 'TITLE'?"),
        ("report --enrolled-from 2026-02-02 --enrolled-to 01-Feb-2026", "is before --enrolled-from"),
        ("report --enrolled-from 0026-02-02", "is not a day"),
        ("report --course \udcff", "is not text in UTF-8"),
        ("report --course \x07", "holds a control character"),
        ("audit --since 31-Feb-26", "--since is a time like"),
        ("audit --since 2026-01-31T25:00", "--since is a time like"),
        ("audit --limit x", "Invalid value for '--limit': It should be a valid integer."),
        ("user role ann@acme.example admin", "Invalid value for 'ROLE': 'admin' is not one of 'owner',"),
        ("audit --user ann@acme.exampel", "Is it 'ann@acme.example'?"),
        ("audit --user nobody", "no change by 'nobody'"),
        ("user list --account Acne", "Is it 'Acme'?"),
        ("user role ann@acme.exampel learner", "Is it 'ann@acme.example'?"),
        ("remove 1 --reason \x07", "character 1 of this one is the character U+0007"),
        (f"restore 1 --reason {'x' * 501}", "at most 500 characters, and this one has 501"),
        ("unenroll 1 --reason a\nb", "character 2 of this one is a line break"),
        ("unenroll 1 --output .", "it is a folder"),
        ("unenroll 1 --output missing/r.csv", "is no folder"),
        (f"backup {'x' * 300}", "File name too long"),
        ("import oneroster /dev/full", "is not a file"),
        ("import oneroster roster.zip --ids roster.zip", "is the archive itself"),
        ("reprot", "Did you mean 'report'?"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(shell: Shell, command: str, sentence: str) -> None:
    done = shell.run(*command.split(" "))
    assert (done.code, done.out) == (2, "")
    assert sentence in " ".join(done.err.split())


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("unenroll 1 --reason a --reason b", "--reason"),
        ("key list --account Acme --account Other", "--account"),
        ("user add --role=owner a@acme.example --role=learner", "--role"),
        ("account set Acme --protect-completed --no-protect-completed", "--protect-completed"),
        ("import oneroster roster.zip --account Acme --account Acme", "--account"),
    ],
)
def test_an_option_of_one_value_that_is_given_twice_is_refused_by_every_command(
    shell: Shell, command: str, option: str
) -> None:
    done = shell.run(*command.split())
    assert (done.code, done.out) == (2, "")
    assert f"{option} is given 2 times, and takes one value." in done.err


READING = [
    "doctor",
    "account list",
    "user list",
    "key list",
    "key new",
    "audit",
    "backup copy.db",
    "serve",
    "worker",
    "migrate",
]


@pytest.mark.parametrize("database_url", ["sqlite:///missing/rollbook.db"], ids=["sqlite"])
@pytest.mark.parametrize("command", READING)
def test_without_a_database_a_command_says_how_to_make_one_and_leaves_nothing(
    rollbook: Run, tmp_path: Path, command: str
) -> None:
    done = rollbook(*command.split())
    assert done.code == (1 if command == "doctor" else 2)
    assert "rollbook init" in done.out + done.err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("database_url", ["sqlite:///broken.db"], ids=["sqlite"])
@pytest.mark.parametrize("command", [*READING, "init --account B --owner b@b.example"])
def test_every_command_reports_a_damaged_database(
    rollbook: Run, tmp_path: Path, migrated_file: Path, command: str
) -> None:
    content = bytearray(migrated_file.read_bytes())
    for damaged in (b"no database" * 1000, content[:9000], content[:4096] + b"\x77" * (len(content) - 4096)):
        (tmp_path / "broken.db").write_bytes(damaged)
        done = rollbook(*command.split())
        assert done.code == (1 if command == "doctor" else 2 if command.startswith("backup") else 3)
        assert "damaged" in done.out + done.err
        assert [path.name for path in tmp_path.glob("copy*")] == []


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_csv_output_has_no_formulas(shell: Shell) -> None:
    shell.run("user", "add", "=cmd@acme.example", "--account", "Acme", "--given-name", "+1", "--family-name", "@x")
    listed = shell.run("user", "list", "--account", "Acme", "--format", "csv")
    assert "'=cmd@acme.example" in listed.out
    assert "'+1,'@x" in listed.out
    audited = shell.run("audit", "--account", "Acme", "--format", "csv")
    assert ",'=cmd@acme.example," in audited.out


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_british_spelling_of_unenroll_works_and_is_hidden(shell: Shell) -> None:
    assert shell.run("unenrol", "1", "--max", "0", "--yes").code == 4
    assert "unenrol " not in shell.run("--help").out


@pytest.mark.parametrize("ending", ["| true", "> /dev/full"])
def test_output_that_cannot_be_written_ends_a_command_with_a_sentence_at_most(tmp_path: Path, ending: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m rollbook report --help {ending}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("command", "code"), [("unenroll --file - <&-", 2), ("report >&-", 0)])
def test_closed_stream_is_like_an_empty_one(shell: Shell, command: str, code: int) -> None:
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m rollbook {command}"], capture_output=True, check=False)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_programs_read_utf_8_whatever_the_locale(shell: Shell) -> None:
    shell.run("init", "--account", "Acme", "--owner", "ann@acme.example")
    command = [sys.executable, "-m", "rollbook", "course", "add", "Sécurité 消防", "--format", "json"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert json.loads(done.stdout.decode("utf-8"))["name"] == "Sécurité 消防"
