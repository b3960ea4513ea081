"""Imports a staged roster in one transaction: ends enrollments as one batch, and writes the audit lines."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.actions.memberships import record_auto_enrolled
from rollbook.actions.unenroll import unenroll
from rollbook.errors import WireCode
from rollbook.model import Account, Action, Actor, Change, RejectReason, Remark, utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection


def import_roster(
    connection: "Connection",
    by: Actor,
    account: Account,
    reason: str,
    options: "store.apply.Options",
    *,
    codes: Mapping[RejectReason, WireCode],
) -> "store.apply.Outcome":
    """Import the staged rows of the connection; `reason` is the batch's, and its refusals are kept with their `codes`.

    With bad rows nothing is imported, unless they are skipped, and with them the rows that depend on them. Errors:
    ConflictError, DatabaseUnavailableError.
    """
    with store.apply.begin_import(connection) as transaction:
        counts, enrolled = store.apply.import_tables(connection, account.id, options)
        counts["enrollments"]["queued"] = _unenroll_ended(connection, by, account, reason, codes)
        outcome = store.apply.describe_import(connection, account.id, counts, options)
        if outcome.counts and enrolled:
            told = f"{len(enrolled)} auto-enrolled: new members of a group, in its auto-enroll courses"
            note = Remark("enrollments.csv", 0, "", told)
            outcome = replace(outcome, notes=[*outcome.notes, note])
        record_auto_enrolled(connection, by, account.id, enrolled)
        store.audit.record_change(connection, account.id, by, Change(Action.IMPORT, reason, counts))
        if options.dry_run or not outcome.counts:
            transaction.rollback()
    return outcome


def _unenroll_ended(
    connection: "Connection", by: Actor, account: Account, reason: str, codes: Mapping[RejectReason, WireCode]
) -> int:
    ended = store.apply.find_ended(connection, account.id)
    if not ended:
        return 0
    ids = [id_ for _, id_ in ended]
    done = unenroll(connection, by, account.id, account.policies, ids, codes=codes, reason=reason, now=utc_now())
    if refused := [block for block, why in done.refused.items() if why in codes]:
        store.apply.add_refused(connection, [ended[block - 1][0] for block in refused])
    return len(done.accepted)
