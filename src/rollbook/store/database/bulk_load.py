"""Loads rows into a table by the fastest way that each database has."""

import sqlite3
from collections.abc import Iterable, Sequence

import psycopg
import sqlalchemy as sa


def load_rows(
    connection: sa.Connection, table: sa.Table, rows: Iterable[Sequence[object]], names: Sequence[str] = ()
) -> None:
    """Add rows whose values are in the order of `names`, by default in that of the table's columns."""
    names = names or [column.name for column in table.columns]
    raw = connection.connection.dbapi_connection
    if isinstance(raw, psycopg.Connection):
        copy_sql = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
            psycopg.sql.Identifier(table.name), psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names))
        )
        with raw.cursor() as cursor, cursor.copy(copy_sql) as copy:
            for row in rows:
                copy.write_row(row)
    elif isinstance(raw, sqlite3.Connection):
        places = ", ".join("?" * len(names))
        raw.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608 our own names
    else:
        raise TypeError(f"no bulk loading for {type(raw).__name__}")
