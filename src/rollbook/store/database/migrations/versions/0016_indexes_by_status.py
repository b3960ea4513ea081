"""Indexes by status: of current enrollments, in the order of the report, and of items that are removed or restored."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    current = sa.text("unenrolled_at IS NULL")
    op.create_index(
        "ix_enrollments_status",
        "enrollments",
        ["account_id", "status", "id"],
        sqlite_where=current,
        postgresql_where=current,
        if_not_exists=True,
    )
    closed = sa.text("status NOT IN ('Pending', 'Complete')")
    op.create_index(
        "ix_unenrollments_closed_status",
        "unenrollments",
        ["account_id", "status", "batch_id", "block"],
        sqlite_where=closed,
        postgresql_where=closed,
        if_not_exists=True,
    )
