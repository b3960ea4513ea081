"""Writes pages of the learner report of another server into the account that copies it, with the ids of enrollments."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from rollbook.store.database.execute import execute_count
from rollbook.store.mirror.groups import GROUP, write_groups
from rollbook.store.mirror.records import Counts, Row, mark, refuse_taken, write_records
from rollbook.store.mirror.state import Mirror

_READ = f"""
    (SELECT CAST(item ->> 'id' AS BIGINT) AS id, CAST(item ->> 'user_id' AS BIGINT) AS user_id,
            CAST(item ->> 'course_id' AS BIGINT) AS course_id, CAST(item ->> 'session_id' AS BIGINT) AS session_id,
            {GROUP} AS group_id, item ->> 'status' AS status, item ->> 'progress' AS progress,
            item ->> 'grade' AS grade, item ->> 'grade_percentage' AS grade_percentage, item ->> 'points' AS points,
            CAST(item ->> 'enrolled_at' AS {{time_type}}) AS enrolled_at,
            CAST(item ->> 'started_at' AS {{time_type}}) AS started_at,
            CAST(item ->> 'completed_at' AS {{time_type}}) AS completed_at,
            CAST(item ->> 'last_accessed_at' AS {{time_type}}) AS last_accessed_at,
            CAST(item ->> 'due_at' AS {{time_type}}) AS due_at,
            CAST(item ->> 'created_at' AS {{time_type}}) AS created_at,
            CAST(item ->> 'modified_at' AS {{time_type}}) AS modified_at
     FROM {{rows}} AS r) AS n
"""
_NAMES = (
    *("user_id", "course_id", "session_id", "group_id", "status", "progress", "grade", "grade_percentage", "points"),
    *("enrolled_at", "started_at", "completed_at", "last_accessed_at", "due_at", "created_at", "modified_at"),
)
_NEW, _OLD = (", ".join(f"{table}.{name}" for name in _NAMES) for table in ("n", "enrollments"))
# An enrollment that would be a second open one of its learner and course stays as it is, and outdated.
_UPDATE = f"""
    UPDATE enrollments SET {", ".join(f"{name} = n.{name}" for name in _NAMES)} FROM {_READ}
    WHERE enrollments.id = n.id AND enrollments.{{unindexed_account_id}} = :account_id
      AND enrollments.purged_at IS NULL AND ({_OLD}) IS DISTINCT FROM ({_NEW})
      AND NOT (enrollments.unenrolled_at IS NULL AND n.status <> 'Completed' AND EXISTS (
          SELECT 1 FROM enrollments AS k WHERE k.user_id = n.user_id AND k.course_id = n.course_id
            AND k.unenrolled_at IS NULL AND k.status <> 'Completed' AND k.id <> n.id))
"""
_ADD = f"""
    INSERT INTO enrollments (id, account_id, {", ".join(_NAMES)})
    SELECT n.id, :account_id, {_NEW} FROM {_READ}
    WHERE NOT EXISTS (SELECT 1 FROM enrollments AS k WHERE k.id = n.id)
    ORDER BY n.id
    ON CONFLICT (user_id, course_id) WHERE {{open}} DO NOTHING
"""


def list_enrollments(connection: sa.Connection, mirror: Mirror, rows: Sequence[Row]) -> Counts:
    """Note the `id` and `modified_at` of enrollments that the server has; errors: UserError for an id that is taken."""
    refuse_taken(connection, mirror, "enrollment", (row["id"] for row in rows))
    mark(connection, mirror, "enrollment", rows)
    return {}


def write_enrollments(connection: sa.Connection, mirror: Mirror, rows: Sequence[Row], now: datetime) -> Counts:
    """Add and change enrollments with the users, courses, groups and sessions that their rows name, and count them.

    What was ended here stays ended.
    """
    refuse_taken(connection, mirror, "enrollment", (row["id"] for row in rows))
    given = {"now_at": now, "listed": False}
    counts: Counts = {}
    courses = {
        row["course_id"]: {"id": row["course_id"], "name": row["course_name"], "duration": row["course_duration"]}
        for row in rows
    }
    sessions = {
        row["session_id"]: {"id": row["session_id"], "course_id": row["course_id"], "name": str(row["session_id"])}
        for row in rows
        if row["session_id"]
    }
    named = {(row["group_key"], row["group_key"] or row["group_name"]): row for row in rows}
    groups = [{name: row[name] for name in ("group_key", "group_number", "group_name")} for row in named.values()]
    for kind, found in (("user", users_of(rows)), ("course", [*courses.values()]), ("session", [*sessions.values()])):
        counts |= write_records(connection, mirror, kind, found, given)
    counts |= write_groups(connection, mirror, groups, now)
    values = {"account_id": mirror.account_id, "rows": rows}
    counts["enrollments changed"] = execute_count(connection, _UPDATE, values)
    counts["enrollments added"] = execute_count(connection, _ADD, values)
    # The rows may be newer than the list.
    mark(connection, mirror, "enrollment", [{"id": row["id"], "modified_at": row["modified_at"]} for row in rows])
    return counts


def users_of(rows: Sequence[Row]) -> list[Row]:
    """Give the row of each user whose enrollments these are."""
    names = ("given_name", "family_name", "email", "employee_id", "title", "division", "alternate_email")
    people = {row["user_id"]: {"id": row["user_id"], **{name: row[name] for name in names}} for row in rows}
    return [*people.values()]
