"""Imports a staged roster in one transaction: ends enrollments as one batch, and writes the audit lines."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.actions.memberships import record_auto_enrolled
from rollbook.actions.progress import write_progress
from rollbook.actions.unenroll import unenroll
from rollbook.errors import WireCode
from rollbook.model import (
    Account,
    Action,
    Actor,
    Change,
    EnrollmentStatus,
    RejectReason,
    Remark,
    UnenrollRequest,
    utc_now,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The counts of what an import has changed.
CHANGES = ("added", "updated", "ended", "queued")


def import_roster(
    connection: "Connection",
    by: Actor,
    account: Account,
    reason: str,
    options: "store.apply.Options",
    *,
    codes: Mapping[RejectReason, WireCode],
) -> "store.apply.Outcome":
    """Import the staged rows of the connection as `apply_roster` does, unless it is a dry run or nothing is imported.

    Errors: ConflictError, DatabaseUnavailableError; UserError when no line item is the final one.
    """
    with store.apply.begin_import(connection) as transaction:
        outcome = apply_roster(connection, by, account, reason, options, codes=codes, now=utc_now())
        if options.dry_run or not outcome.counts:
            transaction.rollback()
    return outcome


def apply_roster(
    connection: "Connection",
    by: Actor,
    account: Account,
    reason: str,
    options: "store.apply.Options",
    *,
    codes: Mapping[RejectReason, WireCode],
    now: datetime,
) -> "store.apply.Outcome":
    """Import the staged rows in the transaction of the caller; `reason` is that of the batch of what ends.

    The batch keeps its refusals with their `codes`. With bad rows there are no counts, and the caller rolls back;
    unless they are skipped, and with them the rows that depend on them.
    """
    if options.final:
        store.grades.choose_final(connection, options.final.name)
    counts, joined, enrolled = store.apply.import_tables(connection, account.id, options, now)
    if options.final:
        counts["results"] = _import_grades(connection, account.id, now, completes=options.final.completes)
    counts["enrollments"]["queued"], batch_id = _unenroll_ended(connection, by, account, reason, codes, now)
    outcome = store.apply.describe_import(connection, account.id, counts, options, batch_id)
    if outcome.counts and enrolled:
        told = f"{len(enrolled)} auto-enrolled: new members of a group, in its auto-enroll courses"
        note = Remark("enrollments.csv", 0, "", told)
        outcome = replace(outcome, notes=[*outcome.notes, note])
    record_auto_enrolled(connection, by, account.id, enrolled)
    if joined or any(count[change] for count in counts.values() for change in CHANGES):
        store.audit.record_change(connection, account.id, by, Change(Action.IMPORT, reason, counts))
    return outcome


def _import_grades(connection: "Connection", account_id: int, now: datetime, *, completes: bool) -> dict[str, int]:
    counts = dict.fromkeys(store.apply.COUNTS, 0)
    for part in store.grades.find_grades(connection, account_id):
        wanted = {row.enrollment_id: _read_grade(row, completes=completes) for row in part}
        written = write_progress(connection, account_id, wanted, now)
        counts["updated"] += len(written.changed)
        counts["unchanged"] += len(wanted) - len(written.changed) - len(written.refused)
    return counts


def _read_grade(row: Any, *, completes: bool) -> dict[str, object]:
    """Return the progress that a result tells; an enrollment that is completed keeps its date."""
    values: dict[str, object] = {}
    if row.text_score or row.score:
        values["grade"] = row.text_score or row.score
    if row.score and row.value_max and float(row.value_max) > 0:
        percentage = f"{100 * float(row.score) / float(row.value_max):.2f}".rstrip("0").rstrip(".")
        values["grade_percentage"] = percentage
    if completes and row.score_date and row.score_status == "fully graded" and not row.completed:
        date = datetime.fromisoformat(row.score_date).replace(tzinfo=UTC)
        values |= {"status": EnrollmentStatus.COMPLETED, "completed_at": date}
    return values


def _unenroll_ended(
    connection: "Connection",
    by: Actor,
    account: Account,
    reason: str,
    codes: Mapping[RejectReason, WireCode],
    now: datetime,
) -> tuple[int, int | None]:
    """Queue the enrollments that end; return how many, and the batch."""
    ended = store.apply.find_ended(connection, account.id)
    if not ended:
        return 0, None
    ids = [id_ for _, id_ in ended]
    request = UnenrollRequest(by, ids, reason)
    done = unenroll(connection, account.id, account.policies, request, codes=codes, now=now)
    if refused := [block for block, why in done.refused.items() if why in codes]:
        store.apply.add_refused(connection, [ended[block - 1][0] for block in refused])
    return len(done.accepted), done.batch_id
