"""Webhooks: where each reader of the changes stands, how its receiver answered, and which worker serves it."""

import sqlalchemy as sa

from rollbook.store.database.tables.columns import account_id, metadata, own_id, time_column

# `secret` signs the events and is stored as it is. `change`, `batch_id` and `block` are the last item delivered, in the
# order of changes. Batches and audit lines up to `…_through` are delivered, and later ones that `webhook_passed` has.
webhooks = sa.Table(
    "webhooks",
    metadata,
    own_id(),
    account_id(),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("items", sa.Boolean, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    time_column("created_at"),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("batch_id", sa.BigInteger, nullable=False),
    sa.Column("block", sa.BigInteger, nullable=False),
    sa.Column("batches_through", sa.BigInteger, nullable=False),
    sa.Column("audit_through", sa.BigInteger, nullable=False),
    time_column("delivered_at", nullable=True),
    time_column("failing_since", nullable=True),
    sa.Column("failures", sa.Integer, nullable=False),
    time_column("failed_at", nullable=True),
    sa.Column("failure", sa.Text),
    time_column("next_attempt_at", nullable=True),
    time_column("disabled_at", nullable=True),
    time_column("test_asked_at", nullable=True),
    time_column("tested_at", nullable=True),
    sa.Column("test_failure", sa.Text),
    sa.Column("claimed_by", sa.Text),
    time_column("claimed_until", nullable=True),
    sa.Index("ix_webhooks_account", "account_id", "id"),
    sqlite_autoincrement=True,
)

# `kind` is batches or audit, `number` the id there. Numbers become visible in another order than they were given, so
# the recent ones are kept one by one.
webhook_passed = sa.Table(
    "webhook_passed",
    metadata,
    sa.Column("webhook_id", sa.BigInteger, sa.ForeignKey("webhooks.id"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
