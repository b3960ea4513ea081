"""Executes SQL text on the DBAPI connection, bypassing SQLAlchemy's per-statement overhead.

Connections, transactions and errors are those of the SQLAlchemy engine. Statements whose filters compose are written
in SQLAlchemy Core instead.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import sqlalchemy as sa

from rollbook.store.database.sql import FRAGMENTS, write_ids, write_rows, write_time

NO_PARAMETERS: Mapping[str, object] = {}


def execute(connection: sa.Connection, sql: str, given: Mapping[str, object] = NO_PARAMETERS) -> list[Any]:
    """Execute a statement and return its rows as tuples; it begins no transaction.

    `{name}` in the text is a fragment of `sql.FRAGMENTS`, `:name` a parameter of `given`. The parameter `:ids` is a
    list of ids, `:rows` a list of mappings. Errors: those of SQLAlchemy.
    """
    return _execute(connection, sql, given)[0]


def execute_count(connection: sa.Connection, sql: str, given: Mapping[str, object] = NO_PARAMETERS) -> int:
    """Execute an INSERT, UPDATE or DELETE as `execute` does, and return the number of rows that it changed."""
    return _execute(connection, sql, given)[1]


def _execute(connection: sa.Connection, sql: str, given: Mapping[str, object]) -> tuple[list[Any], int]:
    dialect = connection.dialect
    text, names = _prepare(sql, dialect.name)
    driver: Any = connection.connection.dbapi_connection
    try:
        cursor = driver.execute(text, {name: _write(name, given[name], dialect.name) for name in names})
        return cursor.fetchall() if cursor.description else [], cursor.rowcount
    except dialect.loaded_dbapi.Error as error:
        raise_driver_error(connection, error, text)


def raise_driver_error(connection: sa.Connection, error: Exception, sql: str) -> NoReturn:
    """Raise an error of the driver as SQLAlchemy does: translated, a lost connection dropped, listeners called."""
    connection._handle_dbapi_exception(error, sql, None, None, None)


def _write(name: str, value: Any, dialect: str) -> object:
    if name == "ids" and not isinstance(value, str):  # text is a list that the database itself has written
        return write_ids(value, dialect)
    if name == "rows":
        return write_rows(value)
    return write_time(value) if dialect == "sqlite" and isinstance(value, datetime) else value


@lru_cache
def _prepare(sql: str, dialect: str) -> tuple[str, frozenset[str]]:
    """Return the text in the driver's parameter style and the names of its parameters."""
    text = sql.format(**FRAGMENTS[dialect])
    parameter = re.compile(r"(?<!:):(\w+)")
    names = frozenset(parameter.findall(text))
    return (text if dialect == "sqlite" else parameter.sub(r"%(\1)s", text)), names
