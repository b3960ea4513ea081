"""Forgets what is kept long enough: once an hour progress and stored answers, once a minute the last calls.

Once a minute it also brings up to date what servers of the release before have changed without counting or folding it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.learning.purge import purge_progress
from rollbook.store.operations.call_log import purge_calls
from rollbook.store.operations.idempotency import purge_idempotency_keys
from rollbook.store.people.emails import fold_emails
from rollbook.store.people.login_sessions import purge_login_sessions
from rollbook.store.queue.drafts import purge_drafts
from rollbook.store.queue.state import recount_items
from rollbook.store.queue.workers import purge_workers

log = structlog.get_logger("rollbook.worker")

HOUR = 3600
MINUTE = 60


@dataclass
class _Duty:
    """A bounded step that returns how many rows it dealt with; after none, it is next due in `interval` seconds."""

    step: Callable[[], int]
    interval: float
    due: float


class Purge:
    """Forgets a bounded number of rows at a time, beginning at the start; the queue is drained in between.

    Of the last calls, `calls_kept` are kept for an account, for `calls_kept_days`.
    """

    def __init__(self, database: Database, step: int, calls_kept: int, calls_kept_days: float) -> None:
        now = time.monotonic()
        self._database = database
        self._step = step
        self._duties = [
            _Duty(lambda: purge_calls(database, utc_now(), calls_kept_days, calls_kept, step), MINUTE, now),
            _Duty(self._purge_progress, HOUR, now),
            _Duty(lambda: purge_idempotency_keys(database, utc_now(), step), HOUR, now),
            _Duty(lambda: purge_login_sessions(database, utc_now(), step), HOUR, now),
            _Duty(lambda: purge_drafts(database, utc_now(), step), HOUR, now),
            _Duty(lambda: purge_workers(database, utc_now(), step), HOUR, now),
            _Duty(lambda: recount_items(database), MINUTE, now),
            _Duty(lambda: database.transact(fold_emails), MINUTE, now),
            _Duty(self._trim_log, MINUTE, now + MINUTE),
        ]

    def run_step(self) -> bool:
        """Do one step of everything that is due; False when there is nothing more to forget now."""
        rows = 0
        for duty in self._duties:
            if time.monotonic() >= duty.due:
                done = duty.step()
                rows += done
                if done == 0:
                    duty.due = time.monotonic() + duty.interval
        return rows > 0

    def _purge_progress(self) -> int:
        if purged := purge_progress(self._database, utc_now(), self._step):
            log.info("progress purged", enrollments=purged)
        return purged

    def _trim_log(self) -> int:
        self._database.trim_log()
        return 0
