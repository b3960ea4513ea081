"""External authorizations, and the sessions of the learner's page that they open (protocol-neighbours §13).

Only digests are stored: of both keys of an authorization together, and of the session cookie.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

import sqlalchemy as sa

from rollbook.model import Role
from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import accounts, external_authorizations, learner_sessions, users

KEYS_LIFETIME = timedelta(seconds=60)
# Every setting ends a session within a week.
MAX_SESSION = timedelta(days=7)

_ACTIVE_LEARNER = sa.and_(users.c.active, users.c.erased_at.is_(None), users.c.role == Role.LEARNER)


@dataclass(frozen=True)
class LearnerSession:
    """The learner of a session."""

    account_id: int
    user_id: int
    given_name: str
    family_name: str


def may_authorize_from(connection: sa.Connection, account_id: int, address: str | None) -> bool:
    """Tell whether the account allows calls of requestExternalAuthorization from an address; NULL allows all."""
    query = sa.select(accounts.c.authorization_addresses).where(accounts.c.id == account_id)
    allowed = connection.execute(query).scalar_one()
    if allowed is None:
        return True
    try:
        caller = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(caller, IPv6Address):
        caller = caller.ipv4_mapped or caller
    return any(caller in ip_network(network) for network in json.loads(allowed))


def add_authorization(connection: sa.Connection, account_id: int, user_id: int, now: datetime) -> tuple[str, str]:
    """Authorize a learner and return the two keys, AuthKey and RequestKey."""
    keys = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    row = {"digest": _digest(*keys), "account_id": account_id, "user_id": user_id, "created_at": now}
    connection.execute(external_authorizations.insert(), row)
    return keys


def begin_session(
    connection: sa.Connection, auth_key: str, request_key: str, previous: str, now: datetime
) -> str | None:
    """Use up both keys, end the browser's previous session, and return the token of a new one.

    None for keys that are unknown, used or expired, or when the user is no active learner.
    """
    used = external_authorizations.delete().where(external_authorizations.c.digest == _digest(auth_key, request_key))
    columns = (external_authorizations.c[name] for name in ("account_id", "user_id", "created_at"))
    authorized = connection.execute(used.returning(*columns)).one_or_none()
    if authorized is None or authorized.created_at <= now - KEYS_LIFETIME:
        return None
    learner = sa.select(users.c.id).where(users.c.id == authorized.user_id, _ACTIVE_LEARNER)
    if connection.execute(learner).one_or_none() is None:
        return None
    end_session(connection, previous)
    token = secrets.token_urlsafe(32)
    row = {"account_id": authorized.account_id, "user_id": authorized.user_id, "created_at": now}
    connection.execute(learner_sessions.insert(), {"digest": _digest(token), **row})
    return token


def find_session(connection: sa.Connection, token: str, begun_after: datetime) -> LearnerSession | None:
    """Find a session; None when it has ended, began before that time, or the user is not an active learner."""
    columns = (learner_sessions.c.account_id, users.c.id, users.c.given_name, users.c.family_name)
    query = sa.select(*columns).join_from(learner_sessions, users, users.c.id == learner_sessions.c.user_id)
    query = query.where(
        learner_sessions.c.digest == _digest(token),
        users.c.account_id == learner_sessions.c.account_id,
        learner_sessions.c.created_at > begun_after,
        _ACTIVE_LEARNER,
    )
    found = connection.execute(query).one_or_none()
    return None if found is None else LearnerSession(*found)


def end_session(connection: sa.Connection, token: str) -> None:
    """End a session."""
    connection.execute(learner_sessions.delete().where(learner_sessions.c.digest == _digest(token)))


def purge_authorizations(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` authorizations that were not used in time; return how many."""
    expired = external_authorizations.c.created_at <= now - KEYS_LIFETIME
    return delete_expired(database, external_authorizations, expired, limit)


def purge_sessions(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` sessions that every setting ends; return how many."""
    return delete_expired(database, learner_sessions, learner_sessions.c.created_at < now - MAX_SESSION, limit)


def _digest(*keys: str) -> bytes:
    return hashlib.sha256(" ".join(keys).encode()).digest()
