"""The very statements of the accept path and of the drain, taken from the store."""

import hashlib

from campus import Campus
from rollbook.store import accounts, audit, queue, unenrollments
from rollbook.store.dialects import FRAGMENTS

# What the audit keeps of an accepted call, as long as in life.
AUDIT = {
    "actor": "owner@example.org",
    "action": "unenrollLearningModules",
    "subject": "batch 123456",
    "details": '{"accepted": 100, "refused": 0, "reason": null}',
    "address": "127.0.0.1",
    "request_id": "0123456789abcdef",
}


def accepting(dialect: str) -> dict[str, str]:
    """Give the statements of a call by what they do, in their order; the first stands before the transaction."""
    given = {
        "caller": accounts._FIND_CALLER,
        "batch": unenrollments._OPEN_BATCH,
        "accept": unenrollments._ACCEPT,
        "audit": audit._ADD,
    }
    return {name: _write(sql, dialect) for name, sql in given.items()}


def draining() -> dict[str, str]:
    """Give the statements of a worker's step by what they do, in their order, for PostgreSQL."""
    given = {
        "turn": unenrollments._TAKE_TURN,
        "claim": unenrollments._CLAIM,
        "change": queue._BEGIN_CHANGE,
        "end": unenrollments._END_ENROLLMENTS,
        "finish": unenrollments._FINISH,
    }
    return {name: _write(sql, "postgresql") for name, sql in given.items()}


def digests(campus: Campus) -> dict[str, bytes]:
    """Give the parameters of the caller's look-up."""
    keys = {"account_digest": campus.account_key, "user_digest": campus.owner_key}
    return {name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}


def _write(sql: str, dialect: str) -> str:
    return " ".join(sql.format(**FRAGMENTS[dialect]).split())
