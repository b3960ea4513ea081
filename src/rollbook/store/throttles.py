"""What the servers of one database have counted together against a limit, by minute. The only SQL about it."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.dialects import statement
from rollbook.store.engine import Database
from rollbook.store.tables import throttles

# In the order of the subjects, so that two servers do not wait for each other; `TRUE` keeps SQLite from taking
# ON CONFLICT for the condition of a join.
_ADD = """
    INSERT INTO throttles (subject, window_at, count)
    SELECT item ->> 'subject', :window_at, CAST(item ->> 'count' AS BIGINT) FROM {rows} AS counted
    WHERE TRUE ORDER BY 1
    ON CONFLICT (subject, window_at) DO UPDATE SET count = throttles.count + excluded.count
"""


def add_counts(database: Database, window_at: datetime, counts: Mapping[str, int]) -> None:
    """Add what one server has counted within a window of time; windows before it are forgotten."""
    rows = [{"subject": subject, "count": count} for subject, count in counts.items()]
    with database.write() as connection:
        connection.execute(throttles.delete().where(throttles.c.window_at < window_at))
        connection.execute(statement(connection, _ADD), {"rows": rows, "window_at": window_at})


def read_counts(database: Database, window_at: datetime, most: int) -> dict[str, int]:
    """Return what all servers together have counted within a window, of the subjects that have the highest counts."""
    window = sa.select(throttles.c.subject, throttles.c.count).where(throttles.c.window_at == window_at)
    with database.read() as connection:
        found = connection.execute(window.order_by(throttles.c.count.desc()).limit(most))
        return {row.subject: row[1] for row in found}
