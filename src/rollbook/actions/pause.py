"""Pauses and resumes the queue of an account; an audit line records each change."""

from datetime import datetime
from typing import TYPE_CHECKING

from rollbook import store
from rollbook.model import Action, Actor, Change

if TYPE_CHECKING:
    from sqlalchemy import Connection


def pause(connection: "Connection", by: Actor, account_id: int, now: datetime) -> None:
    """Stop the processing of the queue; calls are still accepted."""
    if store.state.pause_queue(connection, account_id, now):
        store.audit.record_change(connection, account_id, by, Change(Action.PAUSE))


def resume(connection: "Connection", by: Actor, account_id: int) -> None:
    """Resume the processing of due items."""
    if store.state.resume_queue(connection, account_id):
        store.audit.record_change(connection, account_id, by, Change(Action.RESUME))
