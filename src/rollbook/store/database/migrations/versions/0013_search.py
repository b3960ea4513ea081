"""One text for the search of users, and indexes for it and for the people of a course.

The text is filled in afterwards in steps: by `rollbook migrate`, and by workers and searches for later changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("users", sa.Column("search_text", sa.Text()))
    op.add_column("users", sa.Column("search_from", sa.Text()))
    op.create_index("ix_users_search", "users", ["account_id", "id", "search_text"])
    unsearchable = sa.text(
        "search_from IS DISTINCT FROM "
        "(given_name || ' ' || family_name || ' ' || COALESCE(email, '') || ' ' || COALESCE(employee_id, ''))"
    )
    op.create_index("ix_users_unsearchable", "users", ["id"], sqlite_where=unsearchable, postgresql_where=unsearchable)
    current = sa.text("unenrolled_at IS NULL")
    op.create_index(
        "ix_enrollments_course",
        "enrollments",
        ["course_id", "user_id", "id", "account_id"],
        sqlite_where=current,
        postgresql_where=current,
        if_not_exists=True,
    )
