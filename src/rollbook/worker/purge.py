"""Once an hour, forgets what is kept long enough: the progress of unenrolled learners, stored answers."""

import time

import structlog

from rollbook.model import utc_now
from rollbook.store.answers import purge_answers
from rollbook.store.engine import Database
from rollbook.store.enrollments import purge_progress

log = structlog.get_logger("rollbook.worker")

INTERVAL_SECONDS = 3600


class Purge:
    """Runs at start and then once an interval, a bounded step at a time."""

    def __init__(self, database: Database, step: int) -> None:
        self._database = database
        self._step = step
        self._next_run = time.monotonic()

    def run_if_due(self) -> None:
        """Purge everything that is due, if the interval is over."""
        if time.monotonic() < self._next_run:
            return
        while purged := purge_progress(self._database, utc_now(), self._step):
            log.info("progress purged", enrollments=purged)
        purge_answers(self._database, utc_now())
        self._next_run = time.monotonic() + INTERVAL_SECONDS
