"""Brings a roster into an account: staging tables and the import itself; what is checked stands in roster_checks.

Rows come in the order of COLUMNS; their form was checked where they were read. A check writes into staged_problems,
and a row with a problem is no longer in the view good_…. Every step is one statement for all rows.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import Action, Actor, Change, utc_now
from rollbook.store.accounts import Account
from rollbook.store.audit import record_change
from rollbook.store.dialects import statement
from rollbook.store.engine import load_rows
from rollbook.store.roster_checks import CHECKS, FILES, IN_THE_WAY, OPENS
from rollbook.store.unenrollments import accept_batch

CHUNK = 5000

COLUMNS = {
    "problems": "file line column_name reason follows",
    "orgs": "line sourced_id deleted name school",
    "terms": "line sourced_id deleted title",
    "courses": "line sourced_id deleted",
    "classes": "line sourced_id deleted title course_ref school_ref",
    "class_terms": "line position term_ref",
    "users": "line sourced_id deleted active given_name family_name email employee_id",
    "memberships": "file line sourced_id deleted user_ref org_ref",
    "enrollments": "line sourced_id deleted class_ref school_ref user_ref student begins_at ends_at",
}
TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    **dict.fromkeys(("line", "position"), sa.Integer()),
    **dict.fromkeys(("follows", "deleted", "school", "active", "student"), sa.Boolean()),
    **dict.fromkeys(("begins_at", "ends_at"), sa.DateTime(timezone=True)),
}
INDEXES = {"problems": "file, line", "class_terms": "line, position"} | dict.fromkeys(
    ("orgs", "terms", "courses", "classes", "users", "enrollments"), "sourced_id, line"
)
STAGED = {
    name: sa.Table(
        f"staged_{name}",
        sa.MetaData(),
        *(sa.Column(column, TYPES.get(column, sa.Text())) for column in columns.split()),
        prefixes=["TEMPORARY"],
    )
    for name, columns in COLUMNS.items()
}

_VIEW = """
    CREATE TEMPORARY VIEW good_{table} AS SELECT s.* FROM staged_{table} AS s
    WHERE NOT EXISTS (SELECT 1 FROM staged_problems AS p WHERE p.file = {file} AND p.line = s.line)
"""

# What the statements below have in common, by the name that stands in their braces.
PARTS = {
    "same": "{table}.account_id = :account_id AND {table}.external_id = s.sourced_id",
    "new": """NOT s.deleted AND NOT EXISTS (
        SELECT 1 FROM {table} AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id)""",
    "user": "s.given_name, s.family_name, s.email, s.employee_id, s.active",
    # A roster must not lock an owner out.
    "known_user": "s.given_name, s.family_name, s.email, s.employee_id, s.active OR users.role = 'owner'",
    "status": "CASE courses.status WHEN 'Archived' THEN 'Active' ELSE courses.status END",
    "enrolled_at": "COALESCE(s.begins_at, enrollments.enrolled_at)",
    "staged_in_the_way": IN_THE_WAY.format(rows="staged_enrollments", opens=OPENS),
    "good_in_the_way": IN_THE_WAY.format(rows="good_enrollments", opens=OPENS),
}

# By table: the statements that change it, in their order. What was adopted shows by its modified_at and is updated too.
CHANGES = {
    "groups": {
        "updated": """UPDATE groups SET name = s.name, active = true, modified_at = :now_at FROM good_orgs AS s
            WHERE {same} AND s.school AND NOT s.deleted AND (groups.name <> s.name OR NOT groups.active)""",
        "ended": """UPDATE groups SET active = false, modified_at = :now_at FROM good_orgs AS s
            WHERE {same} AND s.deleted AND groups.active""",
        "added": """INSERT INTO groups (account_id, external_id, name, active, created_at, modified_at)
            SELECT :account_id, s.sourced_id, s.name, true, :now_at, :now_at FROM good_orgs AS s
            WHERE s.school AND {new} ORDER BY s.line""",
    },
    "courses": {
        "updated": """UPDATE courses SET name = s.title, term = COALESCE(s.term, courses.term), status = {status},
                modified_at = :now_at FROM good_classes AS s WHERE {same} AND NOT s.deleted
              AND (courses.name <> s.title OR s.term <> COALESCE(courses.term, '') OR courses.status = 'Archived')""",
        "ended": """UPDATE courses SET status = 'Archived', modified_at = :now_at FROM good_classes AS s
            WHERE {same} AND s.deleted AND courses.status <> 'Archived'""",
        "added": """INSERT INTO courses (account_id, external_id, name, term, status, created_at, modified_at)
            SELECT :account_id, s.sourced_id, s.title, s.term, 'Active', :now_at, :now_at FROM good_classes AS s
            WHERE {new} ORDER BY s.line""",
    },
    "users": {
        "adopted": """UPDATE users SET external_id = s.sourced_id, modified_at = :now_at FROM good_users AS s
            WHERE users.account_id = :account_id AND users.external_id IS NULL
              AND lower(users.email) = lower(s.email)""",
        "updated": """UPDATE users SET modified_at = :now_at,
                (given_name, family_name, email, employee_id, active) = ({known_user})
            FROM good_users AS s WHERE {same} AND NOT s.deleted AND (users.modified_at = :now_at OR
              (users.given_name, users.family_name, users.email, users.employee_id, users.active)
              IS DISTINCT FROM ({known_user}))""",
        "ended": """UPDATE users SET active = false, modified_at = :now_at FROM good_users AS s
            WHERE {same} AND s.deleted AND users.active AND users.role <> 'owner'""",
        "added": """INSERT INTO users (account_id, external_id, given_name, family_name, email, employee_id, active,
                role, created_at, modified_at)
            SELECT :account_id, s.sourced_id, {user}, 'learner', :now_at, :now_at FROM good_users AS s
            WHERE {new} ORDER BY s.line""",
    },
    "enrollments": {
        "adopted": """{good_in_the_way}
            UPDATE enrollments SET external_id = met.sourced_id, modified_at = :now_at FROM met
            WHERE enrollments.id = met.id AND met.external_id IS NULL""",
        "updated": """UPDATE enrollments SET group_id = g.id, enrolled_at = {enrolled_at}, access_ends_at = s.ends_at,
                modified_at = :now_at FROM good_enrollments AS s CROSS JOIN groups AS g
            WHERE {same} AND s.student AND enrollments.unenrolled_at IS NULL
              AND g.account_id = :account_id AND g.external_id = s.school_ref AND (enrollments.modified_at = :now_at OR
              (enrollments.group_id, enrollments.enrolled_at, enrollments.access_ends_at)
              IS DISTINCT FROM (g.id, {enrolled_at}, s.ends_at))""",
        "added": """INSERT INTO enrollments (account_id, external_id, user_id, group_id, course_id, status,
                enrolled_at, access_ends_at, created_at, modified_at)
            SELECT :account_id, s.sourced_id, u.id, g.id, c.id, 'Enrolled', COALESCE(s.begins_at, :now_at), s.ends_at,
                :now_at, :now_at
            FROM good_enrollments AS s CROSS JOIN users AS u CROSS JOIN groups AS g CROSS JOIN courses AS c
            WHERE s.student AND u.account_id = :account_id AND u.external_id = s.user_ref
              AND g.account_id = :account_id AND g.external_id = s.school_ref
              AND c.account_id = :account_id AND c.external_id = s.class_ref AND {new} ORDER BY s.line""",
    },
}
# The rows that a table is filled from: staging table, and which of its rows.
SOURCES = {
    "groups": ("orgs", "s.school"),
    "courses": ("classes", "true"),
    "users": ("users", "true"),
    "enrollments": ("enrollments", "s.student"),
}
# How many rows came for a table, of them those that take away what was never there, and the rows left out.
_COUNT = """
    SELECT COUNT(*) AS named,
           COUNT(CASE WHEN s.deleted AND NOT EXISTS (SELECT 1 FROM {table} WHERE {same}) THEN 1 END) AS ignored,
           (SELECT COUNT(DISTINCT line) FROM staged_problems WHERE file = '{staged}') AS skipped
    FROM good_{staged} AS s WHERE s.deleted OR {chosen}
"""
_ADD_MEMBERSHIPS = """
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    SELECT :account_id, g.id, u.id, false, false
    FROM (SELECT user_ref, org_ref AS school_ref FROM good_memberships
          UNION SELECT user_ref, school_ref FROM good_enrollments WHERE student) AS s
    CROSS JOIN groups AS g CROSS JOIN users AS u
    WHERE g.account_id = :account_id AND g.external_id = s.school_ref
      AND u.account_id = :account_id AND u.external_id = s.user_ref
    ON CONFLICT DO NOTHING
"""
_FIND_ENDED = """
    SELECT e.id FROM good_enrollments AS s CROSS JOIN enrollments AS e
    WHERE e.account_id = :account_id AND e.external_id = s.sourced_id AND s.deleted AND e.unenrolled_at IS NULL
    ORDER BY e.id
"""
# A term that the roster does not name makes the whole text unknown; then the course keeps what it has.
_ADD_TERM = """
    UPDATE staged_classes SET term = CASE WHEN :position = 0 THEN '' ELSE term || ', ' END || (
        SELECT MIN(t.title) FROM staged_class_terms AS c CROSS JOIN staged_terms AS t
        WHERE c.line = staged_classes.line AND c.position = :position AND t.sourced_id = c.term_ref)
    WHERE line IN (SELECT line FROM staged_class_terms WHERE position = :position)
"""
_LIST_PROBLEMS = """
    SELECT file, line, column_name, reason FROM staged_problems WHERE :all_of_them OR NOT follows
    ORDER BY file, line, column_name, reason
"""
_LIST_IDS = """
    SELECT external_id, id FROM enrollments
    WHERE account_id = :account_id AND unenrolled_at IS NULL
      AND external_id IN (SELECT sourced_id FROM staged_enrollments) ORDER BY id
"""

COUNTED = ("kind", "added", "updated", "unchanged", "queued", "ignored", "skipped")
Given = dict[str, object]


class Problem(NamedTuple):
    """What is wrong with a row of a file; the line is that where the row begins, the column may be empty."""

    file: str
    line: int
    column: str
    reason: str


def stage_rows(connection: sa.Connection, rows: Iterable[tuple[str, Sequence[object]]]) -> None:
    """Load rows, each with the name of its table in COLUMNS, into temporary tables of the connection."""
    with connection.begin():
        for table in STAGED.values():
            table.create(connection, checkfirst=False)
        remaining = iter(rows)
        while chunk := list(islice(remaining, CHUNK)):
            for name, staged in STAGED.items():
                if part := [row for table, row in chunk if table == name]:
                    load_rows(connection, staged, part)
        _run(connection, "ALTER TABLE staged_classes ADD COLUMN term TEXT", {})
        for name, columns in INDEXES.items():
            _run(connection, f"CREATE INDEX ix_staged_{name} ON staged_{name} ({columns})", {})
        for name, file in FILES.items():
            _run(connection, _VIEW.format(table=name, file=file), {})
            _run(connection, f"ANALYZE staged_{name}", {})
        last = _run(connection, "SELECT COALESCE(MAX(position), -1) FROM staged_class_terms", {}).scalar_one()
        for position in range(last + 1):
            _run(connection, _ADD_TERM, {"position": position})


def import_staged(
    connection: sa.Connection,
    account: Account,
    complete: Collection[str],
    reason: str,
    *,
    by: Actor,
    skip_bad_rows: bool,
    report: Callable[[Problem], object],
) -> list[Given] | None:
    """Check the staged rows against the account and import them, in one transaction; return what became of them.

    `complete` are the files that name everything of their kind, `reason` is that of the batch that unenrols. Problems
    are reported while the database is locked. With any, nothing is imported and the result is None, unless bad rows are
    to be skipped; then what depends on them is skipped too. Errors: DatabaseUnavailableError.
    """
    given: Given = {"account_id": account.id, "now_at": utc_now()}
    bad = False
    connection.execution_options(writes=True)
    try:
        with connection.begin() as transaction:
            counts = [_import_table(connection, table, complete, given) for table in SOURCES]
            _run(connection, _ADD_MEMBERSHIPS, given)
            counts[-1]["queued"] = _queue_ended(connection, account, reason)
            for row in _list_rows(connection, _LIST_PROBLEMS, {"all_of_them": skip_bad_rows}):
                report(Problem(*row))
                bad = True
            change = Change(Action.IMPORT, reason, dict(zip(SOURCES, counts, strict=True)))
            record_change(connection, account.id, by, change)
            if bad and not skip_bad_rows:
                transaction.rollback()
    except IntegrityError as error:
        raise DatabaseUnavailableError(
            "someone else changed the account at the same time; nothing was imported, so run the import again"
        ) from error
    finally:
        connection.execution_options(writes=False)
    return None if bad and not skip_bad_rows else [_describe(*pair) for pair in zip(SOURCES, counts, strict=True)]


def list_enrollment_ids(connection: sa.Connection, account: Account) -> Iterator[tuple[str, int]]:
    """List external id and id of the current enrolments that the staged rows name."""
    rows = _list_rows(connection, _LIST_IDS, {"account_id": account.id})
    return ((external_id, number) for external_id, number in rows)


def _import_table(connection: sa.Connection, table: str, complete: Collection[str], given: Given) -> dict[str, int]:
    for file, check in CHECKS[table]:
        if file is None or file in complete:
            _run(connection, _fill(check, table), given)
    counts = dict.fromkeys(("updated", "ended", "added", "queued"), 0)
    for change, sql in CHANGES[table].items():
        counts[change] = _run(connection, _fill(sql, table), given).rowcount
    return counts | _run(connection, _fill(_COUNT, table), given).one()._asdict()


def _fill(sql: str, table: str) -> str:
    staged, chosen = SOURCES[table]
    parts = {name: part.format(table=table) for name, part in PARTS.items()}
    return sql.format(**parts, table=table, staged=staged, chosen=chosen)


def _queue_ended(connection: sa.Connection, account: Account, reason: str) -> int:
    ids = list(_run(connection, _FIND_ENDED, {"account_id": account.id}).scalars())
    if not ids:
        return 0
    acceptance = accept_batch(
        connection,
        account_id=account.id,
        requested_by=None,
        ids=ids,
        policies=account.policies,
        reason=reason,
        requested_at=utc_now(),
    )
    return len(acceptance.accepted)


def _describe(table: str, counts: dict[str, int]) -> Given:
    updated = counts["updated"] + counts["ended"]
    unchanged = counts["named"] - counts["added"] - updated - counts["queued"] - counts["ignored"]
    return {"kind": table, **counts, "updated": updated, "unchanged": unchanged}


def _run(connection: sa.Connection, sql: str, given: Given) -> sa.CursorResult[*tuple[Any, ...]]:
    return connection.execute(statement(connection, sql), given)


def _list_rows(connection: sa.Connection, sql: str, given: Given) -> sa.CursorResult[*tuple[Any, ...]]:
    # In chunks, because the answer may be long.
    return connection.execute(statement(connection, sql), given, execution_options={"yield_per": CHUNK})
