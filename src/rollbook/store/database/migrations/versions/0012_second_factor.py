"""The second factor of the console; the user's key of a call in the call log."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

BIG = sa.BigInteger()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("calls", sa.Column("key_id", BIG))
    op.add_column(
        "accounts", sa.Column("require_second_factor", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("sign_ins", sa.Column("verified_at", TIME))
    op.create_table(
        "second_factors",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("confirmed_at", TIME),
        sa.Column("last_step", BIG, nullable=False),
        sa.Column("wrong_codes", sa.Integer(), nullable=False),
        sa.Column("wrong_since", TIME),
        *_of_a_user("second_factors", "user_id"),
        sqlite_with_rowid=False,
    )
    for name in ("recovery_codes", "pending_sign_ins"):
        op.create_table(
            name,
            sa.Column("digest", sa.LargeBinary(), nullable=False),
            *(sa.Column(of, BIG, nullable=False) for of in ("account_id", "user_id")),
            sa.Column("created_at", TIME, nullable=False),
            *_of_a_user(name, "digest"),
        )
        op.create_index(f"ix_{name}_user", name, ["user_id"])
    op.create_index("ix_pending_sign_ins_created_at", "pending_sign_ins", ["created_at"])


def _of_a_user(table: str, key: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id"),
    )
