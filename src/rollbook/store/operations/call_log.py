"""The last calls of an account and their answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.sql import write_time
from rollbook.store.database.tables import calls


@dataclass(frozen=True)
class AnsweredCall:
    """A call and its answer, without keys; `errors` counts the codes of the answer."""

    account_id: int
    user_id: int
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


def list_calls(
    connection: sa.Connection, account_id: int, limit: int, before: int | None = None
) -> list[tuple[int, AnsweredCall]]:
    """Return the last calls of an account, latest first, with their numbers; `before` continues after a number."""
    query = sa.select(calls).where(calls.c.account_id == account_id)
    if before is not None:
        query = query.where(calls.c.id < before)
    rows = connection.execute(query.order_by(calls.c.id.desc()).limit(limit)).mappings()
    return [(row["id"], _read(row)) for row in rows]


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


def _read(row: sa.RowMapping) -> AnsweredCall:
    values = {name: value for name, value in row.items() if name != "id"}
    return AnsweredCall(**values | {"errors": json.loads(row["errors"])})
