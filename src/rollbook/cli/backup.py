"""`rollbook backup`: copies the SQLite database while the server runs."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from rollbook.cli.local_database import require_file
from rollbook.cli.options import check_target
from rollbook.cli.output import Format, FormatOption, print_answer
from rollbook.errors import UserError
from rollbook.settings import load_settings
from rollbook.store.operations.backup import back_up


def backup(
    file: Annotated[Path, typer.Argument(callback=check_target, help="The copy; only its owner can read it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Copy the SQLite database while the server runs, and check the copy."""
    settings = load_settings()
    source = settings.database_file
    if source is None:
        raise UserError("PostgreSQL makes its own backups: pg_dump --format=custom --file=FILE ADDRESS_OF_THE_DATABASE")
    require_file(settings)
    if file.exists() and file.samefile(source):
        raise UserError(f"{file} is the database itself. Name another file.")
    if file.exists() and not force:
        raise UserError(f"{file} exists. Name another file, or replace it with --force.")
    console = Console(stderr=True)
    columns = TextColumn("Copying"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Copying")
        size = back_up(source, file, lambda copied, pages: bar.update(task, completed=copied, total=pages))
    sentence = f"{file}: {size:,} bytes, checked, in {time.monotonic() - started:.1f} s."
    print_answer(form, sentence, file=str(file), bytes=size)
