"""API keys of accounts and users: only digests are stored, so a key is shown once, when it is made.

Every change goes into the audit here, in the name of `by`.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Caller, Change, Policies, Role, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import keys, users
from rollbook.store.operations.audit import record_change
from rollbook.store.people.fields import check_text
from rollbook.store.people.users import find_user

# The last use of a key is stored to the minute, so that not every call writes.
USED_STEP = timedelta(minutes=1)
# Writes the audit lines about keys whose time is over.
WORKER = Actor("worker")

# Both keys must be valid and belong to the same account.
_FIND_CALLER = """
    SELECT a.id AS account_id, a.name AS account, a.protect_completed, a.hold_seconds, a.retention_days,
           a.require_second_factor, u.id AS user_id, COALESCE(u.email, '') AS email, u.role, account_key.id, user_key.id
    FROM keys AS account_key
    JOIN accounts AS a ON a.id = account_key.account_id
    JOIN keys AS user_key
        ON user_key.digest = :user_digest AND user_key.account_id = a.id AND user_key.revoked_at IS NULL
        AND (user_key.expires_at IS NULL OR user_key.expires_at > :now_at)
    JOIN users AS u ON u.id = user_key.user_id AND u.account_id = user_key.account_id AND u.active
    WHERE account_key.digest = :account_digest AND account_key.user_id IS NULL AND account_key.revoked_at IS NULL
      AND (account_key.expires_at IS NULL OR account_key.expires_at > :now_at)
"""
# Locked in their order, so that two servers that write the same keys do not deadlock.
_USE = """
    UPDATE keys SET last_used_at = :now_at WHERE id IN (
        SELECT id FROM keys WHERE id {in_ids} AND (last_used_at IS NULL OR last_used_at < :before)
        ORDER BY id {claim_lock})
"""


def find_caller(connection: sa.Connection, account_key: str, user_key: str) -> Caller | None:
    """Find the caller that both keys belong to.

    None when a key is unknown, revoked or expired, when they belong to two accounts, or when the user is inactive.
    """
    given = {"account_digest": digest(account_key), "user_digest": digest(user_key), "now_at": utc_now()}
    found = execute(connection, _FIND_CALLER, given)
    if not found:
        return None
    [(account_id, account, protects, hold_seconds, retention_days, demands, user_id, email, role, *key_ids)] = found
    policies = Policies(bool(protects), hold_seconds, retention_days, bool(demands))
    return Caller(account_id, account, user_id, email, Role(role), policies, tuple(key_ids))


def list_keys(connection: sa.Connection, account: Account) -> list[dict[str, Any]]:
    """List the keys of an account with their states, including ended ones; the keys themselves are not stored."""
    kind = sa.case((keys.c.user_id.is_(None), "account"), else_="user").label("kind")
    times = (keys.c.created_at, keys.c.last_used_at, keys.c.expires_at, keys.c.revoked_at)
    query = sa.select(keys.c.id, kind, keys.c.user_id, users.c.email.label("user"), keys.c.name, *times)
    query = query.outerjoin_from(keys, users, keys.c.user_id == users.c.id).where(keys.c.account_id == account.id)
    now = utc_now()
    return [row._asdict() | {"state": _state(row, now)} for row in connection.execute(query.order_by(keys.c.id))]


def _state(key: Any, now: datetime) -> str:
    if key.expires_at and key.expires_at <= (key.revoked_at or now):
        return "expired"
    return "revoked" if key.revoked_at else "active"


def new_key(
    connection: sa.Connection,
    account: Account,
    email: str | None,
    *,
    by: Actor,
    name: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a key of a user, or with None of the account, and return it; it cannot be read again. Errors: UserError."""
    user, now = None if email is None else find_user(connection, account, email), utc_now()
    if user and not user.active:
        raise UserError(f"{user.email} is not active, so a key would not work.")
    if expires_at and expires_at <= now:
        raise UserError(f"A key cannot expire at {expires_at:%Y-%m-%d %H:%M} UTC, which is over.")
    name, key = check_text("name of the key", name) if name else None, secrets.token_hex(32)
    values = {"account_id": account.id, "user_id": user and user.id, "digest": digest(key), "created_at": now}
    adding = sa.insert(keys).values(**values, name=name, expires_at=expires_at).returning(keys.c.id)
    number = connection.execute(adding).scalar_one()
    told = {"user": user and user.email, "name": name, "expires": expires_at and expires_at.isoformat()}
    details = {what: value for what, value in told.items() if value}
    record_change(connection, account.id, by, Change(Action.NEW_KEY, f"key {number}", details))
    return key


def revoke_key(connection: sa.Connection, account: Account, key_id: int, *, by: Actor) -> None:
    """Revoke a key; one that is revoked already keeps its time. Errors: UserError."""
    mine = sa.and_(keys.c.account_id == account.id, keys.c.id == key_id)
    valid = sa.and_(mine, keys.c.revoked_at.is_(None))
    if connection.execute(sa.update(keys).where(valid).values(revoked_at=utc_now())).rowcount > 0:
        record_change(connection, account.id, by, Change(Action.REVOKE_KEY, f"key {key_id}"))
    elif connection.execute(sa.select(keys.c.id).where(mine)).first() is None:
        raise UserError(f"The account {account.name!r} has no key {key_id}. See: rollbook key list")


def use_keys(connection: sa.Connection, key_ids: Collection[int]) -> None:
    """Store that keys have been used, unless that is stored of this minute."""
    now = utc_now()
    execute(connection, _USE, {"ids": sorted(key_ids), "now_at": now, "before": now - USED_STEP})


def expire_keys(database: Database, limit: int) -> int:
    """Revoke up to `limit` keys whose time is over, each with an audit line; return how many."""
    over = sa.and_(keys.c.expires_at <= utc_now(), keys.c.revoked_at.is_(None))
    with database.read() as connection:
        if connection.execute(sa.select(keys.c.id).where(over).limit(1)).first() is None:
            return 0

    def expire(connection: sa.Connection) -> int:
        ids = sa.select(keys.c.id).where(over).order_by(keys.c.id).limit(limit).with_for_update(skip_locked=True)
        ended = sa.update(keys).where(keys.c.id.in_(ids)).values(revoked_at=keys.c.expires_at)
        rows = connection.execute(ended.returning(keys.c.id, keys.c.account_id)).all()
        for number, account_id in sorted(rows):
            record_change(connection, account_id, WORKER, Change(Action.EXPIRE_KEY, f"key {number}"))
        return len(rows)

    return database.transact(expire)


def digest(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()
