"""Case-insensitive e-mails by one rule on both databases, and counts of ended items.

Both are filled in afterwards in steps: by `rollbook migrate`, and by workers for rows of an older release.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("users", sa.Column("email_folded", sa.Text()))
    op.add_column("users", sa.Column("email_folded_from", sa.Text()))
    folded = sa.text("email_folded_from = email")
    op.create_index(
        "uq_users_account_id_email_folded",
        "users",
        ["account_id", "email_folded"],
        unique=True,
        sqlite_where=folded,
        postgresql_where=folded,
    )
    unfolded = sa.text("email IS DISTINCT FROM email_folded_from")
    op.create_index("ix_users_unfolded", "users", ["id"], sqlite_where=unfolded, postgresql_where=unfolded)
    op.add_column("accounts", sa.Column("counted_change", sa.BigInteger()))
    for status in ("complete", "removed", "failed", "restored"):
        column = sa.Column(f"counted_{status}", sa.BigInteger(), nullable=False, server_default="0")
        op.add_column("accounts", column)
