"""Which account is a copy of which, how far its current run is, and how the copy differs from what was listed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, UnenrollmentStatus, utc_now
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import batches, enrollments, mirrored, mirrors, unenrollments
from rollbook.store.mirror.numbers import reserve_numbers

# The begin of the idempotency_key of batches that `unenroll --keep` has recorded.
KEPT = "kept-"

# Listed by the current run, and here unknown or older.
_OUTDATED = """
    FROM mirrored AS m LEFT JOIN enrollments AS e ON e.id = m.id
    WHERE m.account_id = :account_id AND m.kind = 'enrollment' AND m.run = :run
      AND (e.id IS NULL OR (e.unenrolled_at IS NULL AND e.modified_at <> m.modified_at))
"""
_COUNT_OUTDATED = f"SELECT COUNT(*) {_OUTDATED}"
_DAYS_OUTDATED = f"SELECT DISTINCT substr(CAST(m.modified_at AS TEXT), 1, 10) AS day {_OUTDATED} ORDER BY day"


@dataclass(frozen=True)
class Mirror:
    """A copy: the server's address, the key of its made-up names if it has such, and the current run.

    `position` is empty at the begin of a run. `complete_since` is when the last complete run began.
    """

    account_id: int
    url: str
    pseudonym_key: bytes | None
    run: int
    position: Mapping[str, Any]
    complete_since: datetime | None


def bind_mirror(connection: sa.Connection, account: Account, url: str, pseudonym_key: bytes | None) -> None:
    """Make the account a copy of one of this server; errors: UserError if it is another copy, or one of another kind.

    A copy with made-up names keeps its key when None is given.
    """
    found = connection.execute(sa.select(mirrors).where(mirrors.c.account_id == account.id)).one_or_none()
    if found is None:
        row = {"account_id": account.id, "url": url, "pseudonym_key": pseudonym_key, "run": 0, "begun_at": utc_now()}
        connection.execute(sa.insert(mirrors), row)
        reserve_numbers(connection)
        return
    other = "Mirror into an account of its own: rollbook account add"
    if found.url != url:
        raise UserError(f"The account {account.name!r} is a copy of an account of {found.url}, not of {url}. {other}")
    if pseudonym_key is not None and found.pseudonym_key is None:
        raise UserError(f"The account {account.name!r} holds the real names already. {other}")
    if pseudonym_key not in (None, found.pseudonym_key):
        raise UserError(f"The account {account.name!r} has the made-up names of another key. {other}")


def find_mirror(connection: sa.Connection, account_id: int) -> Mirror | None:
    """Find the copy that an account is."""
    found = connection.execute(sa.select(mirrors).where(mirrors.c.account_id == account_id)).one_or_none()
    if found is None:
        return None
    position = json.loads(found.position or "{}")
    return Mirror(account_id, found.url, found.pseudonym_key, found.run, position, found.complete_since)


def begin_run(connection: sa.Connection, account_id: int) -> Mirror:
    """Begin a run, or continue an interrupted one."""
    mine = mirrors.c.account_id == account_id
    begun = {"run": mirrors.c.run + 1, "position": "{}", "begun_at": utc_now()}
    connection.execute(sa.update(mirrors).where(mine, mirrors.c.position.is_(None)).values(begun))
    found = find_mirror(connection, account_id)
    if found is None:
        raise UserError("The account is no copy of another one.")
    return found


def save_position(connection: sa.Connection, account_id: int, position: Mapping[str, Any]) -> None:
    """Store how far the run is."""
    changed = sa.update(mirrors).where(mirrors.c.account_id == account_id)
    connection.execute(changed.values(position=json.dumps(position)))


def complete_run(connection: sa.Connection, account_id: int) -> None:
    """End the run."""
    changed = sa.update(mirrors).where(mirrors.c.account_id == account_id)
    connection.execute(changed.values(position=None, complete_since=mirrors.c.begun_at))


def count_outdated(connection: sa.Connection, mirror: Mirror) -> int:
    """Count the listed enrollments that are unknown here, or older than there."""
    [(count,)] = execute(connection, _COUNT_OUTDATED, {"account_id": mirror.account_id, "run": mirror.run})
    return int(count)


def days_outdated(connection: sa.Connection, mirror: Mirror) -> list[date]:
    """List the days on which these were modified there."""
    days = execute(connection, _DAYS_OUTDATED, {"account_id": mirror.account_id, "run": mirror.run})
    return [date.fromisoformat(day) for (day,) in days]


def count_current(connection: sa.Connection, mirror: Mirror) -> int:
    """Count the current enrollments of the account."""
    e = enrollments.c
    query = sa.select(sa.func.count()).where(e.account_id == mirror.account_id, e.unenrolled_at.is_(None))
    count: int = connection.execute(query).scalar_one()
    return count


def find_vanished(connection: sa.Connection, mirror: Mirror) -> list[int]:
    """Find the current enrollments of the copy that the run has not listed."""
    gone = sa.and_(mirrored.c.run < mirror.run, enrollments.c.unenrolled_at.is_(None))
    return _find(connection, mirror, gone)


def find_returned(connection: sa.Connection, mirror: Mirror, *, kept: bool = False) -> list[int]:
    """Find the enrollments that the run has listed and that were ended here, by `unenroll --keep` or otherwise."""
    u, b = unenrollments.c, batches.c
    by_keep = sa.exists().where(
        u.enrollment_id == enrollments.c.id,
        u.status == UnenrollmentStatus.COMPLETE,
        b.id == u.batch_id,
        b.idempotency_key.startswith(KEPT),
    )
    back = sa.and_(mirrored.c.run == mirror.run, enrollments.c.unenrolled_at.is_not(None), by_keep == kept)
    return _find(connection, mirror, back)


def _find(connection: sa.Connection, mirror: Mirror, wanted: sa.ColumnElement[bool]) -> list[int]:
    mine = sa.and_(mirrored.c.account_id == mirror.account_id, mirrored.c.kind == "enrollment")
    query = sa.select(enrollments.c.id).join(mirrored, mirrored.c.id == enrollments.c.id).where(mine, wanted)
    return list(connection.execute(query.order_by(enrollments.c.id)).scalars())
