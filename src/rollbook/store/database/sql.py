"""SQL fragments and parameter formats with which one text serves SQLite and PostgreSQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa

# The predicates of partial indexes. An index serves a statement only if the statement has the words of its predicate.
OPEN = "unenrolled_at IS NULL AND status <> 'Completed'"  # the one open enrollment of a learner in a course
LIVE = "status IN ('Pending', 'Complete')"  # the one item of an enrollment that waits or is done and not undone
CLOSED = "status NOT IN ('Pending', 'Complete')"
PENDING = "status = 'Pending'"

# An expression that no index matches. For a new account PostgreSQL's statistics promise hardly a row, so that it would
# choose the account's index and read the whole account; SQLite prefers that index too (decision 0002).
UNINDEXED_ACCOUNT_ID = "account_id + 0"

# What `{name}` stands for in the text of `execute`:
#   in_ids       is one of the list :ids, for a column whose index finds the rows
#   ids          the list :ids as a table (block, id); blocks count from 1
#   list_of_ids  the ids of a query as a list, in the format of :ids
#   rows         the list :rows as a table (block, item); `item ->> 'name'` is a value as text, to be cast
#   lists        the lists `ids` of :rows as a table (batch_id, block, id); blocks count from the row's `before` + 1
#   time_type    the type of times
#   account_lock locks the row of an account, or skips it while it is locked; SQLite has one writer anyway
#   claim_lock   the same for rows that are to be changed
_SHARED = {"open": OPEN, "live": LIVE, "pending": PENDING, "unindexed_account_id": UNINDEXED_ACCOUNT_ID}
FRAGMENTS = {
    "sqlite": {
        **_SHARED,
        "in_ids": "IN (SELECT value FROM json_each(:ids))",
        "ids": "(SELECT key + 1 AS block, value AS id FROM json_each(:ids))",
        "list_of_ids": "json_group_array(id)",
        "rows": "(SELECT key + 1 AS block, value AS item FROM json_each(:rows))",
        "lists": """(SELECT item ->> 'batch_id' AS batch_id, (item ->> 'before') + list.key + 1 AS block,
                            list.value AS id
                     FROM (SELECT value AS item FROM json_each(:rows)) CROSS JOIN json_each(item ->> 'ids') AS list)""",
        "time_type": "TEXT",
        "account_lock": "",
        "claim_lock": "",
    },
    "postgresql": {
        **_SHARED,
        "in_ids": "= ANY(CAST(:ids AS bigint[]))",
        "ids": "(SELECT block, id FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS listed(id, block))",
        "list_of_ids": "CAST(array_agg(id) AS text)",
        "rows": "(SELECT block, item FROM jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY r(item, block))",
        "lists": """(SELECT CAST(item ->> 'batch_id' AS bigint) AS batch_id,
                   CAST(item ->> 'before' AS integer) + CAST(block AS integer) AS block, id
            FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS listing(item),
                 unnest(CAST(item ->> 'ids' AS bigint[])) WITH ORDINALITY AS listed(id, block))""",
        "time_type": "TIMESTAMP WITH TIME ZONE",
        "account_lock": "FOR NO KEY UPDATE SKIP LOCKED",
        "claim_lock": "FOR UPDATE SKIP LOCKED",
    },
}

T = TypeVar("T")


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC; SQLite stores it as text without a zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the naive form of the same moment for SQLite."""
        if value is not None and dialect.name == "sqlite":
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return an aware time from either database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def unindexed(column: sa.ColumnElement[T]) -> sa.ColumnElement[T]:
    """Return a column of numbers as an expression that no index matches: UNINDEXED_ACCOUNT_ID for Core."""
    return column + 0


def in_ids(connection: sa.Connection, column: sa.Column[int], ids: Collection[int]) -> sa.TextClause:
    """Return the fragment of this name for a Core query: one statement for lists of any length."""
    dialect = connection.dialect.name
    sql = f"{column.table.name}.{column.name} {FRAGMENTS[dialect]['in_ids']}"
    return sa.text(sql).bindparams(ids=write_ids([*ids], dialect))


def write_ids(ids: Sequence[int | None], dialect: str) -> str:
    """Write a list of ids as JSON for SQLite, and as array text, which is faster than an array, for PostgreSQL."""
    written = json.dumps(ids)
    return written if dialect == "sqlite" else written.translate(_ARRAY)


_ARRAY = str.maketrans({"[": "{", "]": "}"})


def write_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Write a list of mappings as JSON."""
    return json.dumps(rows, default=write_time, check_circular=False)


def write_time(time: datetime) -> str:
    """Write a time as SQLite stores it; PostgreSQL sessions of Rollbook are in UTC and read it as such."""
    return time.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")
