"""Writes progress into enrollments, and the audit line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.model import Action, Actor, Change, EnrollmentStatus, RejectReason

if TYPE_CHECKING:
    from sqlalchemy import Connection

Wanted = Mapping[int, Mapping[str, Any]]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """By id, the enrollments that changed, each before and after, and the reasons why others could not."""

    changed: dict[int, tuple[Row, Row]]
    refused: dict[int, RejectReason]


def update_progress(
    connection: "Connection", by: Actor, account_id: int, wanted: Wanted, *, refused: int, now: datetime
) -> dict[int, RejectReason]:
    """Write progress as `write_progress` does, and give the reasons by id; the audit counts `refused` items too."""
    written = write_progress(connection, account_id, wanted, now)
    if written.changed:
        details = {"enrollments": [*written.changed], "refused": refused + len(written.refused)}
        store.audit.record_change(connection, account_id, by, Change(Action.UPDATE_PROGRESS, details=details))
    return written.refused


def write_progress(connection: "Connection", account_id: int, wanted: Wanted, now: datetime) -> Written:
    """Write what is wanted of each enrollment, without an audit line.

    A column that is not named keeps its value. An enrollment that becomes Completed without a date is completed now.
    """
    names = {name for values in wanted.values() for name in values}
    names |= {"completed_at"} if "status" in names else set()
    held = store.progress.find_progress(connection, account_id, wanted, sorted(names))
    times = [name for name in store.progress.TIMES if name in names]
    rows = {id_: _merge(row, wanted[id_], times, now) for id_, row in held.items()}
    reopened = [id_ for id_, row in held.items() if _reopens(row, rows[id_])]
    closed = [id_ for id_, row in held.items() if _reopens(rows[id_], row)]
    rivals = store.progress.find_rivals(connection, account_id, reopened, closed) if reopened else set()
    changed = {id_: row for id_, row in rows.items() if row != held[id_] and id_ not in rivals}
    # One that closes makes room for one that opens.
    for ids in (changed.keys() - reopened, changed.keys() & reopened):
        differ = [name for name in names if any(changed[id_][name] != held[id_][name] for id_ in ids)]
        if differ:
            part = {id_: changed[id_] for id_ in ids}
            store.progress.write_progress(connection, account_id, differ, part, now)
    unknown = {id_: RejectReason.UNKNOWN for id_ in wanted if id_ not in held}
    return Written(
        {id_: (held[id_], row) for id_, row in changed.items()},
        unknown | dict.fromkeys(rivals, RejectReason.ENROLLED_AGAIN),
    )


def _merge(held: Row, wanted: Row, times: Sequence[str], now: datetime) -> Row:
    new = {**held, **wanted}
    if new != held:
        for name in times:
            # A time of the wire has milliseconds.
            time, given = held[name], new[name]
            if time and given != time and given == time.replace(microsecond=time.microsecond // 1000 * 1000):
                new[name] = time
    if wanted.get("status") is EnrollmentStatus.COMPLETED and not new["completed_at"]:
        new["completed_at"] = now
    return new


def _reopens(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return bool(before.get("status") == EnrollmentStatus.COMPLETED != after.get("status"))
