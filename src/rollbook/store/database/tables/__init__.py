"""The tables in SQLAlchemy Core, with the invariants as constraints. Migrations bring older databases to them."""

from rollbook.store.database.tables.columns import metadata
from rollbook.store.database.tables.learning import (
    accounts,
    courses,
    enrollments,
    group_courses,
    group_tags,
    groups,
    keys,
    memberships,
    sessions,
    user_teams,
    users,
)
from rollbook.store.database.tables.mirror import mirrored, mirrors, reenrollments
from rollbook.store.database.tables.queue import batches, drafts, refusals, run_parts, runs, unenrollments
from rollbook.store.database.tables.service import (
    answers,
    audit,
    calls,
    external_authorizations,
    invitations,
    learner_sessions,
    login_sessions,
    throttles,
    uploads,
    workers,
)
from rollbook.store.database.tables.webhooks import webhook_passed, webhooks

__all__ = [
    "accounts",
    "answers",
    "audit",
    "batches",
    "calls",
    "courses",
    "drafts",
    "enrollments",
    "external_authorizations",
    "group_courses",
    "group_tags",
    "groups",
    "invitations",
    "keys",
    "learner_sessions",
    "login_sessions",
    "memberships",
    "metadata",
    "mirrored",
    "mirrors",
    "reenrollments",
    "refusals",
    "run_parts",
    "runs",
    "sessions",
    "throttles",
    "unenrollments",
    "uploads",
    "user_teams",
    "users",
    "webhook_passed",
    "webhooks",
    "workers",
]
