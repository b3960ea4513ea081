"""`rollbook unenroll`: unenrolls many at once, with a preview, a brake, and continuation of an interrupted run."""

import math
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

from rollbook.brake import MAX_PERCENT, find_large_shares
from rollbook.cli.choice import Choice, read_choice
from rollbook.cli.options import StatusOption, check_reason, check_target, read_day
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.cli.preview import Preview, preview_ids
from rollbook.cli.prompts import confirm
from rollbook.cli.queue import say_silent
from rollbook.cli.run_plan import Run, open_run
from rollbook.cli.selection import ByOption, ColumnOption, FileOption, IdsArgument, SheetOption, SkipOption
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.client import Client
from rollbook.client.requests import ReportFilters
from rollbook.errors import CallRefusedError, ClientError, UserError
from rollbook.methods.refusals import find_words, say_refused
from rollbook.model import utc_now

STOPPED_BY_BRAKE = 4
POLL_SECONDS = 1.0

OutputOption = Annotated[
    Path | None, typer.Option(callback=check_target, help="Write the outcome of every id to this CSV file.")
]
CourseOption = Annotated[list[str] | None, typer.Option(help="Enrollments in this course; repeatable.")]
LearnerOption = Annotated[list[str] | None, typer.Option(help="Enrollments of this learner; repeatable.")]
BeforeOption = Annotated[date | None, typer.Option(parser=read_day, metavar="DAY", help="Enrolled before this day.")]
PlanOption = Annotated[
    Path | None, typer.Option(callback=check_target, help="Write who would be unenrolled to this CSV file.")
]
KeepOption = Annotated[
    str | None, typer.Option(help="Copy them first into this local account, and record the batch there.")
]

if TYPE_CHECKING:
    from rollbook.mirror.keep import Keeper


def unenroll(
    ids: IdsArgument = None,
    file: FileOption = None,
    column: ColumnOption = None,
    sheet: SheetOption = None,
    skip_bad_rows: SkipOption = False,
    by: ByOption = None,
    course: CourseOption = None,
    group: Annotated[list[str] | None, typer.Option(help="Enrollments of this group; repeatable.")] = None,
    status: StatusOption = None,
    email: LearnerOption = None,
    employee_id: LearnerOption = None,
    enrolled_before: BeforeOption = None,
    reason: Annotated[str | None, typer.Option(callback=check_reason, help="Why; kept with the batch.")] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=0, help="Stop if more would be unenrolled.")] = None,
    max_percent: Annotated[float, typer.Option(min=0, max=100, help="Stop if more of a course would.")] = MAX_PERCENT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan: PlanOption = None,
    output: OutputOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the queue has processed them.")] = False,
    keep: KeepOption = None,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """Unenroll by ids, by a list of people with their course, by filters, or what of a list matches every filter.

    Shows first what would happen, and asks. After an interruption the same command with the same --output continues.
    Exit codes: 0 all accepted, 1 some refused, 2 wrong usage, 3 server not reached or access denied, 4 stopped by --max
    or --max-percent, 130 interrupted.
    """
    _check_options(max_percent, keep, dry_run=dry_run, output=output)
    before = enrolled_before and enrolled_before - timedelta(days=1)
    named = (course or (), group or (), status or (), email or (), employee_id or ())
    filters = ReportFilters(None, *named, enrolled_to=before)
    chosen = read_choice(ids or [], file, column, sheet, by, filters, skip_bad_rows=skip_bad_rows)
    options = chosen.describe() | {"--max": maximum, "--max-percent": max_percent, "--keep": keep, "--reason": reason}
    with open_client(profile) as client, _open_keeper(keep, client) as keeper, open_run(output, dry=dry_run) as run:
        courses = _begin(client, run, chosen, {**options, "server": client.url})
        preview = preview_ids(client, run.remaining(), courses, plan)
        _show(preview, run, client if dry_run or not yes else None, form)
        _brake(preview, run.total, maximum, max_percent)
        if run.done < run.total and not (yes or dry_run):
            confirm(f"Unenroll {run.total - run.done}?", file)
        refused = _carry_out(client, run, preview, keeper, form, output, dry_run=dry_run)
        if wait and not dry_run:
            _wait(client, run.last_batch, form)
    if refused:
        raise typer.Exit(1)


def _check_options(max_percent: float, keep: str | None, *, dry_run: bool, output: Path | None) -> None:
    if math.isnan(max_percent):
        raise UserError("--max-percent is a number from 0 to 100.")
    if keep is not None and (dry_run or output is None):
        raise UserError("--keep needs --output FILE, from which an interrupted run continues, and no --dry-run.")


@contextmanager
def _open_keeper(account: str | None, client: Client) -> Iterator["Keeper | None"]:
    if account is None:
        yield None
        return
    # Imported here because the database takes 0.3 s, and most runs keep nothing in one.
    from rollbook.cli.local_database import open_database, operator  # noqa: PLC0415
    from rollbook.mirror.keep import Keeper  # noqa: PLC0415
    from rollbook.store.people.accounts import find_account  # noqa: PLC0415

    with open_database() as database:
        with database.read() as connection:
            found = find_account(connection, account)
        yield Keeper(database, found, client, operator())


def _begin(client: Client, run: Run, chosen: Choice, options: dict[str, object]) -> set[str]:
    """Write the plan of a new run, or check that an interrupted one is of the same command.

    Returns the names of the courses, if they are known.
    """
    if run.resumed:
        run.require_same({name: value for name, value in options.items() if value is not None or name != "--reason"})
        return set()
    ids, courses = chosen.find(client)
    run.begin(ids, options)
    return courses


def _show(preview: Preview, run: Run, client: Client | None, form: Format) -> None:
    """Print the preview; with the client also the courses that groups of the learners auto-enroll."""
    if run.resumed:
        typer.echo(
            f"Continued: {run.done} of {run.total} are done. Reason: {run.options['--reason'] or 'none'}.", err=True
        )
    rows: list[dict[str, object]] = []
    for share in preview.shares():
        row = {"course": share.course, "unenroll": share.chosen, "of": share.enrolled}
        rows.append({**row, "percent": f"{share.percent:.0f}"})
        if preview.started.total():
            rows[-1] |= {"started": share.started, "completed": share.completed}
    found = preview.selected.total()
    typer.echo(
        f"{run.total - run.done} to unenroll, {found} of them found in the report.", err=form is not Format.TABLE
    )
    if rows and form is Format.TABLE:
        print_rows(rows, list(rows[0]), form, wrap=True)
        more = f"\n  and {found - len(preview.learners):,} more" if found > len(preview.learners) else ""
        typer.echo("\n  ".join(["Learners:", *preview.learners]) + more)
    auto_enrolled: set[str] = set()
    with suppress(CallRefusedError):  # another server, which tells nothing of it
        auto_enrolled = client.find_auto_enrolled(run.remaining()) if client else auto_enrolled
    if courses := sorted(preview.names.get(course_id, course_id) for course_id in auto_enrolled):
        named = ", ".join(f"'{course}'" for course in courses)
        typer.echo(
            f"Auto-enrolled by a group of the learners: {named}. After this they are not auto-enrolled there again.",
            err=True,
        )


def _brake(preview: Preview, total: int, maximum: int | None, max_percent: float) -> None:
    reasons = [f"{total} is more than --max {maximum}"] if maximum is not None and total > maximum else []
    reasons += [
        f"{share.percent:.0f} % of '{share.course}' is more than --max-percent {max_percent:g}"
        for share in find_large_shares(preview.shares(), max_percent)
    ]
    if reasons:
        typer.echo("Stopped before the first call: " + "; ".join(reasons) + ".", err=True)
        raise typer.Exit(STOPPED_BY_BRAKE)


class _RateColumn(ProgressColumn):
    """The number per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s")


def _carry_out(
    client: Client,
    run: Run,
    preview: Preview,
    keeper: "Keeper | None",
    form: Format,
    output: Path | None,
    *,
    dry_run: bool,
) -> int:
    try:
        if keeper:
            count = keeper.copy(run.remaining(), sorted({*preview.names.values()}))
            typer.echo(f"{count} are copied into {keeper.account.name}.", err=True)
        _unenroll_remaining(client, run, keeper, dry_run=dry_run)
        _print_result(client, run, form, dry_run=dry_run)
        if keeper and keeper.batch_id is not None:
            typer.echo(
                f"Recorded as batch {keeper.batch_id} of {keeper.account.name}. Where the server has no undo: "
                f"rollbook reenroll --batch {keeper.batch_id} --keep {shlex.quote(keeper.account.name)}",
                err=True,
            )
    except KeyboardInterrupt:
        typer.echo(f"Interrupted after {run.done} of {run.total}.", err=True)
        if output and not dry_run:
            typer.echo("Run the same command again to continue.", err=True)
        raise typer.Exit(130) from None
    return run.refused


def _unenroll_remaining(client: Client, run: Run, keeper: "Keeper | None", *, dry_run: bool) -> None:
    console = Console(stderr=True)
    columns = (TextColumn("Unenrolling"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Unenrolling", total=run.total, completed=run.done)
        reason = run.options["--reason"]
        reason = None if reason is None else str(reason)
        run.sent = True
        outcomes = client.unenroll(
            run.remaining(),
            reason=reason,
            dry_run=dry_run,
            keys=run.call_keys(),
            batch_id=run.batch_to_continue(),
        )
        if keeper:
            outcomes = keeper.record(outcomes, run.name, reason, resumed=run.resumed)
        for outcome in outcomes:
            run.keep(outcome)
            bar.update(task, completed=run.done)


def _print_result(client: Client, run: Run, form: Format, *, dry_run: bool) -> None:
    would = " would be" if dry_run else ""
    sentence = f"{run.accepted}{would} accepted, {run.refused}{would} refused."
    codes = {code: count for code, (_, count, _) in sorted(run.refusals.items())}
    batch = None if dry_run else run.last_batch
    print_answer(form, sentence, batch=batch, accepted=run.accepted, refused=run.refused, **codes)
    if run.last_batch is not None and not dry_run:
        typer.echo(_describe_undo(client, run.last_batch), err=True)
    for code, (message, count, ids) in sorted(run.refusals.items()):
        typer.echo(say_refused(find_words(code, message), ids, count), err=True)


def _describe_undo(client: Client, batch_id: int) -> str:
    term = ""
    with suppress(ClientError):  # the run itself has succeeded
        if batch := next(client.batches(batch_id), None):
            until = batch.undo_until
            term = " without limit" if until is None else f" until {until:%Y-%m-%d %H:%M} UTC"
            if until is not None and until <= utc_now():
                term = " only until it is processed"
    return f"Batch {batch_id} can be undone{term}: rollbook restore --batch {batch_id}"


def _wait(client: Client, batch_id: int | None, form: Format) -> None:
    said = False
    while batch_id is not None:
        if next(client.unenrollments(batch_id=batch_id, statuses=["Pending"], page_size=1), None) is None:
            typer.echo("All items are processed.", err=form is not Format.TABLE)
            return
        state = client.queue()
        if state.paused:
            raise UserError("The queue is paused, so --wait would not end. Run: rollbook resume")
        if state.worker_silent and not said:
            typer.echo(say_silent(state), err=True)
        said = state.worker_silent
        time.sleep(POLL_SECONDS)
