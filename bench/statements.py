"""The very statements of the accept path and of the drain, taken from the store."""

import hashlib

from campus import Campus
from rollbook.store import accounts, unenrollments
from rollbook.store.dialects import FRAGMENTS

BATCH = """
    INSERT INTO batches (account_id, requested_by, reason, idempotency_key, requested_at)
    VALUES (:account_id, :requested_by, NULL, NULL, :requested_at) RETURNING id AS batch_id
"""
CHANGE = "UPDATE accounts SET last_change = last_change + 1 WHERE id = :account_id RETURNING last_change AS change"


def accepting(dialect: str) -> dict[str, str]:
    """Give the statements of a call by what they do, in their order; the first stands before the transaction."""
    given = {"caller": accounts._FIND_CALLER, "batch": BATCH, "accept": unenrollments._ACCEPT}
    return {name: _clean(sql.format(**FRAGMENTS[dialect])) for name, sql in given.items()}


def draining() -> dict[str, str]:
    """Give the statements of a worker's step by what they do, in their order, for PostgreSQL."""
    given = {
        "turn": unenrollments._TAKE_TURN,
        "claim": unenrollments._CLAIM,
        "change": CHANGE,
        "end": unenrollments._END_ENROLLMENTS,
        "finish": unenrollments._FINISH,
    }
    return {name: _clean(sql.format(**FRAGMENTS["postgresql"])) for name, sql in given.items()}


def digests(campus: Campus) -> dict[str, bytes]:
    """Give the parameters of the caller's look-up."""
    keys = {"account_digest": campus.account_key, "user_digest": campus.owner_key}
    return {name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}


def _clean(sql: str) -> str:
    return " ".join(sql.split())
