"""Webhooks, and which batches and audit lines they have delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

BIG = sa.BigInteger()
TIME = sa.DateTime(timezone=True)
TIMES = ("delivered_at", "failing_since", "failed_at", "next_attempt_at", "disabled_at")
TEST_TIMES = ("test_asked_at", "tested_at", "claimed_until")


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.create_table(
        "webhooks",
        sa.Column("id", BIG.with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("account_id", BIG, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("url", "secret")),
        sa.Column("items", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in ("change", "batch_id", "block")),
        *(sa.Column(name, BIG, nullable=False) for name in ("batches_through", "audit_through")),
        sa.Column("failures", sa.Integer(), nullable=False),
        *(sa.Column(name, TIME) for name in (*TIMES, *TEST_TIMES)),
        *(sa.Column(name, sa.Text()) for name in ("failure", "test_failure", "claimed_by")),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_webhooks_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhooks_account", "webhooks", ["account_id", "id"])
    op.create_table(
        "webhook_passed",
        sa.Column("webhook_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "kind", "number", name="pk_webhook_passed"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_passed_webhook_id"),
        sqlite_with_rowid=False,
    )
