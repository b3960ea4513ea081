"""`rollbook worker`: processes the unenrollment queue in its own process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rollbook.actions.webhook_addresses import read_networks
from rollbook.cli.local_database import open_database
from rollbook.cli.operations_port import operations_port
from rollbook.logs import configure_logs
from rollbook.settings import Settings, load_settings
from rollbook.store.database.database import Database
from rollbook.worker.drain import Worker
from rollbook.worker.purge import Purge
from rollbook.worker.webhooks import Webhooks

# PostgreSQL will not finish a statement of a worker that takes longer; the worker begins again.
STATEMENT_SECONDS = 60
# Webhooks have their own, so that the drain waits for no delivery.
WEBHOOK_CONNECTIONS = 2


def worker() -> None:
    """Process the unenrollment queue until stopped; any number of workers can share a PostgreSQL database."""
    settings = load_settings()
    configure_logs(settings.log_format)
    with open_database(settings, statement_seconds=STATEMENT_SECONDS) as database:
        draining = make_worker(database, settings)
        with operations_port(settings, database, draining) as stopping, delivering_webhooks(settings):

            def stop(_number: int, _frame: object) -> None:
                stopping.set()
                draining.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, stop)
            draining.run()


def make_worker(database: Database, settings: Settings) -> Worker:
    """Make the worker that the settings describe: it drains the queue and purges what has expired."""
    purge = Purge(database, settings.drain_step, settings.calls_kept, settings.calls_kept_days)
    return Worker(database, settings.drain_step, settings.poll_seconds, purge)


@contextmanager
def delivering_webhooks(settings: Settings) -> Iterator[None]:
    """Deliver the events of webhooks in a thread during the block."""
    with open_database(settings, statement_seconds=STATEMENT_SECONDS, connections=WEBHOOK_CONNECTIONS) as database:
        allowed = read_networks(settings.webhook_addresses)
        webhooks = Webhooks(database, allowed, settings.webhook_seconds, settings.poll_seconds)
        with running(webhooks):
            yield


@contextmanager
def running(task: Worker | Webhooks) -> Iterator[None]:
    """Run a task in a thread during the block."""
    thread = threading.Thread(target=task.run, name=type(task).__name__.lower())
    thread.start()
    try:
        yield
    finally:
        task.stop()
        thread.join()
