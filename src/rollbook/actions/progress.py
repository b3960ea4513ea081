"""Writes progress into enrollments, and the audit line."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.model import Action, Actor, Change, EnrollmentStatus, RejectReason

if TYPE_CHECKING:
    from sqlalchemy import Connection


def update_progress(
    connection: "Connection",
    by: Actor,
    account_id: int,
    wanted: Mapping[int, Mapping[str, Any]],
    *,
    refused: int,
    now: datetime,
) -> dict[int, RejectReason]:
    """Write what is wanted of each enrollment, and give by id the reason why one could not be changed.

    A column that is not named keeps its value. An enrollment that becomes Completed without a date is completed now.
    `refused` items are counted in the audit.
    """
    held = store.progress.find_progress(connection, account_id, wanted)
    changes = {id_: _changes(row, wanted[id_], now) for id_, row in held.items()}
    reopened = [row for id_, row in held.items() if _reopens(row, changes[id_])]
    rivals = store.progress.find_rivals(connection, account_id, reopened) if reopened else set()
    done = {id_: values for id_, values in changes.items() if values and id_ not in rivals}
    if done:
        store.progress.write_progress(connection, account_id, done, now)
        details = {"enrollments": [*done], "refused": refused + len(wanted) - len(held) + len(rivals)}
        store.audit.record_change(connection, account_id, by, Change(Action.UPDATE_PROGRESS, details=details))
    unknown = {id_: RejectReason.UNKNOWN for id_ in wanted if id_ not in held}
    return unknown | dict.fromkeys(rivals, RejectReason.ENROLLED_AGAIN)


def _changes(row: Mapping[str, Any], wanted: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    completes = wanted.get("status") is EnrollmentStatus.COMPLETED
    if completes and not wanted.get("completed_at", row["completed_at"]):
        wanted = {**wanted, "completed_at": now}
    return {name: value for name, value in wanted.items() if value != row[name]}


def _reopens(row: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    return row["status"] == EnrollmentStatus.COMPLETED and "status" in changes
