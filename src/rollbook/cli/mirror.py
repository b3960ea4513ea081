"""`rollbook mirror`: copies an account of a server into an account of the local database, reading only."""

import math
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rollbook.brake import MAX_PERCENT
from rollbook.cli.local_database import open_database, operator
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.cli.unenroll import STOPPED_BY_BRAKE
from rollbook.client.client import Client
from rollbook.errors import UserError
from rollbook.mirror.run import Options, Outcome, Run
from rollbook.model import Account
from rollbook.store.database.database import Database
from rollbook.store.mirror.state import bind_mirror
from rollbook.store.people.accounts import find_account

KINDS = ("courses", "sessions", "groups", "users", "memberships", "profiles", "enrollments")
COUNTED = ("listed", "read", "added", "changed", "ended", "restored")
MIN_KEY, MAX_KEY = 16, 4096


def mirror(
    account: Annotated[str, typer.Option(help="The account of the local database; make it with `account add`.")],
    end_missing: Annotated[
        bool, typer.Option("--end-missing", help="Unenroll here what is no longer there, as one batch.")
    ] = False,
    max_percent: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help=f"With --end-missing: end none if more of the copy would be; else {MAX_PERCENT}."
        ),
    ] = None,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Read also profiles and permissions: two calls for every user.")
    ] = False,
    pseudonymize: Annotated[
        bool, typer.Option("--pseudonymize", help="Replace names, e-mails and employee ids by made-up ones.")
    ] = False,
    pseudonym_key: Annotated[
        Path | None, typer.Option(help="With --pseudonymize: a file whose content decides the made-up names.")
    ] = None,
    form: FormatOption = Format.TABLE,
    profile: ProfileOption = None,
) -> None:
    """Copy an account of a server into a local account, with all ids, by reading calls alone.

    Again, it reads what has changed since. After an interruption the same command continues. Exit codes: 0 all is
    copied, 1 something could not be, 2 wrong usage, 3 server not reached or access denied, 4 stopped by --max-percent,
    130 interrupted.
    """
    key = _read_key(pseudonymize, pseudonym_key)
    options = Options(end_missing, _read_percent(max_percent, end_missing=end_missing), profiles)
    with open_client(profile) as client, open_database() as database:
        with database.read() as connection:
            local = find_account(connection, account)
        database.transact(lambda connection: bind_mirror(connection, local, client.url, key))
        try:
            outcome = _run(database, client, local, options)
        except KeyboardInterrupt:
            typer.echo("Interrupted. Run the same command again to continue.", err=True)
            raise typer.Exit(130) from None
    rows = [{"kind": kind, **{what: outcome.counts[f"{kind} {what}"] for what in COUNTED}} for kind in KINDS]
    print_rows(rows, ("kind", *COUNTED), form)
    if incomplete := _print_notes(outcome, end_missing):
        raise typer.Exit(STOPPED_BY_BRAKE if outcome.stopped else int(incomplete))


def _read_percent(percent: float | None, *, end_missing: bool) -> float:
    if percent is None:
        return MAX_PERCENT
    if math.isnan(percent) or not end_missing:
        raise UserError("--max-percent is a number from 0 to 100, with --end-missing.")
    return percent


def _read_key(pseudonymize: bool, file: Path | None) -> bytes | None:
    if file is None:
        return secrets.token_bytes(32) if pseudonymize else None
    if not pseudonymize:
        raise UserError("--pseudonym-key needs --pseudonymize.")
    try:
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY + 1)  # a device has no end
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise UserError(f"{file} is no key: a key has {MIN_KEY} to {MAX_KEY} bytes.")
    return key


def _run(database: Database, client: Client, account: Account, options: Options) -> Outcome:
    console = Console(stderr=True)
    columns = TextColumn("Reading {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("courses", total=None)

        def watch(phase: str, rows: int, total: int | None) -> None:
            bar.update(task, description=phase, completed=rows, total=total)

        run = Run(database, client, account, operator(), watch)
        if run.resumed:
            typer.echo("Continued.", err=True)
        return run.go(options)


def _print_notes(outcome: Outcome, end_missing: bool) -> bool:
    """Print what was not done; tell whether there is any."""
    notes = [*dict.fromkeys(outcome.notes)]
    if outcome.vanished:
        why = "--end-missing unenrolls them here"
        if end_missing:
            why = "the queue here is paused or holds them, or the account protects completed enrollments"
        if outcome.stopped:
            why = "they are more than --max-percent of the copy, so that none was unenrolled"
        notes.append(f"{outcome.vanished:,} enrollments are no longer there and still current here: {why}.")
    if outcome.outdated:
        notes.append(
            f"{outcome.outdated:,} enrollments could not be copied: they changed meanwhile, or another enrollment of "
            "the learner in the course, which is no longer there, is current here. Run it again, with --end-missing."
        )
    for note in notes:
        typer.echo(note, err=True)
    return bool(outcome.vanished or outcome.outdated)
