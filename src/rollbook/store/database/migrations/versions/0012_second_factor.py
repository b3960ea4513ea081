"""The user's key of a call in the call log."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("calls", sa.Column("key_id", sa.BigInteger()))
