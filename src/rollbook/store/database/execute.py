"""Runs the statements of every call on the driver itself: of the time of a statement SQLAlchemy would take most.

All others go through SQLAlchemy (`dialects.statement`). Connections and transactions are the engine's for both.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from rollbook.store.database.sql import FRAGMENTS, write_ids, write_time


def execute(connection: sa.Connection, sql: str, given: Mapping[str, object]) -> list[Any]:
    """Run a statement written as for `dialects.statement`, and return its rows as tuples.

    It begins no transaction. Errors: those of SQLAlchemy.
    """
    dialect = connection.dialect
    text, names = _prepared(sql, dialect.name)
    driver: Any = connection.connection.dbapi_connection
    try:
        cursor = driver.execute(text, {name: _written(name, given[name], dialect.name) for name in names})
        return cursor.fetchall() if cursor.description else []
    except dialect.loaded_dbapi.Error as error:
        # Treated as one that SQLAlchemy has met itself: a lost connection, and what the engine's listeners make of it.
        connection._handle_dbapi_exception(error, text, None, None, None)


def _written(name: str, value: object, dialect: str) -> object:
    if name == "ids" and not isinstance(value, str):  # the database itself has written one that is text
        return write_ids(cast("Sequence[int | None]", value), dialect)
    return write_time(value) if dialect == "sqlite" and isinstance(value, datetime) else value


@lru_cache
def _prepared(sql: str, dialect: str) -> tuple[str, frozenset[str]]:
    """Write the statement as the driver wants it, and name its parameters."""
    text = sql.format(**FRAGMENTS[dialect])
    parameter = re.compile(r"(?<!:):(\w+)")
    names = frozenset(parameter.findall(text))
    return (text if dialect == "sqlite" else parameter.sub(r"%(\1)s", text)), names
