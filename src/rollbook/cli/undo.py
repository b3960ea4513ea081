"""`rollbook remove` and `rollbook restore`: take items out of the queue, and undo unenrollments."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from rollbook.cli.options import check_reason, read_since
from rollbook.cli.output import Format, FormatOption, print_rows
from rollbook.cli.prompts import confirm
from rollbook.cli.run_plan import COLUMNS
from rollbook.cli.selection import ColumnOption, FileOption, IdsArgument, SheetOption, SkipOption, read_ids
from rollbook.cli.server_profiles import ProfileOption, open_client
from rollbook.client.client import Client
from rollbook.client.results import ACCEPTED, ACCEPTED_BEFORE, Outcome
from rollbook.errors import UserError
from rollbook.id_lists import Only
from rollbook.methods.refusals import find_words, say_refused
from rollbook.methods.remove_unenrollments import NOT_PENDING
from rollbook.methods.restore_unenrollments import NOT_UNENROLLED
from rollbook.wire.identifiers import IDENTIFIER

# What an item has become that is refused for its status; looked up for at most MAX_LOOKED_UP items.
ENDED = {
    "Removed": "removed from the queue already: the learner stayed enrolled",
    "Restored": "restored already",
    "Failed": "failed: the learner stayed enrolled",
    "Complete": "unenrolled already; undo it with rollbook restore",
}
MAX_LOOKED_UP = 1000

BatchesOption = Annotated[list[int] | None, typer.Option("--batch", min=1, help="All items of this batch; repeatable.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option(parser=read_since, metavar="DAY", help="All batches since 2026-01-31 or 2026-01-31T08:00, UTC."),
]
ReasonOption = Annotated[
    str | None, typer.Option(callback=check_reason, help="The reason, which becomes the items' note.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _make_command(undo: Callable[..., Iterable[Outcome]], statuses: Sequence[str], about: str) -> Callable[..., None]:
    """Return a command that does `undo` with listed enrollments, or with batches that have items in the statuses."""

    def command(
        ids: IdsArgument = None,
        file: FileOption = None,
        column: ColumnOption = None,
        sheet: SheetOption = None,
        skip_bad_rows: SkipOption = False,
        batch: BatchesOption = None,
        since: SinceOption = None,
        reason: ReasonOption = None,
        dry_run: DryRunOption = False,
        yes: YesOption = False,
        form: FormatOption = Format.TABLE,
        profile: ProfileOption = None,
    ) -> None:
        listed = _read_selection(ids, file, column, sheet, skip_bad_rows, batch, since)
        with open_client(profile) as client:
            numbers = _find_batches(client, batch, since, statuses)
            _Change(client, undo, listed, numbers, reason, form).carry_out(file, dry_run=dry_run, yes=yes)

    command.__doc__ = about
    return command


remove = _make_command(
    Client.remove, ("Pending",), "Take pending items out of the queue; their enrollments do not change."
)
restore = _make_command(
    Client.restore,
    ("Pending", "Complete"),
    """Undo unenrollments: restore enrollments with their progress; pending items are removed from the queue instead.

    From the --output file of `rollbook unenroll`, given as --file, it undoes what was accepted in that run.
    """,
)


def _read_selection(
    ids: list[str] | None,
    file: Path | None,
    column: str | None,
    sheet: str | None,
    skip_bad_rows: bool,
    batches: list[int] | None,
    since: datetime | None,
) -> list[int]:
    if [bool(ids or file), bool(batches), since is not None].count(True) != 1:
        raise UserError("Name either ids or --file, or --batch ID, or --since DAY.")
    # An id that this run refused may have been accepted in another run, which stays.
    only = Only("outcome", (ACCEPTED, ACCEPTED_BEFORE))
    listed = read_ids(ids or [], file, column, sheet, skip_bad_rows=skip_bad_rows, only=only)
    if file is not None and not listed:
        raise UserError(f"{file} names no enrollment that was unenrolled, so nothing was done.")
    return listed


def _find_batches(
    client: Client, batches: list[int] | None, since: datetime | None, statuses: Sequence[str]
) -> list[int]:
    """Return the named batches, or those since a time with items in one of the statuses; errors: UserError."""
    numbers = list(dict.fromkeys(batches or ()))
    unknown = [str(number) for number in numbers if next(client.batches(number), None) is None]
    if unknown:
        raise UserError(f"There is no batch {', '.join(unknown)}. See: rollbook batches")
    if since is not None:
        found = [each for each in client.batches() if each.requested_at >= since]
        numbers = [each.id for each in found if any(each.counts[status] for status in statuses)]
        if not numbers:
            moment = f"{since:%Y-%m-%d %H:%M} UTC"
            raise UserError(f"No batch since {moment} has {' or '.join(statuses).lower()} items. See: rollbook batches")
        typer.echo(f"Since {since:%Y-%m-%d %H:%M} UTC: batch {', '.join(map(str, numbers))}.", err=True)
    return numbers


@dataclass(frozen=True)
class _Change:
    """A removal or an undo of listed enrollments or of batches."""

    client: Client
    undo: Callable[..., Iterable[Outcome]]
    listed: list[int]
    batches: list[int]
    reason: str | None
    form: Format

    def carry_out(self, file: Path | None, *, dry_run: bool, yes: bool) -> None:
        """Show what would happen, ask, and do it. Exit codes: 0 all done, 1 some refused."""
        if dry_run or not yes:
            outcomes = [*self._go(dry_run=True)]
            self._count(outcomes, "would be ")
            if not dry_run:
                confirm("Continue?", file)
        if not dry_run:
            outcomes = [*self._go(dry_run=False)]
            self._count(outcomes, "")
        if self.form is not Format.TABLE:
            rows = [(each.id, each.status, each.code, each.message, each.batch_id) for each in outcomes]
            print_rows([dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS, self.form)
        if not all(each.accepted for each in outcomes):
            raise typer.Exit(1)

    def _go(self, *, dry_run: bool) -> Iterator[Outcome]:
        if self.listed:
            yield from self.undo(self.client, self.listed, reason=self.reason, dry_run=dry_run)
        for number in self.batches:
            yield from self.undo(self.client, batch_id=number, reason=self.reason, dry_run=dry_run)

    def _count(self, outcomes: Sequence[Outcome], would_be: str) -> None:
        refused = self._explain([each for each in outcomes if not each.accepted])
        for words, ids in refused.items():
            typer.echo(say_refused(words, ids, len(ids)), err=True)
        counts = Counter(each.status.lower() for each in outcomes)
        for said, count in sorted(counts.items()):
            typer.echo(f"{count} {would_be}{said}", err=self.form is not Format.TABLE)

    def _explain(self, refused: Sequence[Outcome]) -> dict[str, list[str]]:
        """The ids by the reason in words; for an item of another status the words are those of what it has become."""
        by_status = [each.id for each in refused if each.code in (NOT_PENDING.code, NOT_UNENROLLED.code)]
        become: dict[str, str] = {}
        if len(by_status) <= MAX_LOOKED_UP:
            # The latest comes last; of batches their own items count, whatever was requested after them.
            rows = self.client.unenrollments(ids=by_status) if by_status else ()
            batches = {*map(str, self.batches)}
            mine = (row for row in rows if not batches or row.get("BatchID") in batches)
            become = {row[IDENTIFIER]: row.get("Status", "") for row in mine}
        words: dict[str, list[str]] = {}
        for each in refused:
            said = ENDED.get(become.get(each.id, ""), "") if each.id in by_status else ""
            words.setdefault(said or find_words(each.code or "", each.message or ""), []).append(each.id)
        return words
