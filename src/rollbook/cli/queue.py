"""`rollbook queue`, `batches`, `batch`, `pause` and `resume`: the queue of a server and its history."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live

from rollbook.cli.output import Format, FormatOption, make_table, print_rows
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.client import Client
from rollbook.client.results import Batch, QueueState
from rollbook.errors import UserError
from rollbook.methods.refusals import say_refusal
from rollbook.model import utc_now
from rollbook.wire.identifiers import IDENTIFIER

WATCH_SECONDS = 2.0
STATUSES = ("Pending", "Complete", "Removed", "Failed", "Restored")
OUTCOMES = (*STATUSES, "Refused")
ITEM_COLUMNS = ("Block", IDENTIFIER, "Status", "Learner", "CourseName", "Progress", "Notes")


def queue(
    watch: Annotated[bool, typer.Option("--watch", help="Show it every 2 seconds, until Ctrl-C.")] = False,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """Show whether the queue is running, and the number of items by status."""
    with open_client(profile) as client:
        if not watch:
            _print_state(client.queue(), form)
            return
        with suppress(KeyboardInterrupt):
            _watch(client, form)


def _watch(client: Client, form: Format) -> None:
    """Show the state every 2 seconds, at a terminal in place of the one before."""
    console = Console(markup=False, highlight=False)
    if form is not Format.TABLE or not console.is_terminal:
        while True:
            _print_state(client.queue(), form)
            time.sleep(WATCH_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            state = client.queue()
            row = _row(state)
            live.update(Group(make_table([row], [*row], console.width), *_warnings(state)), refresh=True)
            time.sleep(WATCH_SECONDS)


def pause(form: FormatOption = Format.TABLE, profile: ProfileOption = None) -> None:
    """Stop the processing of the queue until it is resumed; calls are still accepted."""
    with open_client(profile) as client:
        _print_state(client.pause(), form)


def resume(form: FormatOption = Format.TABLE, profile: ProfileOption = None) -> None:
    """Resume the processing of the queue."""
    with open_client(profile) as client:
        _print_state(client.resume(), form)


def batches(form: FormatOption = Format.TABLE, profile: ProfileOption = None) -> None:
    """List every batch, the latest first: who requested it, when and why, and its outcome."""
    with open_client(profile) as client:
        rows = [
            {
                "batch": batch.id,
                "requested": batch.requested_at,
                "by": batch.requested_by,
                "reason": batch.reason,
                **{name.lower(): batch.counts[name] for name in OUTCOMES},
                "undo_until": _undo_until(batch),
            }
            for batch in client.batches()
        ]
    columns = ("batch", "requested", "by", "reason", *(name.lower() for name in OUTCOMES), "undo_until")
    if form is Format.TABLE:
        rows = [_shorten(row) for row in rows]
    shown = ("batch", "requested_(UTC)", "by", "reason", "outcome", "undo_until")
    print_rows(rows, columns, form, shown=shown, keep=("outcome", "undo_until"))


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Make a row for a table of 80 columns: the outcome without zeros, times to the minute or day."""
    counts = {name.lower(): row[name.lower()] for name in OUTCOMES}
    until = "over" if row["undo_until"].startswith("over") else row["undo_until"].partition(" ")[0]
    return {
        **row,
        "requested_(UTC)": f"{row['requested']:%Y-%m-%d %H:%M}",
        "outcome": "\n".join(f"{count:,} {name}" for name, count in counts.items() if count),
        "undo_until": "no limit" if until == "without" else until,
    }


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
        refused = {"Block": str(block), IDENTIFIER: identifier, "Status": f"Refused {code}"}
        if form is Format.TABLE:
            refused |= {"Status": "Refused", "Notes": say_refusal(code)}
        rows.append({**blank, **refused})
    rows.sort(key=lambda row: int(str(row["Block"])))
    begun = any(row["Progress"] not in ("", "Not Started") for row in rows)
    for row in rows:
        row["Enrollment"] = row[IDENTIFIER]
    shown = ["Enrollment" if name == IDENTIFIER else name for name in ITEM_COLUMNS if begun or name != "Progress"]
    print_rows(rows, ITEM_COLUMNS, form, shown=shown, wrap=True)


def say_silent(state: QueueState) -> str:
    """Warn that no worker seems to run."""
    seen = state.worker_seen_seconds
    since = "yet" if seen is None else f"for {seen} s"
    return f"No worker has been seen {since}: nothing is processed. Start one: rollbook worker"


def _print_state(state: QueueState, form: Format) -> None:
    for warning in _warnings(state) if form is Format.TABLE else ():
        typer.echo(warning, err=True)
    row = _row(state)
    columns = ["queue", "since", *[*row][1:]]
    print_rows([row | {"since": state.paused_at}], columns, form, shown=[*row])


def _row(state: QueueState) -> dict[str, object]:
    return {
        "queue": "paused" if state.paused else "running",
        **{name.lower(): state.counts[name] for name in STATUSES},
        "oldest_waits_seconds": state.oldest_pending_seconds,
        "worker_seen_seconds": state.worker_seen_seconds,
    }


def _warnings(state: QueueState) -> list[str]:
    warnings = [say_silent(state)] if state.worker_silent else []
    if state.paused_at:
        paused = f"The queue is paused since {state.paused_at:%Y-%m-%d %H:%M} UTC. Resume it: rollbook resume"
        warnings = [paused, *warnings]
    return warnings
