"""`rollbook unenroll`: many at once, seen before it happens, stopped by a brake, and gone on with after a break."""

import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rollbook.cli.choosing import Preview, find_ids, preview_ids, read_ids
from rollbook.cli.output import Format, print_rows
from rollbook.cli.queue import say_silent
from rollbook.cli.remote import ProfileOption, open_client
from rollbook.cli.resuming import Run, open_run
from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import UserError

BRAKE = 4
POLL_SECONDS = 1.0


def unenroll(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of enrolments.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="A CSV or a plain list of ids; - is standard input.")] = None,
    column: Annotated[str | None, typer.Option(help="The column of the file that holds the ids.")] = None,
    course: Annotated[list[str] | None, typer.Option(help="All of this course.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="All of this group.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="With this status, as 'In Progress'.")] = None,
    email: Annotated[list[str] | None, typer.Option(help="Of this learner.")] = None,
    enrolled_before: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Before this day.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the batch.")] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=0, help="Stop when more would leave.")] = None,
    max_percent: Annotated[float, typer.Option(min=0, max=100, help="Stop when more of a course would.")] = 50,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the outcome of every id here, as CSV.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the queue has processed them.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Unenrol by ids, or by choice: what the options choose together.

    Shows first what would happen, and asks. Interrupted, the same command with the same --output goes on where it
    stopped. Exit codes: 0 all accepted, 1 some refused, 2 wrong usage, 3 could not reach or not allowed, 4 stopped by
    --max or --max-percent, 130 interrupted.
    """
    before = None if enrolled_before is None else enrolled_before.date()
    chosen = _filters(course, group, status, email, before)
    given = bool(ids) or file is not None
    if dry_run and output is not None:
        raise UserError("--dry-run changes nothing, so there is no --output to go on from. Leave one of them out.")
    if given == (chosen is not None):
        raise UserError("Say which enrolments: by ids or --file, or else by --course, --group, --status and the like.")
    with open_client(profile) as client, open_run(output) as run:
        if not run.resumed:
            run.begin(find_ids(client, chosen) if chosen else read_ids(ids or [], file, column))
            preview = preview_ids(client, run.ids())
            _show(preview, run.total)
            _brake(preview, run.total, maximum, max_percent)
        _ask(run, yes=yes or dry_run)
        refused = _carry_out(client, run, reason, dry_run=dry_run, resumable=output is not None)
        if wait and not dry_run:
            _wait(client, run.last_batch)
    if refused:
        raise typer.Exit(1)


def _filters(
    course: list[str] | None,
    group: list[str] | None,
    status: list[str] | None,
    email: list[str] | None,
    before: date | None,
) -> ReportFilters | None:
    if not any((course, group, status, email, before)):
        return None
    last_day = None if before is None else date.fromordinal(before.toordinal() - 1)
    return ReportFilters(
        courses=course or (), groups=group or (), statuses=status or (), emails=email or (), enrolled_to=last_day
    )


def _show(preview: Preview, total: int) -> None:
    rows = [
        {
            "course": course,
            "unenrol": count,
            "of": preview.enrolled[course],
            "percent": f"{preview.percent(course):.0f}",
            "started": preview.started[course],
            "completed": preview.completed[course],
        }
        for course, count in sorted(preview.chosen.items())
    ]
    found = sum(preview.chosen.values())
    typer.echo(f"{total} to unenrol, {found} of them found in the report.")
    if rows:
        print_rows(rows, list(rows[0]), Format.TABLE)


def _brake(preview: Preview, total: int, maximum: int | None, max_percent: float) -> None:
    reasons = [f"{total} is more than --max {maximum}"] if maximum is not None and total > maximum else []
    reasons += [
        f"{preview.percent(course):.0f} % of '{course}' is more than --max-percent {max_percent:g}"
        for course in sorted(preview.chosen)
        if preview.percent(course) > max_percent
    ]
    if reasons:
        typer.echo("Stopped before the first call: " + "; ".join(reasons) + ".", err=True)
        raise typer.Exit(BRAKE)


def _ask(run: Run, *, yes: bool) -> None:
    left = run.total - run.done
    if run.resumed:
        typer.echo(f"Going on: {run.done} of {run.total} are done, {left} are left.", err=True)
    if left == 0 or yes:
        return
    if not Console(stderr=True).is_terminal:
        raise UserError("There is nobody to ask. Add --yes to go on without being asked.")
    typer.confirm(f"Unenrol {left}?", abort=True, err=True)


class _RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s")


def _carry_out(client: Client, run: Run, reason: str | None, *, dry_run: bool, resumable: bool) -> int:
    console = Console(stderr=True)
    columns = (TextColumn("Unenrolling"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Unenrolling", total=run.total, completed=run.done)
            outcomes = client.unenroll(run.remaining(), reason=reason, dry_run=dry_run, keys=run.call_keys())
            for outcome in outcomes:
                run.keep(outcome)
                bar.update(task, completed=run.done)
    except KeyboardInterrupt:
        typer.echo(f"Interrupted after {run.done} of {run.total}.", err=True)
        if resumable:
            typer.echo("Run the same command again to go on.", err=True)
        raise typer.Exit(130) from None
    would = " would be" if dry_run else ""
    typer.echo(f"{run.accepted}{would} accepted, {run.refused}{would} refused.")
    for code, (message, count) in sorted(run.refusals.items()):
        typer.echo(f"  {count} of {code}: {message}", err=True)
    return run.refused


def _wait(client: Client, last_batch: int | None) -> None:
    said = False
    while last_batch is not None:
        pending = next(client.unenrollments(statuses=["Pending"], page_size=1), None)
        if pending is None or int(pending["BatchID"]) > last_batch:
            typer.echo("All of them are processed.")
            return
        state = client.queue()
        if state.paused:
            raise UserError("The queue is paused, so waiting would not end. Run: rollbook resume")
        if state.worker_silent and not said:
            typer.echo(say_silent(state), err=True)
        said = state.worker_silent
        time.sleep(POLL_SECONDS)
