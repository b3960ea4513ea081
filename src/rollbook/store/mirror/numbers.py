"""Keeps the numbers that the database gives to new records above those that a mirror has copied."""

import sqlalchemy as sa

from rollbook.store.database.execute import execute

NUMBERED = ("user", "group", "course", "session", "enrollment")
# New records of a database with a copy have numbers from here on, so that those of the server stay free for the copy.
RESERVED = 10**12

_RAISE = """
    SELECT setval(pg_get_serial_sequence('{table}', 'id'),
                  GREATEST(nextval(pg_get_serial_sequence('{table}', 'id')), CAST(:id AS BIGINT)))
"""
# SQLite keeps a number for enrollments only; in other tables a new record has the largest id and one.
_BEGIN_SQLITE = """
    INSERT INTO sqlite_sequence (name, seq) SELECT 'enrollments', 0
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'enrollments')
"""
_RAISE_SQLITE = "UPDATE sqlite_sequence SET seq = MAX(seq, :id) WHERE name = 'enrollments'"


def keep_above(connection: sa.Connection, kind: str, id_: int) -> None:
    """Give new records of the kind larger numbers than this one."""
    if connection.dialect.name == "postgresql":
        execute(connection, _RAISE.replace("{table}", f"{kind}s"), {"id": id_})
    elif kind == "enrollment":
        execute(connection, _BEGIN_SQLITE)
        execute(connection, _RAISE_SQLITE, {"id": id_})


def reserve_numbers(connection: sa.Connection) -> None:
    """Reserve all smaller numbers for copies."""
    for kind in NUMBERED:
        keep_above(connection, kind, RESERVED)
