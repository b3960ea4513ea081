"""`rollbook import`: rosters of other systems."""

import csv
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from rollbook.cli.database import open_database, operator
from rollbook.cli.keys import AccountOption
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.errors import UserError
from rollbook.importers.oneroster import open_archive
from rollbook.store.accounts import find_account
from rollbook.store.rosters import COUNTED, Problem, import_staged, list_enrollment_ids, stage_rows

app = typer.Typer(help="Bring rosters in.", no_args_is_help=True)


@app.callback()
def choose() -> None:
    """Bring rosters in."""


@app.command()
def oneroster(
    file: Annotated[Path, typer.Argument(help="A OneRoster CSV archive (zip), version 1.1 or 1.2.")],
    account: AccountOption = None,
    ids: Annotated[Path | None, typer.Option(help="Write sourcedId and id of the archive's enrolments here.")] = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Import the rows that are right.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Import a OneRoster archive; with a bad row nothing is imported, and every one is named."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with (
        open_archive(file) as archive,
        open_database() as database,
        tempfile.TemporaryFile("w+", encoding="utf-8") as problems,
    ):
        with database.read() as connection:
            owner = find_account(connection, account)
        try:
            output = (ids or Path(os.devnull)).open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise UserError(f"{ids} cannot be written: {error.strerror}.") from None

        # Kept until the database is free again: whoever reads them may be slow.
        def report(problem: Problem) -> None:
            problems.write(_describe(problem) + "\n")

        with output, database.session() as connection, bar:
            task = bar.add_task("Reading", total=archive.size)
            stage_rows(connection, archive.read_rows(lambda stream: bar.wrap_file(stream, task_id=task)))
            bar.update(task, description="Importing")
            reason, complete = f"OneRoster import {archive.name}", archive.complete
            counts = import_staged(
                connection, owner, complete, reason, by=operator(), skip_bad_rows=skip_bad_rows, report=report
            )
            if ids and counts is not None:
                output.truncate(0)
                writer = csv.writer(output, lineterminator="\n")
                writer.writerow(("sourcedId", "AccountUserLearningModuleRelID"))
                writer.writerows(list_enrollment_ids(connection, owner))
        bad = problems.tell() > 0
        problems.seek(0)
        shutil.copyfileobj(problems, sys.stderr)
    if counts is None:
        typer.echo("Nothing was imported. Correct the rows, or leave them out with --skip-bad-rows.", err=True)
    else:
        print_rows(counts, COUNTED, form)
    raise typer.Exit(1 if bad else 0)


def _describe(problem: Problem) -> str:
    place = f"{problem.file}.csv:{problem.line}: " + (f"{problem.column}: " if problem.column else "")
    text = place + problem.reason
    return text if text.isprintable() else ascii(text)[1:-1]
