"""Names, expiry and last use of keys; invitations to the console; rosters among the uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

BIG = sa.BigInteger()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("keys", sa.Column("name", sa.Text()))
    for name in ("expires_at", "last_used_at"):
        op.add_column("keys", sa.Column(name, TIME))
    op.create_table(
        "invitations",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in ("account_id", "user_id")),
        *(sa.Column(name, TIME, nullable=False) for name in ("created_at", "expires_at")),
        sa.PrimaryKeyConstraint("digest", name="pk_invitations"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_invitations_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_invitations_user_id"),
    )
    op.create_index("ix_invitations_user", "invitations", ["user_id"])
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])
    op.add_column("uploads", sa.Column("options", sa.Text()))
    op.add_column("uploads", sa.Column("listing", sa.LargeBinary()))
