"""Help fits a terminal of 80 columns, and is plain text without a terminal."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from rollbook.cli import PANELS, app


def _commands(command: object, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    children: dict[str, object] = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _commands(child, *names, name)


@pytest.mark.parametrize("names", [*_commands(typer.main.get_command(app))], ids=" ".join)
def test_help_fits_80_columns_and_says_what_the_command_does(names: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.output
    assert not re.search(r"<\w|\{|x>=|<=x|\w\.\.\.$", done.output, re.MULTILINE)
    purpose = next(line.strip() for line in lines[1:] if line.strip() and not line.startswith("Usage:"))
    assert purpose[0].isupper()
    assert purpose.endswith((".", ":", ",")) or len(purpose) > 60


def test_help_lists_every_command_under_a_heading() -> None:
    lines = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "NO_COLOR": "1"}).output.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Options:",
        "Unenroll and undo, by calls to a server:",
        "People and courses:",
        "Records:",
        "Server:",
    ]
    listed = {line.split()[0] for line in lines if line.startswith("  ") and line[2].isalpha()}
    assert set(getattr(typer.main.get_command(app), "commands", {})) <= listed


HEAVY = {
    *("sqlalchemy", "psycopg", "alembic", "starlette", "uvicorn", "jinja2", "python_multipart", "prometheus_client"),
    *("argon2", "cryptography", "httpx", "lxml"),
}
DATABASE = {"sqlalchemy", "psycopg"}
CALLS = {"httpx", "lxml"}
# What the module of a command loads of these: those that call a server, and those that open a database.
CALLING = dict.fromkeys(("queue", "report", "undo", "unenroll"), CALLS)
OPENING = {
    **dict.fromkeys(("initialize", "backup", "accounts", "groups", "courses", "sessions", "keys", "audit"), DATABASE),
    "users": DATABASE | {"argon2"},
    "doctor": DATABASE | {"cryptography"},
    "webhooks": DATABASE | {"httpx"},
    "imports": DATABASE | {"lxml"},
    "mirror": DATABASE | CALLS,
    "reenroll": DATABASE | CALLS,
    # Metrics count the calls of every method, one of which checks passwords.
    "worker": DATABASE | CALLS | {"prometheus_client", "argon2"},
    "serve": HEAVY - {"alembic"},
    "sandbox": HEAVY - {"alembic"},
}
LOAD_EACH = f"""
import importlib, os, sys
import rollbook.cli

def load(module):
    if os.fork() == 0:
        importlib.import_module("rollbook.cli." + module)
        print(module, *{HEAVY} & sys.modules.keys(), flush=True)
        os._exit(0)
    os.wait()

for module in {[*CALLING]}:
    load(module)
import rollbook.cli.local_database
for module in {[*OPENING]}:
    load(module)
"""


def test_command_loads_only_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD_EACH], capture_output=True, text=True, check=True)
    loaded = {name: {*packages} for name, *packages in map(str.split, done.stdout.splitlines())}
    assert loaded == CALLING | OPENING
    assert loaded.keys() == {module for panel in PANELS.values() for module in panel.values()}


def test_client_alone_loads_nothing_of_a_server() -> None:
    program = f"import sys\nfrom rollbook import Client, Enrollment\nprint(*{HEAVY} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} == CALLS
