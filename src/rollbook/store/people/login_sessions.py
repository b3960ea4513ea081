"""Login sessions of the console, and the notice that the next page shows once.

Only a digest of the session cookie is stored.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.model import Caller, Policies, Role
from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import accounts, login_sessions, second_factors, users
from rollbook.store.people.accounts import POLICIES
from rollbook.store.people.api_keys import digest
from rollbook.store.people.passwords import ADMINISTERING

# The time of the last request is stored to the minute, so that not every page writes.
SEEN_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Lifetime:
    """How long a login session lasts without a request, and in all."""

    idle: timedelta
    whole: timedelta


@dataclass(frozen=True)
class LoginSession:
    """A login session; `stale` when the time of the last request should be stored.

    `notice` is what a page shows once, sealed by the console. A user who `has_factor` has shown it in this session.
    """

    caller: Caller
    stale: bool
    notice: bytes | None
    has_factor: bool


def begin_login_session(
    connection: sa.Connection, account_id: int, user_id: int, now: datetime, *, verified: bool = False
) -> str:
    """Begin a session of a user, `verified` by the second factor, and return the token of its cookie."""
    token = secrets.token_urlsafe(32)
    row = {"digest": digest(token), "account_id": account_id, "user_id": user_id, "created_at": now, "seen_at": now}
    connection.execute(login_sessions.insert().values(**row, verified_at=now if verified else None))
    return token


def find_login_session(connection: sa.Connection, token: str, now: datetime, lifetime: Lifetime) -> LoginSession | None:
    """Find a session; None when it has ended or expired, or when the user is inactive or no longer administers.

    Nor is one a session whose user has a second factor and has not shown it, such as one that an older release began.
    """
    query = (
        sa.select(
            *(accounts.c.id, accounts.c.name, users.c.id, users.c.email, users.c.role),
            *(login_sessions.c.seen_at, login_sessions.c.notice, second_factors.c.confirmed_at, *POLICIES),
        )
        .join_from(login_sessions, users, users.c.id == login_sessions.c.user_id)
        .outerjoin(second_factors, second_factors.c.user_id == users.c.id)
        .join(accounts, accounts.c.id == login_sessions.c.account_id)
        .where(
            login_sessions.c.digest == digest(token),
            users.c.account_id == login_sessions.c.account_id,
            login_sessions.c.seen_at > now - lifetime.idle,
            login_sessions.c.created_at > now - lifetime.whole,
            sa.or_(second_factors.c.confirmed_at.is_(None), login_sessions.c.verified_at.is_not(None)),
            users.c.active,
            users.c.role.in_(ADMINISTERING),
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    account_id, account, user_id, email, role, seen_at, notice, confirmed_at, *decided = row
    caller = Caller(account_id, account, user_id, email or "", Role(role), Policies(*decided))
    return LoginSession(caller, seen_at < now - SEEN_STEP, notice, confirmed_at is not None)


def keep_alive(connection: sa.Connection, token: str, now: datetime) -> None:
    """Store the time of a request."""
    connection.execute(login_sessions.update().where(login_sessions.c.digest == digest(token)).values(seen_at=now))


def keep_notice(connection: sa.Connection, token: str, notice: bytes) -> None:
    """Store the notice for the next page, in place of one that was not shown yet."""
    connection.execute(login_sessions.update().where(login_sessions.c.digest == digest(token)).values(notice=notice))


def take_notice(connection: sa.Connection, token: str, notice: bytes) -> bool:
    """Delete the notice that is about to be shown; False when another page has shown it."""
    same = sa.and_(login_sessions.c.digest == digest(token), login_sessions.c.notice == notice)
    return connection.execute(login_sessions.update().where(same).values(notice=None)).rowcount > 0


def end_login_session(connection: sa.Connection, token: str) -> None:
    """End a session."""
    connection.execute(login_sessions.delete().where(login_sessions.c.digest == digest(token)))


def purge_login_sessions(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` sessions without a request for a week, which every setting ends; return how many."""
    return delete_expired(database, login_sessions, login_sessions.c.seen_at < now - timedelta(days=7), limit)
