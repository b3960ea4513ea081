"""The last calls of an account and their answers.

A search reads the calls of an account backwards, at most SPAN of them at once, and says from where to continue: so it
needs no index for each filter, and takes the same time however many calls are kept.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.sql import write_time
from rollbook.store.database.tables import calls, users
from rollbook.store.people.emails import find_by_email
from rollbook.store.people.search import contains

SPAN = 100_000
# Calls get their numbers up to a second after their time, by each server in its own order.
REORDERED = 10_000


@dataclass(frozen=True)
class AnsweredCall:
    """A call and its answer, without keys; `errors` counts the codes of the answer.

    `key_id` is the number of the user's key.
    """

    account_id: int
    user_id: int
    key_id: int | None
    method: str | None
    status: int
    result: str
    errors: dict[str, int]
    detail: str | None
    batch_id: int | None
    address: str | None
    request_id: str
    milliseconds: float
    answered_at: datetime


class Outcome(StrEnum):
    """The outcome of a call: success, success of some of its operations, or of none."""

    SUCCESS = "success"
    PARTLY = "partly"
    FAILED = "failed"


@dataclass(frozen=True)
class CallFilter:
    """The calls of a search; None excludes nothing.

    `user` is an e-mail in any letter case. `since` is inclusive, `until` is not. `text` is exactly a request id, a code
    or an address, or part of a detail.
    """

    method: str | None = None
    outcome: Outcome | None = None
    user: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


class FoundCalls(NamedTuple):
    """Calls, latest first, with the caller's e-mail as `user`, and the number from which older ones are searched.

    `older` is None when there are no further calls.
    """

    calls: list[dict[str, Any]]
    older: int | None


# The latest call beyond the :most that are kept, for every account that has one.
_BEYOND = """
    SELECT account_id, beyond FROM (
        SELECT a.id AS account_id,
               (SELECT c.id FROM calls AS c WHERE c.account_id = a.id ORDER BY c.id DESC LIMIT 1 OFFSET :most) AS beyond
        FROM accounts AS a) AS counted
    WHERE beyond IS NOT NULL
"""


def keep_calls(connection: sa.Connection, answered: Sequence[AnsweredCall]) -> None:
    """Store calls of any accounts, in their order."""
    names = [field.name for field in fields(AnsweredCall)]
    load_rows(connection, calls, map(_write, answered), names)


def find_calls(
    connection: sa.Connection, account_id: int, chosen: CallFilter, limit: int, before: int | None = None
) -> FoundCalls:
    """Find calls of an account, latest first, older than the number `before`."""
    mine = calls.c.account_id == account_id
    if chosen.until is not None:
        before = _begin(connection, chosen.until, before)
    older_than = [] if before is None else [calls.c.id < before]
    span = sa.select(calls.c.id).where(mine, *older_than).order_by(calls.c.id.desc()).offset(SPAN).limit(1)
    end = connection.execute(span).scalar_one_or_none()
    within = older_than if end is None else [*older_than, calls.c.id > end]
    query = sa.select(calls, users.c.email.label("user")).outerjoin_from(calls, users, users.c.id == calls.c.user_id)
    query = query.where(mine, *within, *_conditions(connection, account_id, chosen))
    rows = connection.execute(query.order_by(calls.c.id.desc()).limit(limit + 1)).all()
    found = [row._asdict() | {"errors": json.loads(row.errors or "{}")} for row in rows[:limit]]
    return FoundCalls(found, found[-1]["id"] if len(rows) > limit else end and end + 1)


def _begin(connection: sa.Connection, until: datetime, before: int | None) -> int:
    """Return the number before which every call that ended before `until` lies."""
    latest = sa.select(calls.c.id).where(calls.c.answered_at < until).order_by(calls.c.answered_at.desc())
    number = connection.execute(sa.select(sa.func.max(latest.limit(REORDERED).subquery().c.id))).scalar_one() or 0
    return min(number + 1, before or number + 1)


def _conditions(connection: sa.Connection, account_id: int, chosen: CallFilter) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if chosen.method is not None:
        conditions.append(calls.c.method == chosen.method)
    if chosen.outcome is not None:
        conditions.append(calls.c.result == ("Failed" if chosen.outcome is Outcome.FAILED else "Success"))
    if chosen.outcome in (Outcome.SUCCESS, Outcome.PARTLY):
        conditions.append((calls.c.errors == "{}") == (chosen.outcome is Outcome.SUCCESS))
    if chosen.user is not None:
        query = sa.select(users.c.id).where(users.c.account_id == account_id)
        user = find_by_email(connection, query, chosen.user)
        conditions.append(calls.c.user_id == (user.id if user else 0))
    if chosen.since is not None:
        conditions.append(calls.c.answered_at >= chosen.since)
    if chosen.until is not None:
        conditions.append(calls.c.answered_at < chosen.until)
    if chosen.text is not None:
        code = calls.c.errors.contains(json.dumps(chosen.text.upper()), autoescape=True)
        same = sa.or_(calls.c.request_id == chosen.text.lower(), calls.c.address == chosen.text)
        conditions.append(sa.or_(same, code, contains(calls.c.detail, chosen.text)))
    return conditions


def purge_calls(database: Database, now: datetime, days: float, most: int, limit: int) -> int:
    """Delete calls older than `days`, and those of an account beyond its `most` latest; return how many.

    Each transaction deletes at most `limit`; without expired calls none is opened.
    """
    old = calls.c.answered_at < now - timedelta(days=days)
    with database.autocommit() as connection:
        surplus = execute(connection, _BEYOND, {"most": most})
    reasons = [sa.and_(calls.c.account_id == account_id, calls.c.id <= beyond) for account_id, beyond in surplus]
    forgotten = 0
    for reason in [*reasons, old]:
        forgotten += delete_expired(database, calls, reason, limit)
    return forgotten


def _write(call: AnsweredCall) -> list[object]:
    values = vars(call) | {"errors": json.dumps(call.errors), "answered_at": write_time(call.answered_at)}
    return list(values.values())
