"""Queues enrollments as one batch, keeps its refusals, and writes the audit line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.errors import WireCode
from rollbook.model import Acceptance, Action, Actor, Change, Policies, RejectReason

if TYPE_CHECKING:
    from sqlalchemy import Connection


def unenroll(
    connection: "Connection",
    by: Actor,
    account_id: int,
    policies: Policies,
    ids: Sequence[int | None],
    *,
    codes: Mapping[RejectReason, WireCode],
    reason: str | None,
    now: datetime,
    idempotency_key: str | None = None,
    batch_id: int | None = None,
    sent: Sequence[str] | None = None,
    unreadable: Mapping[int, str] | None = None,
) -> Acceptance:
    """Queue what can be queued; the block of an id is its position in the list, from 1.

    The ids are distinct. None skips a block: `unreadable` has the code that refuses it. Refusals are kept with their
    `codes`, if they have one, and the text `sent`. With `batch_id` that batch is continued; errors: TransportError 422
    when it cannot be (D32).
    """
    done = store.accept.accept_batch(
        connection,
        account_id=account_id,
        requested_by=by.user_id,
        ids=ids,
        policies=policies,
        reason=reason,
        requested_at=now,
        idempotency_key=idempotency_key,
        batch_id=batch_id,
    )
    if done.batch_id is not None:
        refused = {
            **(unreadable or {}),
            **{block: codes[why].code for block, why in done.refused.items() if why in codes},
        }
        texts = sent or [str(id_) for id_ in ids]
        outcomes = [(done.before + block, texts[block - 1], code) for block, code in sorted(refused.items())]
        store.accept.keep_refusals(connection, account_id, done.batch_id, outcomes)
        if done.accepted:
            counts = {"accepted": len(done.accepted), "refused": len(outcomes)}
            change = Change(Action.UNENROLL, f"batch {done.batch_id}", counts)
            store.audit.record_change(connection, account_id, by, change)
    return done
