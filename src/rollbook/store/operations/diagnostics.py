"""What a database says of itself, for `rollbook doctor`: its clock, the latest times in it, its size and settings."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.tables import audit, batches, calls

# What a promise of ours rests on (D13), or the number of calls at once.
WATCHED = ("fsync", "synchronous_commit", "full_page_writes", "max_connections")


@dataclass(frozen=True)
class ServerFacts:
    """What a PostgreSQL server tells: its clock, the size of the database in bytes, and the WATCHED settings."""

    clock: datetime
    size: int
    settings: dict[str, str]


def latest_time(connection: sa.Connection) -> datetime | None:
    """Give the latest time at which something was recorded."""
    columns = (batches.c.requested_at, audit.c.happened_at, calls.c.answered_at)
    newest = [sa.select(column).order_by(column.table.c.id.desc()).limit(1) for column in columns]
    found = [connection.execute(query).scalar() for query in newest]
    return max((time for time in found if time is not None), default=None)


def server_facts(connection: sa.Connection) -> ServerFacts | None:
    """Ask a PostgreSQL server about itself; None for SQLite, which has nobody to ask."""
    if connection.dialect.name != "postgresql":
        return None
    size = sa.func.pg_database_size(sa.func.current_database())
    clock, bytes_ = connection.execute(sa.select(sa.func.clock_timestamp(), size)).one()
    settings = {name: connection.execute(sa.select(sa.func.current_setting(name))).scalar_one() for name in WATCHED}
    return ServerFacts(clock, bytes_, settings)
