"""API keys of accounts and users: only digests are stored, so a key is shown once, when it is made.

Every change goes into the audit here, in the name of `by`.
"""

import hashlib
import secrets

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Caller, Change, Policies, Role, utc_now
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import keys, users
from rollbook.store.operations.audit import record_change
from rollbook.store.people.users import find_user

# Both keys must be valid and belong to the same account.
_FIND_CALLER = """
    SELECT a.id AS account_id, a.name AS account, a.protect_completed, a.hold_seconds, a.retention_days,
           u.id AS user_id, COALESCE(u.email, '') AS email, u.role
    FROM keys AS account_key
    JOIN accounts AS a ON a.id = account_key.account_id
    JOIN keys AS user_key
        ON user_key.digest = :user_digest AND user_key.account_id = a.id AND user_key.revoked_at IS NULL
    JOIN users AS u ON u.id = user_key.user_id AND u.account_id = user_key.account_id AND u.active
    WHERE account_key.digest = :account_digest AND account_key.user_id IS NULL AND account_key.revoked_at IS NULL
"""


def find_caller(connection: sa.Connection, account_key: str, user_key: str) -> Caller | None:
    """Find the caller that both keys belong to.

    None when a key is unknown or revoked, when they belong to two accounts, or when the user is inactive.
    """
    digests = {"account_digest": digest(account_key), "user_digest": digest(user_key)}
    found = execute(connection, _FIND_CALLER, digests)
    if not found:
        return None
    [(account_id, account, protect_completed, hold_seconds, retention_days, user_id, email, role)] = found
    policies = Policies(bool(protect_completed), hold_seconds, retention_days)
    return Caller(account_id, account, user_id, email, Role(role), policies)


def list_keys(connection: sa.Connection, account: Account) -> list[dict[str, object]]:
    """List the keys of an account, including revoked ones; the keys themselves are not stored."""
    kind = sa.case((keys.c.user_id.is_(None), "account"), else_="user").label("kind")
    columns = (keys.c.id, kind, keys.c.user_id, users.c.email.label("user"), keys.c.created_at, keys.c.revoked_at)
    query = sa.select(*columns)
    query = query.outerjoin_from(keys, users, keys.c.user_id == users.c.id).where(keys.c.account_id == account.id)
    return [row._asdict() for row in connection.execute(query.order_by(keys.c.id))]


def new_key(connection: sa.Connection, account: Account, email: str | None, *, by: Actor) -> str:
    """Make a key of a user, or with None of the account, and return it; it cannot be read again."""
    user = None if email is None else find_user(connection, account, email)
    if user and not user.active:
        raise UserError(f"{user.email} is not active, so a key would not work.")
    key = secrets.token_hex(32)
    values = {"account_id": account.id, "user_id": user and user.id, "digest": digest(key), "created_at": utc_now()}
    number = connection.execute(sa.insert(keys).values(values).returning(keys.c.id)).scalar_one()
    of = {"user": user.email} if user else {}
    record_change(connection, account.id, by, Change(Action.NEW_KEY, f"key {number}", of))
    return key


def revoke_key(connection: sa.Connection, account: Account, key_id: int, *, by: Actor) -> None:
    """Revoke a key; one that is revoked already keeps its time. Errors: UserError."""
    mine = sa.and_(keys.c.account_id == account.id, keys.c.id == key_id)
    valid = sa.and_(mine, keys.c.revoked_at.is_(None))
    if connection.execute(sa.update(keys).where(valid).values(revoked_at=utc_now())).rowcount > 0:
        record_change(connection, account.id, by, Change(Action.REVOKE_KEY, f"key {key_id}"))
    elif connection.execute(sa.select(keys.c.id).where(mine)).first() is None:
        raise UserError(f"The account {account.name!r} has no key {key_id}. See: rollbook key list")


def digest(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()
