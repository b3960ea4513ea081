"""The statements of the accept path and of a worker step, taken from the store."""

import hashlib

from campus import Campus
from rollbook.store.database.sql import FRAGMENTS
from rollbook.store.operations import audit
from rollbook.store.people import api_keys
from rollbook.store.queue import accept, process, state

# The audit line of an accepted call, with realistic lengths.
AUDIT = {
    "actor": "owner@example.org",
    "action": "unenrollLearningModules",
    "subject": "batch 123456",
    "details": '{"accepted": 100, "refused": 0, "reason": null}',
    "address": "127.0.0.1",
    "request_id": "0123456789abcdef",
}


def accepting(dialect: str) -> dict[str, str]:
    """Return the statements of a call by name, in order; the first is executed before the transaction."""
    given = {
        "caller": api_keys._FIND_CALLER,
        "batch": accept._OPEN_BATCHES,
        "accept": accept._ACCEPT,
        "audit": audit._ADD,
    }
    return {name: _write(sql, dialect) for name, sql in given.items()}


def draining() -> dict[str, str]:
    """Return the statements of a worker step by name, in order, for PostgreSQL."""
    given = {
        "account": process._LOCK_ACCOUNT,
        "claim": process._CLAIM,
        "change": state._BEGIN_CHANGE,
        "end": process._END_ENROLLMENTS,
        "finish": process._FINISH,
    }
    return {name: _write(sql, "postgresql") for name, sql in given.items()}


def digests(campus: Campus) -> dict[str, bytes]:
    """Return the parameters of the key look-up."""
    keys = {"account_digest": campus.account_key, "user_digest": campus.owner_key}
    return {name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}


def _write(sql: str, dialect: str) -> str:
    return " ".join(sql.format(**FRAGMENTS[dialect]).split())
