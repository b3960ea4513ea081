"""Loads rows into a table by the fastest way that each database has."""

import sqlite3
from collections.abc import Iterable, Sequence

import psycopg
import sqlalchemy as sa

from rollbook.store.database.execute import raise_driver_error


def load_rows(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Sequence[object]], names: Sequence[str] = ()
) -> None:
    """Add rows whose values are in the order of `names`, by default in that of the table's columns."""
    names = names or [column.name for column in table.columns]
    raw = connection.connection.dbapi_connection
    columns = ", ".join(names)
    try:
        if isinstance(raw, psycopg.Connection):
            with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        elif isinstance(raw, sqlite3.Connection):
            places = ", ".join("?" * len(names))
            raw.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", rows)  # noqa: S608 our own names
        else:
            raise TypeError(f"no bulk loading for {type(raw).__name__}")
    except (psycopg.Error, sqlite3.Error) as error:
        raise_driver_error(connection, error, f"a bulk load of {table.name}")
