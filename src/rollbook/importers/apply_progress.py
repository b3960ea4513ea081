"""Writes the progress of a file into enrollments, and the audit line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from rollbook.actions.progress import write_progress
from rollbook.importers.progress import ProgressFile, ProgressRow
from rollbook.model import Account, Action, Actor, Change, RejectReason, Remark, utc_now
from rollbook.store.database.database import Database
from rollbook.store.learning.progress import find_ids
from rollbook.store.operations.audit import record_change

# How many rows a statement is about, how many problems are named, and how many changes are kept to be shown.
STEP = 1000
MAX_NAMED = 1000
MAX_SHOWN = 50
REASONS = {
    RejectReason.UNKNOWN: "no current enrollment",
    RejectReason.ENROLLED_AGAIN: "the learner has another enrollment in the course that is open",
}


@dataclass
class ProgressOutcome:
    """How many rows a file has, how many changed something, and the problems: the first are named, all are counted.

    `shown` are the first enrollments that changed, by id, each before and after. `enrollments`
    are the ids of those that changed; beyond MAX_NAMED it is incomplete, and the audit leaves it out.
    """

    rows: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[Remark] = field(default_factory=list)
    shown: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    enrollments: list[int] = field(default_factory=list)

    def refuse(self, remark: Remark) -> None:
        """Add a problem."""
        self.refused += 1
        if len(self.problems) < MAX_NAMED:
            self.problems.append(remark)


def import_progress(
    database: Database, account: Account, file: ProgressFile, *, skip_bad_rows: bool, dry_run: bool, by: Actor
) -> ProgressOutcome:
    """Import a file; with a bad row nothing is written, unless they are to be skipped. Errors: UserError."""
    with database.session() as connection:
        connection.execution_options(writes=True)
        with connection.begin() as transaction:
            outcome = apply_progress(connection, account.id, file, by=by)
            if dry_run or (outcome.refused and not skip_bad_rows):
                transaction.rollback()
    return outcome


def apply_progress(connection: Connection, account_id: int, file: ProgressFile, *, by: Actor) -> ProgressOutcome:
    """Write all rows but the bad ones, in the transaction of the caller. Errors: UserError."""
    outcome = ProgressOutcome()
    for part in _parts(file.read_rows()):
        _import_part(connection, account_id, file, part, outcome)
    outcome.problems.sort(key=lambda remark: remark.line)
    if outcome.changed:
        counts = {name: getattr(outcome, name) for name in ("rows", "changed", "unchanged", "refused")}
        named = {"enrollments": outcome.enrollments} if len(outcome.enrollments) <= MAX_NAMED else {}
        record_change(connection, account_id, by, Change(Action.IMPORT, f"Progress import {file.name}", counts | named))
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
    for id_, (before, after) in written.changed.items():
        if id_ in outcome.shown or len(outcome.shown) < MAX_SHOWN:
            outcome.shown[id_] = (outcome.shown.get(id_, (before,))[0], after)
    changed = sum(len(lines[id_]) for id_ in written.changed)
    outcome.changed += changed
    if len(outcome.enrollments) <= MAX_NAMED:
        outcome.enrollments += written.changed
    outcome.unchanged += sum(map(len, lines.values())) - changed - sum(len(lines[id_]) for id_ in written.refused)


def _parts(rows: Iterable[ProgressRow | Remark]) -> Iterator[list[ProgressRow | Remark]]:
    rest = iter(rows)
    while part := list(islice(rest, STEP)):
        yield part
