"""Notices of login sessions, workers, and how far the progress of an account is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("sign_ins", sa.Column("notice", sa.LargeBinary()))
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    op.add_column("accounts", sa.Column("purged_through", _TIME))
    op.execute(
        "UPDATE accounts SET purged_through = (SELECT MAX(e.unenrolled_at) FROM enrollments AS e"
        " WHERE e.account_id = accounts.id AND e.purged_at IS NOT NULL)"
        " WHERE EXISTS (SELECT 1 FROM enrollments AS e WHERE e.account_id = accounts.id AND e.purged_at IS NOT NULL)"
    )
