"""The unenrollment queue and its history: batches, their items and their refusals."""

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.sql import CLOSED, LIVE, PENDING
from rollbook.store.database.tables.columns import account_id, metadata, one_of, own_id, time_column

# One request of any size: a call and its continuations, a confirmed draft, or an import that ended enrollments.
# Batches of the operator's commands have no requested_by.
batches = sa.Table(
    "batches",
    metadata,
    own_id(),
    account_id(),
    sa.Column("requested_by", sa.BigInteger, sa.ForeignKey("users.id")),
    sa.Column("reason", sa.Text),
    sa.Column("idempotency_key", sa.Text),
    time_column("requested_at"),
    sa.Index("ix_batches_account", "account_id", "id"),
    sqlite_autoincrement=True,
)

# The items of a batch that were not queued, each with the error code of the answer.
refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
    account_id(),
    sa.Column("identifier", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# The items. No foreign keys: they would cost 25 % of the accept rate (decision 0003), and batches and enrollments
# are never deleted.
unenrollments = sa.Table(
    "unenrollments",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("enrollment_id", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("notes", sa.Text),
    time_column("requested_at"),
    time_column("due_at"),
    time_column("finished_at", nullable=True),
    sa.Column("removed_by", sa.BigInteger),
    sa.Column("restored_by", sa.BigInteger),
    time_column("restored_at", nullable=True),
    sa.Column("change", sa.BigInteger),
    one_of("status", UnenrollmentStatus),
    sa.CheckConstraint("(status = 'Pending') = (finished_at IS NULL)", name="finished"),
    sqlite_with_rowid=False,
)
# An enrollment has at most one item that is pending or complete, so the schema forbids accepting an id twice, even
# while a worker finishes the first item.
_live = sa.text(LIVE)
sa.Index(
    "uq_unenrollments_live",
    unenrollments.c.enrollment_id,
    unique=True,
    sqlite_where=_live,
    postgresql_where=_live,
)
_pending = sa.text(PENDING)
sa.Index(
    "ix_unenrollments_due",
    unenrollments.c.account_id,
    unenrollments.c.due_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
_closed = sa.text(CLOSED)
sa.Index(
    "ix_unenrollments_closed",
    unenrollments.c.enrollment_id,
    sqlite_where=_closed,
    postgresql_where=_closed,
)
sa.Index(
    "ix_unenrollments_closed_status",
    *(unenrollments.c.account_id, unenrollments.c.status, unenrollments.c.batch_id, unenrollments.c.block),
    sqlite_where=_closed,
    postgresql_where=_closed,
)
_changed = sa.text("change IS NOT NULL")
sa.Index(
    "ix_unenrollments_change",
    unenrollments.c.account_id,
    unenrollments.c.change,
    sqlite_where=_changed,
    postgresql_where=_changed,
)

# A selection of the console until it is confirmed and becomes the batch `batch_id`. `choice` holds the filters and
# `shares` the numbers of each course, as JSON for the page; `source` the list that was read, until it is confirmed.
drafts = sa.Table(
    "drafts",
    metadata,
    own_id(),
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("ids", sa.Text, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("choice", sa.Text, nullable=False),
    sa.Column("shares", sa.Text, nullable=False),
    time_column("created_at"),
    sa.Column("batch_id", sa.BigInteger),
    sa.Column("source", sa.Text),
    sa.Index("ix_drafts_created_at", "created_at"),
)

# Runs of the previous release, which queued a selection in parts. They stay while it may serve during an upgrade;
# this release reads only which runs are under way.
runs = sa.Table(
    "runs",
    metadata,
    own_id(),
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("courses", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("request_id", sa.Text),
    time_column("created_at"),
    time_column("started_at", nullable=True),
    time_column("finished_at", nullable=True),
    sa.Index("ix_runs_account", "account_id", "id"),
)
_under_way = sa.text("started_at IS NOT NULL AND finished_at IS NULL")
sa.Index("ix_runs_under_way", runs.c.id, sqlite_where=_under_way, postgresql_where=_under_way)

run_parts = sa.Table(
    "run_parts",
    metadata,
    sa.Column("run_id", sa.BigInteger, sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    account_id(),
    sa.Column("ids", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("accepted", sa.Integer),
    sa.Column("batch_id", sa.BigInteger),
    sqlite_with_rowid=False,
)
