"""Facts about a database for `rollbook doctor`: clock, latest times, size and settings."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.tables import audit, batches, calls

# Settings that durability (D13) or the number of concurrent calls depends on.
WATCHED = ("fsync", "synchronous_commit", "full_page_writes", "max_connections")


@dataclass(frozen=True)
class ServerFacts:
    """Facts of a PostgreSQL server: its clock, the size of the database in bytes, and the WATCHED settings."""

    clock: datetime
    size: int
    settings: dict[str, str]


def latest_time(connection: sa.Connection) -> datetime | None:
    """Return the latest time in the records."""
    columns = (batches.c.requested_at, audit.c.happened_at, calls.c.answered_at)
    newest = [sa.select(column).order_by(column.table.c.id.desc()).limit(1) for column in columns]
    found = [connection.execute(query).scalar() for query in newest]
    return max((time for time in found if time is not None), default=None)


def server_facts(connection: sa.Connection) -> ServerFacts | None:
    """Read the facts of a PostgreSQL server; None for SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    size = sa.func.pg_database_size(sa.func.current_database())
    clock, bytes_ = connection.execute(sa.select(sa.func.clock_timestamp(), size)).one()
    settings = {name: connection.execute(sa.select(sa.func.current_setting(name))).scalar_one() for name in WATCHED}
    return ServerFacts(clock, bytes_, settings)
