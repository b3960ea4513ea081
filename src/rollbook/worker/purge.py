"""Deletes expired rows in bounded steps: the call log every minute, everything else every hour.

Every minute it also ends keys that have expired, and recounts items and folds e-mails that servers of the previous
release have written.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.learning.purge import purge_progress
from rollbook.store.learning.uploads import purge_uploads
from rollbook.store.operations.call_log import purge_calls
from rollbook.store.operations.idempotency import purge_idempotency_keys
from rollbook.store.people.api_keys import expire_keys
from rollbook.store.people.emails import fold_emails
from rollbook.store.people.invitations import purge_invitations
from rollbook.store.people.learner_sessions import purge_authorizations, purge_sessions
from rollbook.store.people.login_sessions import purge_login_sessions
from rollbook.store.people.pending_sign_ins import purge_pending
from rollbook.store.people.search_text import fold_names
from rollbook.store.queue.drafts import purge_drafts
from rollbook.store.queue.state import recount_items
from rollbook.store.queue.workers import purge_workers

log = structlog.get_logger("rollbook.worker")

HOUR = 3600
MINUTE = 60


@dataclass
class _Task:
    """A bounded step that returns its number of rows; after 0 rows it is due again in `interval` seconds."""

    step: Callable[[], int]
    interval: float
    due: float


class Purge:
    """Deletes up to `step` rows of each kind at a time; the queue is drained between the steps.

    The call log keeps `calls_kept` calls of an account, for `calls_kept_days`.
    """

    def __init__(self, database: Database, step: int, calls_kept: int, calls_kept_days: float) -> None:
        now = time.monotonic()
        self._database = database
        self._step = step
        self._tasks = [
            _Task(lambda: purge_calls(database, utc_now(), calls_kept_days, calls_kept, step), MINUTE, now),
            _Task(self._purge_progress, HOUR, now),
            _Task(lambda: purge_idempotency_keys(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_login_sessions(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_invitations(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_pending(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_authorizations(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_sessions(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_drafts(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_uploads(database, utc_now(), step), HOUR, now),
            _Task(lambda: purge_workers(database, utc_now(), step), HOUR, now),
            _Task(lambda: expire_keys(database, step), MINUTE, now),
            _Task(lambda: recount_items(database), MINUTE, now),
            _Task(lambda: database.transact(fold_emails), MINUTE, now),
            _Task(lambda: database.transact(fold_names), MINUTE, now),
            _Task(self._trim_log, MINUTE, now + MINUTE),
        ]

    def run_step(self) -> bool:
        """Run one step of every task that is due; False when there is nothing left to delete."""
        rows = 0
        for task in self._tasks:
            if time.monotonic() >= task.due:
                done = task.step()
                rows += done
                if done == 0:
                    task.due = time.monotonic() + task.interval
        return rows > 0

    def _purge_progress(self) -> int:
        if purged := purge_progress(self._database, utc_now(), self._step):
            log.info("progress purged", enrollments=purged)
        return purged

    def _trim_log(self) -> int:
        self._database.trim_log()
        return 0
