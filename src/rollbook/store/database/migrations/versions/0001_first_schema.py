"""The first schema. A new database is made from store/tables at once, so that there is nothing to do here."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: no database is older than this."""
