"""Unenrolls: queues enrollments as one batch, keeps with it what was refused, and writes the audit line."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from rollbook.errors import WireCode
from rollbook.model import Acceptance, Action, Actor, Change, Policies, Refusal
from rollbook.store.audit import record_change
from rollbook.store.unenrollments import accept_batch, keep_refusals


def unenroll(
    connection: sa.Connection,
    by: Actor,
    account_id: int,
    policies: Policies,
    ids: Sequence[int | None],
    *,
    codes: Mapping[Refusal, WireCode],
    reason: str | None,
    now: datetime,
    idempotency_key: str | None = None,
    unreadable: Mapping[int, tuple[str, str]] | None = None,
) -> Acceptance:
    """Queue what can be queued; an id's place in the list, from 1, is its block.

    None leaves a block out: `unreadable` says what was sent there, and the code of the wire that refuses it. No id
    stands in the list twice. Refusals are kept with their `codes`.
    """
    done = accept_batch(
        connection,
        account_id=account_id,
        requested_by=by.user_id,
        ids=ids,
        policies=policies,
        reason=reason,
        requested_at=now,
        idempotency_key=idempotency_key,
    )
    if done.batch_id is not None:
        refused = {block: (str(ids[block - 1]), codes[why].code) for block, why in done.refused.items()}
        outcomes = [(block, *outcome) for block, outcome in sorted({**(unreadable or {}), **refused}.items())]
        keep_refusals(connection, account_id, done.batch_id, outcomes)
        counts = {"accepted": len(done.accepted), "refused": len(outcomes)}
        record_change(connection, account_id, by, Change(Action.UNENROLL, f"batch {done.batch_id}", counts))
    return done
