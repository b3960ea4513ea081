"""Copies of accounts of other servers."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BIG = sa.BigInteger()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add tables that the previous release does not know."""
    op.create_table(
        "mirrors",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("pseudonym_key", sa.LargeBinary()),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("position", sa.Text()),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("complete_since", TIME),
        sa.PrimaryKeyConstraint("account_id", name="pk_mirrors"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_mirrors_account_id"),
    )
    op.create_table(
        "mirrored",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", BIG, nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("modified_at", TIME),
        sa.PrimaryKeyConstraint("account_id", "kind", "id", name="pk_mirrored"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reenrollments",
        sa.Column("enrollment_id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("batch_id", BIG, nullable=False),
        sa.Column("known_ids", sa.Text(), nullable=False),
        sa.Column("sent_at", TIME, nullable=False),
        sa.Column("new_id", BIG),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("enrollment_id", name="pk_reenrollments"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_reenrollments_account_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reenrollments_batch", "reenrollments", ["account_id", "batch_id"])
