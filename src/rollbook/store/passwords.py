"""Passwords of those who may sign in to the console: argon2 with its own salt, never readable again."""

import secrets
import threading
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rollbook.errors import UserError
from rollbook.model import Action, Actor, Change, Role, utc_now
from rollbook.store.accounts import Account, find_user
from rollbook.store.audit import record_change
from rollbook.store.engine import Database
from rollbook.store.tables import accounts, sign_ins, users

SHORTEST, LONGEST = 12, 1000
ADMINISTERING = (Role.OWNER, Role.ADMINISTRATOR)

# 19 MiB a hash, two at once: guessing is slow, and a flood of attempts cannot fill the memory.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_at_once = threading.BoundedSemaphore(2)


def set_password(connection: sa.Connection, account: Account, email: str, password: str, *, by: Actor) -> None:
    """Give an administrator or owner a password, and end the sign-ins that the old one had; errors: UserError."""
    user = find_user(connection, account, email)
    if user.role not in ADMINISTERING:
        raise UserError(f"{user.email} is a {user.role}; the console is for administrators and owners.")
    if not SHORTEST <= len(password) <= LONGEST:
        raise UserError(f"A password has {SHORTEST} to {LONGEST} characters.")
    mine = sa.and_(users.c.account_id == account.id, users.c.id == user.id)
    changed = {"password_hash": _hasher.hash(password), "modified_at": utc_now()}
    connection.execute(sa.update(users).where(mine).values(changed))
    ended = sa.and_(sign_ins.c.account_id == account.id, sign_ins.c.user_id == user.id)
    connection.execute(sa.delete(sign_ins).where(ended))
    record_change(connection, account.id, by, Change(Action.SET_PASSWORD, user.email))


def generate_password() -> str:
    """Make a password that nobody has to think up."""
    return secrets.token_urlsafe(15)


def has_several_accounts(connection: sa.Connection) -> bool:
    """Tell whether an e-mail alone would not say which account is meant."""
    return len(connection.execute(sa.select(accounts.c.id).limit(2)).all()) > 1


def check_password(database: Database, account: str, email: str, password: str) -> tuple[int, int] | None:
    """Return (account_id, user_id) of the one who may sign in with this; None otherwise, after the same time.

    `account` may be empty when there is only one.
    """
    with database.read() as connection:
        wanted = [] if not account and not has_several_accounts(connection) else [accounts.c.name == account]
        same = sa.func.lower(users.c.email) == sa.func.lower(email)
        among = sa.select(accounts.c.id).where(*wanted)  # names each account, so that the index of e-mails serves
        query = sa.select(users.c.account_id, users.c.id, users.c.password_hash)
        query = query.where(users.c.account_id.in_(among), same, users.c.active, users.c.role.in_(ADMINISTERING))
        found = connection.execute(query).one_or_none()
    # Also where there is nobody to compare with, so that the time tells no stranger which e-mails are known.
    right = _verify((found and found.password_hash) or _nobody(), password[: LONGEST + 1])
    return (found.account_id, found.id) if right and found is not None else None


def _verify(stored: str, password: str) -> bool:
    with _at_once:
        try:
            return _hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_hex(32))
