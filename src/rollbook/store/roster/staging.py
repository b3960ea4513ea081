"""The staging tables of a roster: temporary tables of one connection, loaded in chunks.

Rows have the order of COLUMNS, and their values are checked already. Checks write into staged_problems; the views
good_… hold the rows without a problem.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from rollbook.model import fold_email
from rollbook.store.database.bulk_load import load_rows
from rollbook.store.database.execute import execute
from rollbook.store.people.search_text import search_text

CHUNK = 5000
# A problem of line 0 stands for `rows` bad rows that were counted but not staged.
COLUMNS = {
    "problems": "file line column_name reason kind rows",
    "orgs": "line sourced_id deleted name school",
    "terms": "line sourced_id deleted title",
    "courses": "line sourced_id deleted",
    "classes": "line sourced_id deleted title course_ref school_ref",
    "class_terms": "line position term_ref",
    "users": "line sourced_id deleted active given_name family_name email employee_id",
    "memberships": "file line sourced_id deleted user_ref org_ref role",
    "enrollments": "line sourced_id deleted class_ref school_ref user_ref student begins_at ends_at",
    "categories": "line sourced_id deleted title",
    "line_items": "line sourced_id deleted title class_ref category_ref value_max",
    "results": "line sourced_id deleted line_item_ref user_ref score_status score text_score score_date",
}
# Columns and tables that the import fills in.
DERIVED = {
    "classes": "term",
    "users": "email_folded search_text search_from user_id",
    "relatives": "sourced_id",  # people who are not imported
    "matches": "line user_id external_id persons",  # users who match new people
    "claims": "line active kept reason holder_id holder holder_line holder_active",  # values of other users
    "met": "line sourced_id begins_at id external_id access_ends_at",  # enrollments of the same learners and classes
    "stays": "line first_line apart",  # the enrollments of learners who have several in a class
    "line_items": "final",
    # The graded final results, each with an enrollment of the learner in the class, of `rivals` such enrollments;
    # `place` is 1 for the latest result of an enrollment.
    "grades": "line enrollment_id completed rivals place score_status score text_score score_date value_max",
    "notes": "file line column_name reason",  # remarks about rows that are imported
    "before": "record id told",  # what the records of the roster were before, for a listing
}
TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    **dict.fromkeys(
        ("line", "position", "rows", "persons", "first_line", "holder_line", "rivals", "place"), sa.Integer()
    ),
    **dict.fromkeys(
        ("deleted", "school", "active", "student", "kept", "holder_active", "apart", "final", "completed"), sa.Boolean()
    ),
    **dict.fromkeys(("begins_at", "ends_at", "access_ends_at"), sa.DateTime(timezone=True)),
    **dict.fromkeys(("id", "user_id", "holder_id", "enrollment_id"), sa.BigInteger()),
}
INDEXES = {
    "problems": ("file, line",),
    "class_terms": ("line, position",),
    "users": ("sourced_id, line", "line", "user_id"),
    "memberships": ("user_ref",),
    "relatives": ("sourced_id",),
    "matches": ("line",),
    "claims": ("line", "holder_line"),
    "stays": ("line",),
    "grades": ("line", "enrollment_id"),
    "before": ("id",),
    "enrollments": ("sourced_id, line", "user_ref, class_ref"),
    **dict.fromkeys(("orgs", "terms", "courses", "classes"), ("sourced_id, line",)),
    **dict.fromkeys(("categories", "line_items", "results"), ("sourced_id, line",)),
}
# The file of a staging table's rows; memberships come from two files and name theirs.
FILES = {table: f"'{table}'" for table in ("orgs", "courses", "classes", "users", "enrollments", "results")} | {
    "categories": "'categories'",
    "line_items": "'lineItems'",
    "terms": "'academicSessions'",
    "class_terms": "'classes'",
    "memberships": "s.file",
    "met": "'enrollments'",
}
STAGED = {
    name: sa.Table(
        f"staged_{name}",
        sa.MetaData(),
        *(
            sa.Column(column, TYPES.get(column, sa.Text()))
            for column in f"{COLUMNS.get(name, '')} {DERIVED.get(name, '')}".split()
        ),
        prefixes=["TEMPORARY"],
    )
    for name in COLUMNS | DERIVED
}

# Memory of the connection, which the defaults limit to 2 and 4 MB.
_ON_SQLITE = "PRAGMA temp_store = FILE; PRAGMA temp.cache_size = -65536; PRAGMA main.cache_size = -65536"
_ON_POSTGRESQL = "SELECT set_config(name, '64MB', false) FROM (VALUES ('temp_buffers'), ('work_mem')) AS s (name)"
_VIEW = """
    CREATE TEMPORARY VIEW good_{table} AS SELECT s.* FROM staged_{table} AS s
    WHERE NOT EXISTS (SELECT 1 FROM staged_problems AS p WHERE p.file = {file} AND p.line = s.line)
"""
# A term that the roster does not name makes the text NULL; then the course keeps its term.
_ADD_TERM = """
    UPDATE staged_classes SET term = CASE WHEN :position = 0 THEN '' ELSE term || ', ' END || (
        SELECT MIN(t.title) FROM staged_class_terms AS c CROSS JOIN staged_terms AS t
        WHERE c.line = staged_classes.line AND c.position = :position AND t.sourced_id = c.term_ref)
    WHERE line IN (SELECT line FROM staged_class_terms WHERE position = :position)
"""


def stage_rows(connection: sa.Connection, rows: Iterable[tuple[str, Sequence[object]]]) -> None:
    """Load rows, each with the name of its table in COLUMNS, into temporary tables of the connection."""
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):  # large rosters use disk instead of memory
        raw.executescript(_ON_SQLITE)
    else:
        execute(connection, _ON_POSTGRESQL)
    with connection.begin():
        for table in STAGED.values():
            table.create(connection, checkfirst=False)
        remaining = iter(rows)
        while chunk := [*islice(remaining, CHUNK)]:
            _load(connection, chunk)
        for name, indexes in INDEXES.items():
            for columns in indexes:
                index = f"ix_staged_{name}_{columns.split(',')[0]}"
                execute(connection, f"CREATE INDEX {index} ON staged_{name} ({columns})")
        for name, file in FILES.items():
            execute(connection, _VIEW.format(table=name, file=file))
            execute(connection, f"ANALYZE staged_{name}")
        [(last,)] = execute(connection, "SELECT COALESCE(MAX(position), -1) FROM staged_class_terms")
        for position in range(last + 1):
            execute(connection, _ADD_TERM, {"position": position})


def _load(connection: sa.Connection, rows: list[tuple[str, Sequence[object]]]) -> None:
    parts: dict[str, list[Sequence[object]]] = {}
    for name, row in rows:
        parts.setdefault(name, []).append(row)
    for name, part in parts.items():
        names = COLUMNS[name].split()
        if name == "users":
            folded = [(*row, *_fold(dict(zip(names, row, strict=True)))) for row in part]
            load_rows(connection, STAGED[name], folded, [*names, "email_folded", "search_text", "search_from"])
        else:
            load_rows(connection, STAGED[name], part, names)


def _fold(row: dict[str, Any]) -> tuple[str | None, ...]:
    email: str | None = row["email"]
    text = search_text(row["given_name"] or "", row["family_name"] or "", email, row["employee_id"])
    return None if email is None else fold_email(email), text["search_text"], text["search_from"]
