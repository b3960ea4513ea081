"""Drafts keep the list that they were made of, so that the selection can be changed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("drafts", sa.Column("source", sa.Text()))
