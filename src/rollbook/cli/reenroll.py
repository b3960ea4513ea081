"""`rollbook reenroll`: enrolls the learners of a batch again on a server that has no undo."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rollbook.cli.local_database import open_database
from rollbook.cli.options import check_target
from rollbook.cli.output import Format, print_rows
from rollbook.cli.prompts import confirm
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.errors import UserError
from rollbook.mirror.keep import require_mirror
from rollbook.mirror.reenroll import Plan, Reenrollment, make_plan, read_plan
from rollbook.spreadsheets import Writer
from rollbook.store.mirror.kept import Row
from rollbook.store.people.accounts import find_account

SUMMARY = ("status", "enrollments", "come_back", "without")
COLUMNS = ("id", "new_id", "learner", "course", "status", "outcome", "without")


def reenroll(
    batch: Annotated[int, typer.Option(min=1, help="The number of the batch in the local account.")],
    keep: Annotated[str, typer.Option(help="The account of the local database that has kept the enrollments.")],
    output: Annotated[
        Path | None,
        typer.Option(callback=check_target, help="Write old and new id of every enrollment to this CSV file."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Enroll the learners of a batch again on the server, with their history where it takes it.

    Shows first what comes back and what does not, and asks. Who is back already is not enrolled again, also after an
    interruption. Exit codes: 0 all are back, 1 some are not, 2 wrong usage, 3 server not reached or access denied, 130
    interrupted.
    """
    with open_client(profile) as client, open_database() as database:
        with database.read() as connection:
            account = find_account(connection, keep)
            require_mirror(connection, account, client)
        plan = make_plan(database, client, account.id, batch)
        if plan is None:
            raise UserError(f"The account {keep!r} has no batch {batch}. `rollbook unenroll --keep` tells its number.")
        _show(plan)
        todo = plan.todo()
        if todo and not yes:
            confirm(f"Enroll {len(todo)} again?")
        try:
            _carry_out(Reenrollment(database, client, account.id, batch, plan), len(todo))
        except KeyboardInterrupt:
            typer.echo("Interrupted. Run the same command again to continue.", err=True)
            raise typer.Exit(130) from None
        finally:
            done = read_plan(database, account.id, batch, plan)
            if output is not None:
                _write(done, output)
    for row in done.missing():
        typer.echo(f"{row.id}: {_name(row)}, {row.course_name}: {done.reason(row)}", err=True)
    missing = len(done.missing())
    typer.echo(f"{len(done.rows) - missing} are enrolled again, {missing} are not.")
    if missing:
        raise typer.Exit(1)


def _show(plan: Plan) -> None:
    back = len(plan.rows) - len(plan.missing())
    typer.echo(f"{len(plan.rows)} were unenrolled, {back} of them are enrolled again already.", err=True)
    if rows := plan.summary():
        print_rows(rows, SUMMARY, Format.TABLE, wrap=True)
        typer.echo("The new enrollments have new ids. What is without stays readable in the local account.", err=True)


def _carry_out(work: Reenrollment, total: int) -> None:
    console = Console(stderr=True)
    columns = TextColumn("Enrolling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Enrolling", total=total)
        work.go(lambda done: bar.advance(task, done))


def _write(plan: Plan, output: Path) -> None:
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = Writer(file)
        writer.write(COLUMNS)
        for row in plan.rows:
            told = (row.outcome or plan.reason(row), ", ".join(plan.lost(row)))
            writer.write((row.id, row.new_id, _name(row), row.course_name, row.status, *told))


def _name(row: Row) -> str:
    return str(row.email or row.employee_id or f"user {row.user_id}")
