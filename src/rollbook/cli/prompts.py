"""Asks for confirmation on the terminal, also when standard input is a list of ids."""

from pathlib import Path

import typer
from rich.console import Console

from rollbook.errors import UserError

TERMINAL = Path("/dev/tty")


def confirm(question: str, file: Path | None = None) -> None:
    """Ask, and abort unless the answer is yes; `file` is the list of ids. Errors: UserError without a terminal."""
    if not Console(stderr=True).is_terminal:
        raise UserError("Nothing was done. Not a terminal: pass --yes to confirm.")
    if str(file) != "-":
        typer.confirm(question, abort=True, err=True)
        return
    try:
        with TERMINAL.open(encoding="utf-8") as terminal:
            typer.echo(f"{question} [y/N]: ", err=True, nl=False)
            answer = terminal.readline()
    except OSError:
        raise UserError("Standard input is the list, and there is no terminal: pass --yes to confirm.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort
