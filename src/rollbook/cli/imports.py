"""`rollbook import`: imports rosters and progress of other systems."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from rollbook.actions import import_roster
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import open_database, operator
from rollbook.cli.options import check_target
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.errors import UserError
from rollbook.importers.apply_progress import import_progress
from rollbook.importers.oneroster import Archive, open_archive
from rollbook.importers.progress import ProgressFile
from rollbook.methods.unenroll_learning_modules import UNKNOWN_ID
from rollbook.model import Account, RejectReason, Remark
from rollbook.spreadsheets import Writer
from rollbook.store.database.database import Database
from rollbook.store.database.deadlocks import repeat
from rollbook.store.people.accounts import find_account
from rollbook.store.people.emails import fold_all_emails
from rollbook.store.roster.apply import COUNTED, Options, Outcome, list_enrollment_ids
from rollbook.store.roster.grades import FinalGrade
from rollbook.store.roster.people import MatchBy
from rollbook.store.roster.staging import stage_rows

app = typer.Typer(help="Import rosters and progress.", no_args_is_help=True)


@app.callback()
def choose() -> None:
    """Import rosters and progress."""


@app.command()
def oneroster(
    file: Annotated[Path, typer.Argument(help="A OneRoster CSV archive (zip), version 1.1 or 1.2.")],
    account: AccountOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(callback=check_target, help="Write sourcedId and id of the archive's enrollments here."),
    ] = None,
    match: Annotated[
        MatchBy | None,
        typer.Option(help="Match users whose sourcedId has changed by the same e-mail or identifier."),
    ] = None,
    final_grade: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Import the grades of the line items with this title or category."),
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Complete enrollments whose final grade is full and has a date.")
    ] = False,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Import all rows but the bad ones.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what the import would do; change nothing.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Import a OneRoster archive; with bad rows nothing is imported, and they are listed."""
    if ids and dry_run:
        raise UserError("--ids and --dry-run exclude each other: a dry run adds no enrollments.")
    if complete and final_grade is None:
        raise UserError("--complete needs --final-grade: only a final grade completes an enrollment.")
    final = None if final_grade is None else FinalGrade(final_grade, complete)
    with open_archive(file, grades=final is not None) as archive, open_database() as database:
        with database.read() as connection:
            target = find_account(connection, account)
        fold_all_emails(database)
        options = Options(archive.complete, match, skip_bad_rows, dry_run, final)
        with _open_output(ids, file) as output:
            outcome = repeat(lambda: _import(archive, database, target, options, output if ids else None))
        left_alone = {name: archive.count_rows(name) for name in archive.left_alone}
    _print_outcome(outcome, form, dry_run)
    _print_left_alone(left_alone)
    raise typer.Exit(1 if outcome.problems or outcome.more_problems else 0)


def _import(archive: Archive, database: Database, account: Account, options: Options, output: TextIO | None) -> Outcome:
    with database.session() as connection, _progress_bar() as bar:
        task = bar.add_task("Reading", total=archive.size)
        stage_rows(connection, archive.read_rows(lambda stream: bar.wrap_file(stream, task_id=task)))
        bar.update(task, description="Importing")
        reason, codes = f"OneRoster import {archive.name}", {RejectReason.UNKNOWN: UNKNOWN_ID}
        outcome = import_roster(connection, operator(), account, reason, options, codes=codes)
        if output is not None and outcome.counts:
            with suppress(OSError):  # a device has no length
                output.truncate(0)
            writer = Writer(output)
            writer.write(("sourcedId", "AccountUserLearningModuleRelID"))
            for row in list_enrollment_ids(connection, account):
                writer.write(row)
    return outcome


@app.command()
def progress(
    file: Annotated[Path, typer.Argument(help="A CSV file in UTF-8, with the columns of the report.")],
    account: AccountOption = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Import all rows but the bad ones.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what the import would do; change nothing.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Import progress, grades and dates; with bad rows nothing is imported, and they are listed."""
    with _open_file(file) as stream, open_database() as database, _progress_bar() as bar:
        task = bar.add_task("Importing", total=file.stat().st_size)
        rows = ProgressFile(file.name, bar.wrap_file(stream, task_id=task))
        with database.read() as connection:
            target = find_account(connection, account)
        fold_all_emails(database)
        outcome = import_progress(database, target, rows, skip_bad_rows=skip_bad_rows, dry_run=dry_run, by=operator())
    if rows.ignored:
        typer.echo(f"Columns that are ignored: {', '.join(rows.ignored)}.", err=True)
    imported = skip_bad_rows or not outcome.refused
    _print_remarks(outcome.problems, outcome.refused - len(outcome.problems), "problems")
    if imported:
        counts = ("rows", "changed", "unchanged", "refused")
        print_rows([{name: getattr(outcome, name) for name in counts}], counts, form)
    _print_end(dry_run=dry_run, imported=imported)
    raise typer.Exit(1 if outcome.refused else 0)


def _open_file(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None


def _progress_bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _open_output(ids: Path | None, archive: Path) -> TextIO:
    if ids is not None and ids.exists() and ids.samefile(archive):
        raise UserError(f"--ids {ids} is the archive itself. Name another file.")
    try:
        return (ids or Path(os.devnull)).open("a", encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"{ids} cannot be written: {error.strerror}.") from None


def _print_outcome(outcome: Outcome, form: Format, dry_run: bool) -> None:
    for remarks, more, noun in (
        (outcome.problems, outcome.more_problems, "problems"),
        (outcome.notes if outcome.counts else [], outcome.more_notes if outcome.counts else 0, "notes"),
    ):
        _print_remarks(remarks, more, noun)
    if outcome.counts:
        print_rows(outcome.counts, COUNTED, form)
    _print_end(dry_run=dry_run, imported=bool(outcome.counts))


def _print_left_alone(counts: Mapping[str, int | None]) -> None:
    told = [f"{name}.csv" + ("" if rows is None else f" ({rows:,} rows)") for name, rows in counts.items()]
    if told:
        typer.echo(f"Not imported: {' and '.join(told)}. Name the final line item with --final-grade.", err=True)


def _print_remarks(remarks: Sequence[Remark], more: int, noun: str) -> None:
    for remark in remarks:
        typer.echo(_describe(remark), err=True)
    if more:
        typer.echo(f"and {more:,} more {noun}", err=True)


def _print_end(*, dry_run: bool, imported: bool) -> None:
    if not imported:
        typer.echo("Nothing was imported. Correct the rows, or leave them out with --skip-bad-rows.", err=True)
    elif dry_run:
        typer.echo("This was a dry run: nothing was imported.", err=True)


def _describe(remark: Remark) -> str:
    place = f"{remark.file}:" + (f"{remark.line}:" if remark.line else "")
    text = " ".join([place, *([f"{remark.column}:"] if remark.column else []), remark.reason])
    return text if text.isprintable() else ascii(text)[1:-1]
