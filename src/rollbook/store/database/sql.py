"""What SQL text and its parameters need on each database, so that one statement serves both."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import sqlalchemy as sa

# What `statement` puts into braces, about the list bound to :ids: `in_ids` says that a column's value stands in it, for
# a column by whose index rows are to be found, `of_courses` that an enrolment is in one of these courses, which no
# index finds: SQLite had better read the learners' index than the table, and PostgreSQL the list only once, which
# "IS TRUE" is for. `ids` is a table of (block, id) that counts it from 1; `list_of_ids` makes such a list, as it is
# bound to :ids, of the ids of a query. Likewise `rows` is a table of (block, item) about the list that is bound to
# :rows; `item ->> 'name'` is a value as text, to be cast, a time to `time_type`. Then the locks, which SQLite's one
# writer does without.
FRAGMENTS = {
    "sqlite": {
        "in_ids": "IN (SELECT value FROM json_each(:ids))",
        "of_courses": "id IN (SELECT id FROM enrollments WHERE course_id IN (SELECT value FROM json_each(:ids)))",
        "ids": "(SELECT key + 1 AS block, value AS id FROM json_each(:ids))",
        "rows": "(SELECT key + 1 AS block, value AS item FROM json_each(:rows))",
        "list_of_ids": "json_group_array(id)",
        "time_type": "TEXT",
        "turn_lock": "",
        "claim_lock": "",
    },
    "postgresql": {
        "in_ids": "= ANY(CAST(:ids AS bigint[]))",
        "of_courses": "(course_id IN (SELECT unnest(CAST(:ids AS bigint[])))) IS TRUE",
        "ids": "(SELECT block, id FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS listed(id, block))",
        "rows": "(SELECT block, item FROM jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY r(item, block))",
        "list_of_ids": "CAST(array_agg(id) AS text)",
        "time_type": "TIMESTAMP WITH TIME ZONE",
        "turn_lock": "FOR NO KEY UPDATE SKIP LOCKED",
        "claim_lock": "FOR UPDATE SKIP LOCKED",
    },
}


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps it as text without a zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give SQLite the naive form of the same moment, because its text has no zone."""
        if value is not None and dialect.name == "sqlite":
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return an aware time, whatever the database keeps."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class IdList(sa.types.TypeDecorator[Sequence[int | None]]):
    """A list of ids as one parameter, so that a statement for a hundred ids is the statement for one."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[int | None] | None, dialect: sa.Dialect) -> str:
        """Pass the list whole, as text that the statement takes apart."""
        return write_ids(value or (), dialect.name)


def write_ids(ids: Sequence[int | None], dialect: str) -> str:
    """Write a list of ids: as an array's text for PostgreSQL, which is quicker than an array, as JSON for SQLite."""
    written = json.dumps(ids)
    return written if dialect == "sqlite" else written.translate(_ARRAY)


_ARRAY = str.maketrans({"[": "{", "]": "}"})


class RowList(sa.types.TypeDecorator[Sequence[Mapping[str, object]]]):
    """A list of rows, each by the names of its values, as one parameter: JSON text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Mapping[str, object]] | None, dialect: sa.Dialect) -> str:
        """Write the list as JSON."""
        return json.dumps(value, default=write_time)


def write_time(time: datetime) -> str:
    """Write a time as SQLite keeps it; a PostgreSQL connection of ours takes it for UTC."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@lru_cache
def _prepared(sql: str, dialect: str) -> sa.TextClause:
    clause = sa.text(sql.format(**FRAGMENTS[dialect]))
    names = clause.compile().params
    times = [sa.bindparam(name, type_=UtcTime()) for name in names if name.endswith("_at")]
    lists = [sa.bindparam(name, type_=IdList()) for name in names if name == "ids"]
    rows = [sa.bindparam(name, type_=RowList()) for name in names if name == "rows"]
    return clause.bindparams(*times, *lists, *rows)


def statement(connection: sa.Connection, sql: str) -> sa.TextClause:
    """Make `sql` ready for the connection's database.

    Braces name a fragment of FRAGMENTS. A parameter whose name ends in `_at` is a time, `:ids` is a list of ids,
    `:rows` one of mappings.
    """
    return _prepared(sql, connection.dialect.name)
