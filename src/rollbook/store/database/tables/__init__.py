"""The tables as SQLAlchemy Core; invariants live here, as constraints. Migrations bring an older database here."""

from rollbook.store.database.tables.columns import metadata
from rollbook.store.database.tables.learning import (
    accounts,
    courses,
    enrollments,
    groups,
    keys,
    memberships,
    sessions,
    users,
)
from rollbook.store.database.tables.queue import batches, drafts, refusals, run_parts, runs, unenrollments
from rollbook.store.database.tables.service import answers, audit, calls, sign_ins, throttles, workers

__all__ = [
    "accounts",
    "answers",
    "audit",
    "batches",
    "calls",
    "courses",
    "drafts",
    "enrollments",
    "groups",
    "keys",
    "memberships",
    "metadata",
    "refusals",
    "run_parts",
    "runs",
    "sessions",
    "sign_ins",
    "throttles",
    "unenrollments",
    "users",
    "workers",
]
