"""Authorizes a learner to open the learner's page, and writes the audit line: by number, without the keys."""

from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection


def authorize_learner(
    connection: "Connection", by: Actor, account_id: int, user_id: int, now: datetime
) -> tuple[str, str]:
    """Authorize the learner; give AuthKey and RequestKey."""
    keys = store.learner_sessions.add_authorization(connection, account_id, user_id, now)
    store.audit.record_change(connection, account_id, by, Change(Action.AUTHORIZE, f"user {user_id}"))
    return keys
