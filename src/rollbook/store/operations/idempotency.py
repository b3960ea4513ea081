"""Answers stored under an Idempotency-Key for a day (D21)."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.model import Caller
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import answers

KEPT = timedelta(hours=24)

# Of concurrent calls one inserts the row; on PostgreSQL the others wait here until it has committed.
_CLAIM = """
    INSERT INTO answers (account_id, user_id, key, package_digest, succeeded, body, created_at)
    VALUES (:account_id, :user_id, :key, :package_digest, FALSE, :body, :created_at)
    ON CONFLICT DO NOTHING RETURNING key
"""


@dataclass(frozen=True)
class StoredAnswer:
    """The answer of a call, and the SHA-256 digest of its package."""

    package_digest: bytes
    succeeded: bool
    batch_id: int | None
    body: bytes


def claim_key(connection: sa.Connection, caller: Caller, key: str, package_digest: bytes, now: datetime) -> bool:
    """Claim a key for a call; False when it was used within the last day."""
    connection.execute(answers.delete().where(_is(caller, key), answers.c.created_at <= now - KEPT))
    values = {"account_id": caller.account_id, "user_id": caller.user_id, "key": key}
    claim = {**values, "package_digest": package_digest, "body": b"", "created_at": now}
    return execute(connection, _CLAIM, claim) != []


def keep_answer(connection: sa.Connection, caller: Caller, key: str, answer: StoredAnswer) -> None:
    """Store the answer under the key that this transaction has claimed."""
    connection.execute(answers.update().where(_is(caller, key)).values(asdict(answer)))


def find_answer(connection: sa.Connection, caller: Caller, key: str) -> StoredAnswer:
    """Return the answer stored under a key that could not be claimed."""
    columns = (answers.c.package_digest, answers.c.succeeded, answers.c.batch_id, answers.c.body)
    return StoredAnswer(*connection.execute(sa.select(*columns).where(_is(caller, key))).one())


def purge_idempotency_keys(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` answers that are older than a day; return how many."""
    return delete_expired(database, answers, answers.c.created_at <= now - KEPT, limit)


def _is(caller: Caller, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(answers.c.account_id == caller.account_id, answers.c.user_id == caller.user_id, answers.c.key == key)
