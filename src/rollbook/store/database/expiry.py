"""Forgets rows that are kept long enough, a bounded number in each transaction."""

import sqlalchemy as sa

from rollbook.store.database.database import Database


def forget(database: Database, table: sa.Table, old: sa.ColumnElement[bool], limit: int) -> int:
    """Delete up to `limit` rows that are old, and return how many; with none, nothing is written."""
    key = list(table.primary_key.columns)
    with database.read() as connection:
        if not connection.execute(sa.select(sa.exists(sa.select(*key).where(old)))).scalar_one():
            return 0
    chosen = sa.select(*key).where(old).limit(limit).with_for_update(skip_locked=True)
    delete = table.delete().where(sa.tuple_(*key).in_(chosen))
    return database.transact(lambda connection: int(connection.execute(delete).rowcount))
