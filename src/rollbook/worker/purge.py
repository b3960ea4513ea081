"""Forgets what is kept long enough: once an hour progress and stored answers, once a minute the last calls."""

import time

import structlog

from rollbook.model import utc_now
from rollbook.store.answers import purge_answers
from rollbook.store.calls import purge_calls
from rollbook.store.engine import Database
from rollbook.store.enrollments import purge_progress
from rollbook.store.runs import purge_drafts
from rollbook.store.sign_ins import purge_sign_ins

log = structlog.get_logger("rollbook.worker")

HOUR = 3600
MINUTE = 60


class Purge:
    """Runs at start and then once an interval, a bounded step at a time.

    Of the last calls, `calls_kept` are kept for an account, for `calls_kept_days`.
    """

    def __init__(self, database: Database, step: int, calls_kept: int, calls_kept_days: float) -> None:
        self._database = database
        self._step = step
        self._calls_kept = calls_kept
        self._calls_kept_days = calls_kept_days
        self._next_hour = self._next_minute = time.monotonic()

    def run_if_due(self) -> None:
        """Purge everything that is due, if an interval is over."""
        now = time.monotonic()
        if now >= self._next_minute:
            self._purge_calls()
            self._next_minute = now + MINUTE
        if now >= self._next_hour:
            self._purge_learning()
            self._next_hour = now + HOUR

    def _purge_calls(self) -> None:
        while purge_calls(self._database, utc_now(), self._calls_kept_days, self._calls_kept, self._step):
            pass

    def _purge_learning(self) -> None:
        while purged := purge_progress(self._database, utc_now(), self._step):
            log.info("progress purged", enrollments=purged)
        purge_answers(self._database, utc_now())
        purge_sign_ins(self._database, utc_now())
        purge_drafts(self._database, utc_now())
