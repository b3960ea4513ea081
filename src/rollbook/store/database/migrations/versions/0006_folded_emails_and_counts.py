"""E-mails folded by one rule on both databases, and how many items of an account have ended in which way.

Both are filled in afterwards, in bounded steps: by `rollbook migrate`, and by workers for what an older release adds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what an older database lacks. Servers of the release before it go on working meanwhile, and after it."""
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
