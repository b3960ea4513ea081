"""The first schema. New databases are created from database/tables, so there is nothing to do."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """No-op: no database is older."""
