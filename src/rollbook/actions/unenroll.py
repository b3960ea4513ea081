"""Queues enrollments as batches, keeps their refusals, and writes the audit lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.errors import WireCode
from rollbook.model import Acceptance, Action, Actor, Change, Policies, RejectReason, UnenrollRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection


def unenroll(
    connection: "Connection",
    account_id: int,
    policies: Policies,
    request: UnenrollRequest,
    *,
    codes: Mapping[RejectReason, WireCode],
    now: datetime,
) -> Acceptance:
    """Queue what can be queued, as `unenroll_all` does."""
    [done] = unenroll_all(connection, account_id, policies, [request], codes=codes, now=now)
    return done


def unenroll_all(
    connection: "Connection",
    account_id: int,
    policies: Policies,
    requests: Sequence[UnenrollRequest],
    *,
    codes: Mapping[RejectReason, WireCode],
    now: datetime,
) -> list[Acceptance]:
    """Queue what can be queued, one batch for each request.

    Refusals are kept with their `codes`, if they have one. Errors: TransportError 422 when a batch cannot be continued
    (D32).
    """
    outcomes = store.accept.accept_batches(connection, account_id, policies, requests, now)
    changes: list[tuple[Actor, Change]] = []
    for request, done in zip(requests, outcomes, strict=True):
        if done.batch_id is None:
            continue
        refused = {
            **request.unreadable,
            **{block: codes[why].code for block, why in done.refused.items() if why in codes},
        }
        if refused:
            texts = request.sent or [str(id_) for id_ in request.ids]
            kept = [(done.before + block, texts[block - 1], code) for block, code in sorted(refused.items())]
            store.accept.keep_refusals(connection, account_id, done.batch_id, kept)
        if done.accepted:
            counts = {"accepted": len(done.accepted), "refused": len(refused)}
            changes.append((request.by, Change(Action.UNENROLL, f"batch {done.batch_id}", counts)))
    if changes:
        store.audit.record_changes(connection, account_id, changes)
    return outcomes
