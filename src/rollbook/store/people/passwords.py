"""Passwords for the console, as salted argon2 hashes."""

import secrets
import threading
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, Role, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import accounts, users
from rollbook.store.operations.audit import record_change
from rollbook.store.people.accounts import named
from rollbook.store.people.emails import find_by_email
from rollbook.store.people.users import end_sessions, find_named

MIN_LENGTH, MAX_LENGTH = 12, 1000
ADMINISTERING = (Role.OWNER, Role.ADMINISTRATOR)

# 19 MiB a hash, two at a time: guessing is slow, and a flood of attempts cannot fill the memory.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_at_once = threading.BoundedSemaphore(2)


def set_password(connection: sa.Connection, account: Account, named: str, password: str, *, by: Actor) -> None:
    """Set the password of an administrator or owner, named as for `find_named`; errors: UserError.

    Login sessions of the user and an invitation end.
    """
    user = find_named(connection, account, named)
    name = user.email or f"User {user.id}"
    if user.role not in ADMINISTERING:
        raise UserError(f"{name} is a {user.role}; the console is for administrators and owners.")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise UserError(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    mine = sa.and_(users.c.account_id == account.id, users.c.id == user.id)
    changed = {"password_hash": _hasher.hash(password), "modified_at": utc_now()}
    connection.execute(sa.update(users).where(mine).values(changed))
    end_sessions(connection, user.id)
    record_change(connection, account.id, by, Change(Action.SET_PASSWORD, name))


def generate_password() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(15)


def has_several_accounts(connection: sa.Connection) -> bool:
    """Tell whether the database has more than one account, so that signing in needs its name."""
    return len(connection.execute(sa.select(accounts.c.id).limit(2)).all()) > 1


@dataclass(frozen=True)
class Login:
    """An active administrator or owner, and the password for the console if one is set."""

    account_id: int
    user_id: int
    password_hash: str | None


def find_login(database: Database, account: str, email: str) -> Login | None:
    """Find the active administrator or owner with this e-mail; `account` may be empty when there is only one.

    Both can be in any letter case; a name that is that of several accounts, and of none exactly, finds no one.
    """
    with database.read() as connection:
        wanted = [] if not account and not has_several_accounts(connection) else [named(connection, account)]
        among = connection.execute(sa.select(accounts.c.id).where(*wanted).limit(2)).scalars().all()
        if len(among) != 1:
            return None
        query = sa.select(users.c.account_id, users.c.id, users.c.password_hash)
        query = query.where(users.c.account_id == among[0], users.c.active, users.c.role.in_(ADMINISTERING))
        found = find_by_email(connection, query, email)
    return Login(*found) if found else None


def is_password_of(login: Login | None, password: str) -> bool:
    """Check a password; it takes as long without a user, so that the time does not tell whether one exists."""
    stored = (login and login.password_hash) or _unmatched_hash()
    with _at_once:
        try:
            return _hasher.verify(stored, password[: MAX_LENGTH + 1]) and login is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _unmatched_hash() -> str:
    return _hasher.hash(secrets.token_hex(32))
