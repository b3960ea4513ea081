"""`rollbook worker`: drains the unenrollment queue in a process of its own."""

import signal

from rollbook.cli.database import open_database
from rollbook.cli.operating import operating
from rollbook.cli.working import STATEMENT_SECONDS, make_worker
from rollbook.logs import configure_logs
from rollbook.settings import load_settings


def worker() -> None:
    """Drain the unenrollment queue until stopped; any number of workers may share a PostgreSQL database."""
    settings = load_settings()
    configure_logs(settings.log_format)
    with open_database(settings, statement_seconds=STATEMENT_SECONDS) as database:
        draining = make_worker(database, settings)
        with operating(settings, database, draining) as stopping:

            def stop(_number: int, _frame: object) -> None:
                stopping.set()
                draining.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, stop)
            draining.run()
