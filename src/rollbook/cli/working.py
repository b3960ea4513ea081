"""Makes the worker that the settings describe, for the commands that run one."""

from rollbook.settings import Settings
from rollbook.store.database.database import Database
from rollbook.worker.drain import Worker
from rollbook.worker.purge import Purge

# A worker's statement that takes longer is one that PostgreSQL will not finish: begin again, elsewhere if need be.
STATEMENT_SECONDS = 60


def make_worker(database: Database, settings: Settings) -> Worker:
    """Make a worker that drains the queue and forgets what is kept long enough."""
    purge = Purge(database, settings.drain_step, settings.calls_kept, settings.calls_kept_days)
    return Worker(database, settings.drain_step, settings.poll_seconds, purge)
