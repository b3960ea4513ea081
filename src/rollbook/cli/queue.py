"""`rollbook queue`, `batches`, `batch`, `pause`, `resume`, `remove` and `restore`: the queue of a server."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from rollbook.cli.options import check_reason
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.prompts import confirm
from rollbook.cli.selection import ColumnOption, FileOption, IdsArgument, SkipOption, read_ids
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.client import Client
from rollbook.client.results import ACCEPTED, ACCEPTED_BEFORE, Batch, Outcome, QueueState
from rollbook.errors import UserError
from rollbook.id_lists import Only
from rollbook.model import utc_now

WATCH_SECONDS = 2.0
STATUSES = ("Pending", "Complete", "Removed", "Failed", "Restored")
ITEM_COLUMNS = ("Block", "AccountUserLearningModuleRelID", "Status", "Learner", "CourseName", "Progress", "Notes")

BatchesOption = Annotated[list[int] | None, typer.Option("--batch", min=1, help="All items of this batch; repeatable.")]
ReasonOption = Annotated[
    str | None, typer.Option(callback=check_reason, help="The reason, which becomes the items' note.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def queue(
    watch: Annotated[bool, typer.Option("--watch", help="Show it every 2 seconds, until Ctrl-C.")] = False,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """Show whether the queue is running, and the number of items by status."""
    with open_client(profile) as client:
        _print_state(client.queue(), form)
        try:
            while watch:
                time.sleep(WATCH_SECONDS)
                _print_state(client.queue(), form)
        except KeyboardInterrupt:
            return


def pause(profile: ProfileOption = None) -> None:
    """Stop the processing of the queue until it is resumed; calls are still accepted."""
    with open_client(profile) as client:
        _print_state(client.pause(), Format.TABLE)


def resume(profile: ProfileOption = None) -> None:
    """Resume the processing of the queue."""
    with open_client(profile) as client:
        _print_state(client.resume(), Format.TABLE)


def batches(form: FormatOption = Format.TABLE, profile: ProfileOption = None) -> None:
    """List every batch, the latest first: who requested it, when and why, and its outcome."""
    with open_client(profile) as client:
        rows = [
            {
                "batch": batch.id,
                "requested": batch.requested_at,
                "by": batch.requested_by,
                "reason": batch.reason,
                **{name.lower(): batch.counts[name] for name in (*STATUSES, "Refused")},
                "undo_until": _undo_until(batch),
            }
            for batch in client.batches()
        ]
    columns = ("batch", "requested", "by", "reason", *(name.lower() for name in STATUSES), "refused", "undo_until")
    print_rows(rows, columns, form)


def _undo_until(batch: Batch) -> str:
    """Until when a batch can be undone, in words; empty without complete items."""
    if not batch.counts["Complete"]:
        return ""
    if batch.undo_until is None:
        return "without limit"
    over = batch.undo_until <= utc_now()
    return f"{'over since ' if over else ''}{batch.undo_until:%Y-%m-%d %H:%M}"


def batch(
    number: Annotated[int, typer.Argument(metavar="ID", help="The number of the batch.")],
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """List the items of a batch, queued and refused ones."""
    with open_client(profile) as client:
        found = next(client.batches(number), None)
        if found is None:
            raise UserError(f"There is no batch {number}. See: rollbook batches")
        rows: list[dict[str, object]] = [{**item} for item in client.unenrollments(batch_id=number)]
    blank = dict.fromkeys(ITEM_COLUMNS, "")
    for block, identifier, code in found.refusals:
        refused = {"Block": str(block), "AccountUserLearningModuleRelID": identifier, "Status": f"Refused {code}"}
        rows.append({**blank, **refused})
    rows.sort(key=lambda row: int(str(row["Block"])))
    begun = any(row["Progress"] not in ("", "Not Started") for row in rows)
    columns = [name for name in ITEM_COLUMNS if begun or form is not Format.TABLE or name != "Progress"]
    print_rows(rows, columns, form)


def remove(
    ids: IdsArgument = None,
    file: FileOption = None,
    column: ColumnOption = None,
    skip_bad_rows: SkipOption = False,
    batch: BatchesOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    profile: ProfileOption = None,
) -> None:
    """Take pending items out of the queue; their enrollments do not change."""
    listed = _read_selection(ids, file, column, skip_bad_rows, batch)
    with open_client(profile) as client:
        change = _plan_change(client, client.remove, listed, batch, reason)
        _change(change, file, dry_run=dry_run, yes=yes)


def restore(
    ids: IdsArgument = None,
    file: FileOption = None,
    column: ColumnOption = None,
    skip_bad_rows: SkipOption = False,
    batch: BatchesOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    profile: ProfileOption = None,
) -> None:
    """Undo unenrollments: restore enrollments with their progress; pending items are removed from the queue instead.

    From the --output file of `rollbook unenroll`, given as --file, it undoes what was accepted in that run.
    """
    listed = _read_selection(ids, file, column, skip_bad_rows, batch)
    with open_client(profile) as client:
        change = _plan_change(client, client.restore, listed, batch, reason)
        _change(change, file, dry_run=dry_run, yes=yes)


def _read_selection(
    ids: list[str] | None, file: Path | None, column: str | None, skip_bad_rows: bool, batches: list[int] | None
) -> list[int]:
    if bool(ids or file) == bool(batches):
        raise UserError("Name either ids or --file, or --batch ID.")
    # An id that this run refused may have been accepted in another run, which stays.
    only = Only("outcome", (ACCEPTED, ACCEPTED_BEFORE))
    listed = read_ids(ids or [], file, column, skip_bad_rows=skip_bad_rows, only=only)
    if not (listed or batches):
        raise UserError(f"{file} names no enrollment that was unenrolled, so nothing was done.")
    return listed


def _plan_change(
    client: Client,
    undo: Callable[..., Iterable[Outcome]],
    listed: list[int],
    batches: list[int] | None,
    reason: str | None,
) -> Callable[[bool], Iterator[Outcome]]:
    """Return the function that does the change, or a dry run of it; errors: UserError for an unknown batch."""
    numbers = list(dict.fromkeys(batches or ()))
    unknown = [str(number) for number in numbers if next(client.batches(number), None) is None]
    if unknown:
        raise UserError(f"There is no batch {', '.join(unknown)}. See: rollbook batches")

    def change(dry_run: bool) -> Iterator[Outcome]:
        if listed:
            yield from undo(listed, reason=reason, dry_run=dry_run)
        for number in numbers:
            yield from undo(batch_id=number, reason=reason, dry_run=dry_run)

    return change


def _change(change: Callable[[bool], Iterable[Outcome]], file: Path | None, *, dry_run: bool, yes: bool) -> None:
    """Show what would happen, ask, and do it. Exit codes: 0 all done, 1 some refused."""
    if dry_run or not yes:
        refused = _print_outcomes(change(True), "would be ")
        if not dry_run:
            confirm("Continue?", file)
    if not dry_run:
        refused = _print_outcomes(change(False), "")
    if refused:
        raise typer.Exit(1)


def _print_outcomes(outcomes: Iterable[Outcome], would_be: str) -> int:
    counts: dict[str, int] = {}
    refused = 0
    for outcome in outcomes:
        said = outcome.status.lower()
        if not outcome.accepted:
            refused += 1
            said = f"refused: {outcome.code}"
            typer.echo(f"{outcome.id}: {outcome.code} {outcome.message}", err=True)
        counts[said] = counts.get(said, 0) + 1
    for said, count in sorted(counts.items()):
        typer.echo(f"{count} {would_be}{said}")
    return refused


def say_silent(state: QueueState) -> str:
    """Warn that no worker seems to run."""
    seen = state.worker_seen_seconds
    since = "yet" if seen is None else f"for {seen} s"
    return f"No worker has been seen {since}: nothing is processed. Start one: rollbook worker"


def _print_state(state: QueueState, form: Format) -> None:
    row: dict[str, object] = {
        "queue": "paused" if state.paused else "running",
        "since": state.paused_at,
        **{name.lower(): state.counts[name] for name in STATUSES},
        "oldest_waits_seconds": state.oldest_pending_seconds,
        "worker_seen_seconds": state.worker_seen_seconds,
    }
    if state.worker_silent:
        typer.echo(say_silent(state), err=True)
    print_rows([row], list(row), form)
