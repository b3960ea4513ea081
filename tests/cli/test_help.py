"""Help fits a terminal of 80 columns, and is plain text without a terminal."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from rollbook.cli import app


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


def test_client_commands_load_neither_server_nor_database() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "rollbook", "queue", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "rollbook.client.client" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "starlette", "uvicorn", "alembic", "rollbook.cli.serve"})
