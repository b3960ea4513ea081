"""Invitations to the console: a link with which an administrator or owner chooses a password, once.

Only a digest of the link's key is stored.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, Policies
from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import accounts, invitations, users
from rollbook.store.operations.audit import record_change
from rollbook.store.people.passwords import ADMINISTERING, set_password
from rollbook.store.people.users import find_named

VALID = timedelta(days=7)


@dataclass(frozen=True)
class Invitation:
    """An invitation that can be accepted."""

    account: Account
    user_id: int
    email: str
    expires_at: datetime


def invite(connection: sa.Connection, account: Account, named: str, now: datetime, *, by: Actor) -> str:
    """Make an invitation of a user named as for `find_named`, in place of an earlier one; return the link's key.

    Errors: UserError for a user who may not sign in.
    """
    user = find_named(connection, account, named)
    if not user.active or not user.email or user.role not in ADMINISTERING:
        raise UserError("Only an active administrator or owner with an e-mail can be invited.")
    connection.execute(invitations.delete().where(invitations.c.user_id == user.id))
    key = secrets.token_urlsafe(32)
    row = {"digest": _digest(key), "account_id": account.id, "user_id": user.id, "created_at": now}
    connection.execute(invitations.insert().values(**row, expires_at=now + VALID))
    record_change(connection, account.id, by, Change(Action.INVITE_USER, user.email))
    return key


def find_invitation(connection: sa.Connection, key: str, now: datetime) -> Invitation | None:
    """Find an invitation; None when it was accepted, replaced or has expired, or when the user may not sign in."""
    columns = (accounts.c.id, accounts.c.name, users.c.id, users.c.email, invitations.c.expires_at)
    query = sa.select(*columns).join_from(invitations, users, users.c.id == invitations.c.user_id)
    query = query.join(accounts, accounts.c.id == invitations.c.account_id)
    valid = sa.and_(invitations.c.digest == _digest(key), invitations.c.expires_at > now)
    may = sa.and_(users.c.active, users.c.email.is_not(None), users.c.role.in_(ADMINISTERING))
    row = connection.execute(query.where(valid, may)).one_or_none()
    if row is None:
        return None
    account_id, name, user_id, email, expires_at = row
    return Invitation(Account(account_id, name, Policies()), user_id, email, expires_at)


def accept(
    connection: sa.Connection, key: str, password: str, now: datetime, *, address: str | None, request_id: str
) -> bool:
    """Set the password of an invited user and end the invitation; False when it is not valid. Errors: UserError."""
    found = find_invitation(connection, key, now)
    # Of two who accept at once, one finds nothing to delete.
    if found is None or connection.execute(_only(key)).rowcount == 0:
        return False
    by = Actor(found.email, found.user_id, address, request_id)
    set_password(connection, found.account, str(found.user_id), password, by=by)
    return True


def purge_invitations(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` invitations that have expired; return how many."""
    return delete_expired(database, invitations, invitations.c.expires_at < now, limit)


def _only(key: str) -> sa.Delete:
    return invitations.delete().where(invitations.c.digest == _digest(key))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
