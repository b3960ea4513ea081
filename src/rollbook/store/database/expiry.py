"""Deletes expired rows, a limited number in each transaction."""

import sqlalchemy as sa

from rollbook.store.database.database import Database


def delete_expired(database: Database, table: sa.Table, expired: sa.ColumnElement[bool], limit: int) -> int:
    """Delete up to `limit` expired rows and return how many; without any, no transaction writes."""
    key = list(table.primary_key.columns)
    with database.read() as connection:
        if not connection.execute(sa.select(sa.exists(sa.select(*key).where(expired)))).scalar_one():
            return 0
    chosen = sa.select(*key).where(expired).limit(limit).with_for_update(skip_locked=True)
    delete = table.delete().where(sa.tuple_(*key).in_(chosen))
    return database.transact(lambda connection: int(connection.execute(delete).rowcount))
