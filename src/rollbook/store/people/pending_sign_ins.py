"""Sign-ins that wait for the second factor: the password was right, and no page but the one for the code opens."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import pending_sign_ins, users
from rollbook.store.people.api_keys import digest
from rollbook.store.people.passwords import ADMINISTERING

LASTS = timedelta(minutes=10)


@dataclass(frozen=True)
class PendingSignIn:
    """The user of a pending sign-in."""

    account_id: int
    user_id: int
    email: str


def begin_pending(connection: sa.Connection, account_id: int, user_id: int, now: datetime) -> str:
    """Begin a pending sign-in and return the token of its cookie."""
    token = secrets.token_urlsafe(32)
    row = {"digest": digest(token), "account_id": account_id, "user_id": user_id, "created_at": now}
    connection.execute(pending_sign_ins.insert(), row)
    return token


def find_pending(connection: sa.Connection, token: str, now: datetime) -> PendingSignIn | None:
    """Find a pending sign-in; None when it has ended, or when the user is inactive or no longer administers."""
    query = (
        sa.select(users.c.account_id, users.c.id, sa.func.coalesce(users.c.email, ""))
        .join_from(pending_sign_ins, users, users.c.id == pending_sign_ins.c.user_id)
        .where(
            pending_sign_ins.c.digest == digest(token),
            pending_sign_ins.c.created_at > now - LASTS,
            users.c.active,
            users.c.role.in_(ADMINISTERING),
        )
    )
    found = connection.execute(query).one_or_none()
    return PendingSignIn(*found) if found else None


def end_pending(connection: sa.Connection, token: str) -> bool:
    """End a pending sign-in; False when it has ended before."""
    return connection.execute(pending_sign_ins.delete().where(pending_sign_ins.c.digest == digest(token))).rowcount > 0


def purge_pending(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` pending sign-ins whose time is over; return how many."""
    return delete_expired(database, pending_sign_ins, pending_sign_ins.c.created_at < now - LASTS, limit)
