"""What only a sandbox does with a database: well-known keys, sessions of the seed, the clock of holds, the reset."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.tables import groups, keys, unenrollments
from rollbook.store.people.api_keys import digest

_SET_SESSIONS = """
    UPDATE enrollments SET session_id = CAST(item ->> 'session_id' AS BIGINT)
    FROM {rows} AS r WHERE enrollments.id = CAST(item ->> 'id' AS BIGINT)
"""


def set_known_key(connection: sa.Connection, key: str, known: str) -> None:
    """Replace a key that was just made by a well-known one."""
    connection.execute(sa.update(keys).where(keys.c.digest == digest(key)).values(digest=digest(known)))


def has_key(connection: sa.Connection, key: str) -> bool:
    """Tell whether the database has a key, revoked or not."""
    return connection.execute(sa.select(keys.c.id).where(keys.c.digest == digest(key))).first() is not None


def find_first_group(connection: sa.Connection, account_id: int) -> int | None:
    """Return the lowest id of the account's groups."""
    return connection.execute(sa.select(sa.func.min(groups.c.id)).where(groups.c.account_id == account_id)).scalar()


def set_sessions(connection: sa.Connection, rows: Sequence[Mapping[str, int]]) -> None:
    """Put enrollments into sessions: `id` and `session_id` of each."""
    execute(connection, _SET_SESSIONS, {"rows": rows})


def advance_holds(connection: sa.Connection, passed: timedelta) -> None:
    """Let so much time of every hold pass."""
    due, pending = unenrollments.c.due_at, unenrollments.c.status == "Pending"
    # The earliest first, so that no item is moved twice.
    for moment in connection.execute(sa.select(due).where(pending).distinct().order_by(due)).scalars().all():
        moved = sa.update(unenrollments).where(pending, due == moment)
        connection.execute(moved.values(due_at=moment - passed))


def restore(seed: Path, live: Path) -> None:
    """Give the SQLite database `live`, which a server has open, the content of `seed`, in one transaction."""
    with (
        closing(sqlite3.connect(f"{seed.absolute().as_uri()}?immutable=1", uri=True)) as reading,
        closing(sqlite3.connect(live)) as writing,
    ):
        writing.execute("PRAGMA synchronous = OFF")  # a sandbox may lose its last reset with the machine
        reading.backup(writing)
