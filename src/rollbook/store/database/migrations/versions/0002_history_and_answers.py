"""Refusals of batches, who removed and restored, change numbers, stored answers, indexes for the report."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what an older database lacks."""
    op.add_column("accounts", sa.Column("last_change", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("idempotency_key", sa.Text()))
    for column in ("removed_by", "restored_by", "change"):
        op.add_column("unenrollments", sa.Column(column, sa.BigInteger()))
    op.add_column("unenrollments", sa.Column("restored_at", _TIME))
    # Items finished before the feed of changes existed are its first, under one number.
    op.execute("UPDATE unenrollments SET change = 1 WHERE status <> 'Pending'")
    op.execute("UPDATE accounts SET last_change = 1")
    _index("ix_batches_account", "batches", ["account_id", "id"])
    _index("ix_enrollments_current", "enrollments", ["account_id", "id"], "unenrolled_at IS NULL")
    _index("ix_enrollments_learner", "enrollments", ["user_id", "course_id"])
    _index("ix_unenrollments_closed", "unenrollments", ["enrollment_id"], "status NOT IN ('Pending', 'Complete')")
    _index("ix_unenrollments_change", "unenrollments", ["account_id", "change"], "change IS NOT NULL")
    _create_refusals()
    _create_answers()


def _create_refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False),
        sa.Column("block", sa.Integer(), autoincrement=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "block", name="pk_refusals"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_refusals_account_id"),
        sqlite_with_rowid=False,
    )


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("key", sa.Text()),
        sa.Column("package_digest", sa.LargeBinary(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("batch_id", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_answers"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_answers_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_answers_user_id"),
    )
    _index("ix_answers_created_at", "answers", ["created_at"])


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
