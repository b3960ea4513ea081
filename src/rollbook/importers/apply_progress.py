"""Writes the progress of a file into enrollments, in one transaction, and the audit line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection

from rollbook.actions.progress import write_progress
from rollbook.importers.progress import ProgressFile, ProgressRow
from rollbook.model import Account, Action, Actor, Change, RejectReason, Remark, utc_now
from rollbook.store.database.database import Database
from rollbook.store.learning.progress import find_ids
from rollbook.store.operations.audit import record_change

# How many rows a statement is about, and how many problems are named.
STEP = 1000
MAX_NAMED = 1000
REASONS = {
    RejectReason.UNKNOWN: "no current enrollment",
    RejectReason.ENROLLED_AGAIN: "the learner has another enrollment in the course that is open",
}


@dataclass
class ProgressOutcome:
    """How many rows a file has, how many changed something, and the problems: the first are named, all are counted."""

    rows: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[Remark] = field(default_factory=list)

    def refuse(self, remark: Remark) -> None:
        """Add a problem."""
        self.refused += 1
        if len(self.problems) < MAX_NAMED:
            self.problems.append(remark)


def import_progress(
    database: Database, account: Account, file: ProgressFile, *, skip_bad_rows: bool, dry_run: bool, by: Actor
) -> ProgressOutcome:
    """Import a file; with a bad row nothing is written, unless they are to be skipped. Errors: UserError."""
    outcome = ProgressOutcome()
    with database.session() as connection:
        connection.execution_options(writes=True)
        with connection.begin() as transaction:
            for part in _parts(file.read_rows()):
                _import_part(connection, account.id, file, part, outcome)
            counts = {name: getattr(outcome, name) for name in ("rows", "changed", "unchanged", "refused")}
            what = Change(Action.IMPORT, f"Progress import {file.name}", counts)
            record_change(connection, account.id, by, what)
            if dry_run or (outcome.refused and not skip_bad_rows):
                transaction.rollback()
    return outcome


def _import_part(
    connection: Connection,
    account_id: int,
    file: ProgressFile,
    part: list[ProgressRow | Remark],
    outcome: ProgressOutcome,
) -> None:
    outcome.rows += len(part)
    rows = [row for row in part if isinstance(row, ProgressRow)]
    for remark in part:
        if isinstance(remark, Remark):
            outcome.refuse(remark)
    found = find_ids(connection, account_id, file.key, [row.named for row in rows])
    wanted: dict[int, dict[str, object]] = {}
    lines: dict[int, list[int]] = {}
    for block, row in enumerate(rows, 1):
        ids = found.get(block, [])
        if len(ids) != 1:
            several = f"{len(ids)} current enrollments: name one by its ID"
            outcome.refuse(Remark(file.name, row.line, "", several if ids else REASONS[RejectReason.UNKNOWN]))
            continue
        wanted.setdefault(ids[0], {}).update(row.values)
        lines.setdefault(ids[0], []).append(row.line)
    written = write_progress(connection, account_id, wanted, utc_now())
    for id_, reason in written.refused.items():
        for line in lines[id_]:
            outcome.refuse(Remark(file.name, line, "", REASONS[reason]))
    changed = sum(len(lines[id_]) for id_ in written.changed)
    outcome.changed += changed
    outcome.unchanged += sum(map(len, lines.values())) - changed - sum(len(lines[id_]) for id_ in written.refused)


def _parts(rows: Iterable[ProgressRow | Remark]) -> Iterator[list[ProgressRow | Remark]]:
    rest = iter(rows)
    while part := list(islice(rest, STEP)):
        yield part
