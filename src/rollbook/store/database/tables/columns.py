"""Columns that several tables have, and the naming of constraints."""

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus, Role, UnenrollmentStatus
from rollbook.store.database.sql import UtcTime

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows only in a column of type INTEGER; PostgreSQL gets its bigint.
BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def one_of(column: str, values: type[Role | EnrollmentStatus | UnenrollmentStatus]) -> sa.CheckConstraint:
    """Restrict a column to the values of an enum."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def own_id() -> sa.Column[int]:
    """Return the primary key of a table whose rows are numbered."""
    return sa.Column("id", BIG_ID, primary_key=True)


def account_id() -> sa.Column[int]:
    """Return the column of the account that a row belongs to."""
    return sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), nullable=False)


def time_column(name: str, *, nullable: bool = False) -> sa.Column[object]:
    """Return a column of times in UTC."""
    return sa.Column(name, UtcTime, nullable=nullable)
