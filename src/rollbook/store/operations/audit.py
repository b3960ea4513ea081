"""The audit: a line for every change of an account's records, written in the transaction of the change.

Lines are never changed or deleted.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.model import Action, Actor, Change, utc_now
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import audit

_ADD = """
    INSERT INTO audit (account_id, user_id, actor, action, subject, details, address, request_id, happened_at)
    SELECT :account_id, CAST(item ->> 'user_id' AS BIGINT), item ->> 'actor', item ->> 'action', item ->> 'subject',
           item ->> 'details', item ->> 'address', item ->> 'request_id', :happened_at
    FROM {rows} AS lines ORDER BY block
"""


def record_change(connection: sa.Connection, account_id: int, by: Actor, change: Change) -> None:
    """Write the audit line of a change into its transaction.

    Lines of a request go to the log too, after the commit (Database.write).
    """
    record_changes(connection, account_id, [(by, change)])


def record_changes(connection: sa.Connection, account_id: int, changes: Sequence[tuple[Actor, Change]]) -> None:
    """Write the audit lines of several changes, as `record_change` does."""
    lines = [
        {
            "account_id": account_id,
            "user_id": by.user_id,
            "actor": by.name,
            "action": change.action.value,
            "subject": change.subject,
            "address": by.address,
            "request_id": by.request_id,
        }
        for by, change in changes
    ]
    stored = [
        line | {"details": json.dumps(change.details, ensure_ascii=False)}
        for line, (_, change) in zip(lines, changes, strict=True)
    ]
    execute(connection, _ADD, {"account_id": account_id, "rows": stored, "happened_at": utc_now()})
    committed = connection.get_execution_options().get("committed")
    if committed is not None:
        for line, (by, change) in zip(lines, changes, strict=True):
            if by.request_id is not None:
                committed.append(line | {"details": change.details})


def list_changes(
    connection: sa.Connection,
    account_id: int,
    *,
    actor: str | None = None,
    action: Action | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """List the audit lines of an account, latest first; `before_id` continues after the last line of a page."""
    wanted = [audit.c.account_id == account_id]
    if actor is not None:
        wanted.append(audit.c.actor == actor)
    if action is not None:
        wanted.append(audit.c.action == action.value)
    if since is not None:
        wanted.append(audit.c.happened_at >= since)
    if until is not None:
        wanted.append(audit.c.happened_at < until)
    if before_id is not None:
        wanted.append(audit.c.id < before_id)
    query = sa.select(audit).where(*wanted).order_by(audit.c.id.desc()).limit(limit)
    return [row._asdict() | {"details": json.loads(row.details or "{}")} for row in connection.execute(query)]


def list_actors(connection: sa.Connection, account_id: int) -> list[str]:
    """List the actors in the audit of an account."""
    query = sa.select(audit.c.actor).where(audit.c.account_id == account_id).distinct()
    return list(connection.execute(query.order_by(audit.c.actor)).scalars())


def compare(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """Describe the differences after a change by name, for the details of an audit line."""
    return {name: {"from": before.get(name), "to": to} for name, to in after.items() if before.get(name) != to}
