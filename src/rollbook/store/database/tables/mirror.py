"""Copies of accounts of other servers: how far a copy is, what it has copied, and what was enrolled again there."""

import sqlalchemy as sa

from rollbook.store.database.tables.columns import account_id, metadata, time_column

# An account that copies one of another server. A complete run has no position. `complete_since` is the begin of the
# last complete run.
mirrors = sa.Table(
    "mirrors",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("pseudonym_key", sa.LargeBinary),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("position", sa.Text),
    time_column("begun_at"),
    time_column("complete_since", nullable=True),
)

# The records that a mirror has copied or will copy, by their ids, which are the same here and there: `run` is the last
# one that has listed the record, `modified_at` the time that the server told then.
mirrored = sa.Table(
    "mirrored",
    metadata,
    sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run", sa.Integer, nullable=False),
    time_column("modified_at", nullable=True),
    sqlite_with_rowid=False,
)

# Enrollments that were removed on a server, and their successors there. `known_ids` are the enrollments that the
# learner had in the course before the call, as JSON; a row without outcome is of a call whose answer was not received.
reenrollments = sa.Table(
    "reenrollments",
    metadata,
    sa.Column("enrollment_id", sa.BigInteger, primary_key=True, autoincrement=False),
    account_id(),
    sa.Column("batch_id", sa.BigInteger, nullable=False),
    sa.Column("known_ids", sa.Text, nullable=False),
    time_column("sent_at"),
    sa.Column("new_id", sa.BigInteger),
    sa.Column("outcome", sa.Text),
    sa.Index("ix_reenrollments_batch", "account_id", "batch_id"),
    sqlite_with_rowid=False,
)
