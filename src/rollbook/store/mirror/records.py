"""Writes pages of people, groups and courses of another server into the account that copies them, with their ids.

Each statement is for all rows of a page. What the page does not tell stays as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.store.database.execute import execute, execute_count
from rollbook.store.mirror.numbers import NUMBERED, keep_above
from rollbook.store.mirror.state import Mirror

Row = Mapping[str, Any]

# A record with the id that is no copy of this account.
_TAKEN = """
    SELECT t.id, a.name FROM {table} AS t JOIN accounts AS a ON a.id = t.account_id
    WHERE t.id {in_ids} AND (t.account_id <> :account_id OR NOT EXISTS (
        SELECT 1 FROM mirrored AS m WHERE m.account_id = :account_id AND m.kind = :kind AND m.id = t.id))
    ORDER BY t.id LIMIT 1
"""
_MARK = """
    INSERT INTO mirrored (account_id, kind, id, run, modified_at)
    SELECT :account_id, :kind, CAST(item ->> 'id' AS BIGINT), :run, CAST(item ->> 'modified_at' AS {time_type})
    FROM {rows} AS r WHERE true
    ON CONFLICT (account_id, kind, id) DO UPDATE
    SET run = CASE WHEN excluded.run > mirrored.run THEN excluded.run ELSE mirrored.run END,
        modified_at = excluded.modified_at
"""
# Users of the account who have the e-mail or the employee id of another user of the page.
_HOLDERS = """
    SELECT CAST(r.item ->> 'id' AS BIGINT), u.id, r.item ->> '{column}', EXISTS (
        SELECT 1 FROM mirrored AS m WHERE m.account_id = :account_id AND m.kind = 'user' AND m.id = u.id)
    FROM {{rows}} AS r CROSS JOIN users AS u
    WHERE u.account_id = (SELECT :account_id) AND {same} AND u.id <> CAST(r.item ->> 'id' AS BIGINT)
"""
_HOLD = {
    "email": (
        _HOLDERS.format(column="email", same="lower(u.email) = lower(r.item ->> 'email')"),
        "UPDATE users SET email = NULL, email_folded = NULL, email_folded_from = NULL WHERE id {in_ids}",
    ),
    "employee_id": (
        _HOLDERS.format(column="employee_id", same="u.employee_id = r.item ->> 'employee_id'"),
        "UPDATE users SET employee_id = NULL WHERE id {in_ids}",
    ),
}
_WORDS = {"email": "e-mail", "employee_id": "employee id"}
# A list of users tells more than a report, which alone tells the alternate e-mail. A changed e-mail is folded later.
_UPDATE_USERS = """
    UPDATE users SET given_name = n.given_name, family_name = n.family_name, employee_id = n.employee_id,
        title = n.title, division = n.division, email = n.email,
        email_folded = CASE WHEN users.email IS NOT DISTINCT FROM n.email THEN users.email_folded END,
        email_folded_from = CASE WHEN users.email IS NOT DISTINCT FROM n.email THEN users.email_folded_from END,
        alternate_email = CASE WHEN :listed THEN users.alternate_email ELSE n.alternate_email END,
        active = COALESCE(n.active, users.active), created_at = COALESCE(n.created_at, users.created_at),
        modified_at = COALESCE(n.modified_at, users.modified_at)
    FROM (SELECT CAST(item ->> 'id' AS BIGINT) AS id, item ->> 'given_name' AS given_name,
                 item ->> 'family_name' AS family_name, item ->> 'email' AS email,
                 item ->> 'employee_id' AS employee_id, item ->> 'title' AS title, item ->> 'division' AS division,
                 item ->> 'alternate_email' AS alternate_email, CAST(item ->> 'active' AS BOOLEAN) AS active,
                 CAST(item ->> 'created_at' AS {time_type}) AS created_at,
                 CAST(item ->> 'modified_at' AS {time_type}) AS modified_at
          FROM {rows} AS r) AS n
    WHERE users.id = n.id AND users.erased_at IS NULL AND (
        (users.given_name, users.family_name, users.email, users.employee_id, users.title, users.division,
         users.active, users.created_at, users.modified_at)
        IS DISTINCT FROM (n.given_name, n.family_name, n.email, n.employee_id, n.title, n.division,
         COALESCE(n.active, users.active), COALESCE(n.created_at, users.created_at),
         COALESCE(n.modified_at, users.modified_at))
        OR (NOT :listed AND users.alternate_email IS DISTINCT FROM n.alternate_email))
"""
_FIND_CHANGED_USERS = """
    SELECT CAST(item ->> 'id' AS BIGINT) FROM {rows} AS r
    WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.id = CAST(item ->> 'id' AS BIGINT)
                        AND u.modified_at = CAST(item ->> 'modified_at' AS {time_type}))
"""
_ADD_USERS = """
    INSERT INTO users (id, account_id, given_name, family_name, email, employee_id, title, division, alternate_email,
                       role, active, created_at, modified_at)
    SELECT CAST(item ->> 'id' AS BIGINT), :account_id, item ->> 'given_name', item ->> 'family_name',
           item ->> 'email', item ->> 'employee_id', item ->> 'title', item ->> 'division',
           item ->> 'alternate_email', 'learner', COALESCE(CAST(item ->> 'active' AS BOOLEAN), true),
           COALESCE(CAST(item ->> 'created_at' AS {time_type}), :now_at),
           COALESCE(CAST(item ->> 'modified_at' AS {time_type}), :now_at)
    FROM {rows} AS r
    WHERE NOT EXISTS (SELECT 1 FROM users AS k WHERE k.id = CAST(item ->> 'id' AS BIGINT))
"""
_LEAVE_TEAMS = """
    DELETE FROM user_teams WHERE user_id {in_ids} AND NOT EXISTS (
        SELECT 1 FROM {rows} AS r WHERE CAST(item ->> 'user_id' AS BIGINT) = user_id AND item ->> 'name' = name)
"""
_JOIN_TEAMS = """
    INSERT INTO user_teams (account_id, user_id, name)
    SELECT :account_id, u.id, item ->> 'name' FROM {rows} AS r
    JOIN users AS u ON u.id = CAST(item ->> 'user_id' AS BIGINT) AND u.erased_at IS NULL
    WHERE true
    ON CONFLICT DO NOTHING
"""
_UPDATE_COURSES = """
    UPDATE courses SET name = item ->> 'name', status = COALESCE(item ->> 'status', courses.status),
        duration = COALESCE(item ->> 'duration', courses.duration), modified_at = :now_at
    FROM {rows} AS r
    WHERE courses.id = CAST(item ->> 'id' AS BIGINT) AND (
        courses.name <> item ->> 'name' OR courses.status <> COALESCE(item ->> 'status', courses.status)
        OR courses.duration IS DISTINCT FROM COALESCE(item ->> 'duration', courses.duration))
"""
_ADD_COURSES = """
    INSERT INTO courses (id, account_id, name, status, duration, created_at, modified_at)
    SELECT CAST(item ->> 'id' AS BIGINT), :account_id, item ->> 'name', COALESCE(item ->> 'status', 'Active'),
           item ->> 'duration', :now_at, :now_at
    FROM {rows} AS r
    WHERE NOT EXISTS (SELECT 1 FROM courses AS k WHERE k.id = CAST(item ->> 'id' AS BIGINT))
"""
# A report tells only the number of a session.
_UPDATE_SESSIONS = """
    UPDATE sessions SET name = item ->> 'name', status = item ->> 'status', grade_type = item ->> 'grade_type',
        starts_at = CAST(item ->> 'starts_at' AS {time_type}), ends_at = CAST(item ->> 'ends_at' AS {time_type})
    FROM {rows} AS r
    WHERE sessions.id = CAST(item ->> 'id' AS BIGINT) AND item ->> 'status' IS NOT NULL
      AND (sessions.name, sessions.status, sessions.grade_type, sessions.starts_at, sessions.ends_at)
          IS DISTINCT FROM (item ->> 'name', item ->> 'status', item ->> 'grade_type',
              CAST(item ->> 'starts_at' AS {time_type}), CAST(item ->> 'ends_at' AS {time_type}))
"""
_ADD_SESSIONS = """
    INSERT INTO sessions (id, account_id, course_id, name, status, grade_type, starts_at, ends_at)
    SELECT CAST(item ->> 'id' AS BIGINT), :account_id, CAST(item ->> 'course_id' AS BIGINT), item ->> 'name',
           COALESCE(item ->> 'status', 'Active'), item ->> 'grade_type',
           CAST(item ->> 'starts_at' AS {time_type}), CAST(item ->> 'ends_at' AS {time_type})
    FROM {rows} AS r
    WHERE NOT EXISTS (SELECT 1 FROM sessions AS k WHERE k.id = CAST(item ->> 'id' AS BIGINT))
"""
_CHANGES = {
    "user": ("users", _UPDATE_USERS, _ADD_USERS),
    "course": ("courses", _UPDATE_COURSES, _ADD_COURSES),
    "session": ("sessions", _UPDATE_SESSIONS, _ADD_SESSIONS),
}

Counts = dict[str, int]


def refuse_taken(connection: sa.Connection, mirror: Mirror, kind: str, ids: Iterable[int]) -> None:
    """Refuse ids that belong to records which are no copies of this account; errors: UserError."""
    given = {"account_id": mirror.account_id, "kind": kind, "ids": [*ids]}
    if found := execute(connection, _TAKEN.replace("{table}", f"{kind}s"), given):
        number, name = found[0]
        raise UserError(
            f"The {kind} {number} of {mirror.url} cannot keep its id: the account {name!r} has another {kind} with "
            "this id. Mirror into a database of its own: set ROLLBOOK_DATA_DIR or ROLLBOOK_DATABASE_URL, and run "
            "rollbook init."
        )


def mark(connection: sa.Connection, mirror: Mirror, kind: str, rows: Sequence[Row]) -> None:
    """Note that the run has listed the records, and keep their ids from new records."""
    if not rows:
        return
    given = {"account_id": mirror.account_id, "kind": kind, "run": mirror.run, "rows": rows}
    execute(connection, _MARK, given)
    if kind in NUMBERED:
        keep_above(connection, kind, max(row["id"] for row in rows))


def write_records(
    connection: sa.Connection, mirror: Mirror, kind: str, rows: Sequence[Row], given: Mapping[str, object]
) -> Counts:
    """Add and change users, courses or sessions, each of which occurs once, and count them."""
    if not rows:
        return {}
    refuse_taken(connection, mirror, kind, (row["id"] for row in rows))
    if kind == "user":
        _free_names(connection, mirror, rows)
    _, update, add = _CHANGES[kind]
    values = {**given, "account_id": mirror.account_id, "rows": rows}
    changed = execute_count(connection, update, values)
    added = execute_count(connection, add, values)
    mark(connection, mirror, kind, rows)
    return {f"{kind}s added": added, f"{kind}s changed": changed}


def find_changed_users(connection: sa.Connection, _mirror: Mirror, rows: Sequence[Row]) -> set[int]:
    """Find those of the users who are unknown here, or were modified at another time."""
    return {id_ for (id_,) in execute(connection, _FIND_CHANGED_USERS, {"rows": rows})}


def set_teams(connection: sa.Connection, mirror: Mirror, teams: Mapping[int, Sequence[str]]) -> None:
    """Replace the teams of users."""
    rows = [{"user_id": user_id, "name": name} for user_id, names in teams.items() for name in {*names}]
    execute(connection, _LEAVE_TEAMS, {"ids": [*teams], "rows": rows})
    execute(connection, _JOIN_TEAMS, {"account_id": mirror.account_id, "rows": rows})


def _free_names(connection: sa.Connection, mirror: Mirror, rows: Sequence[Row]) -> None:
    """Take the e-mails and employee ids of the page from copies whose own page comes later; errors: UserError."""
    for column, (find, release) in _HOLD.items():
        holders = execute(connection, find, {"account_id": mirror.account_id, "rows": rows})
        for user_id, holder, text, is_copy in holders:
            if not is_copy:
                raise UserError(
                    f"The user {user_id} of {mirror.url} has the {_WORDS[column]} {text!r}, and so has the "
                    f"user {holder} of the account here, who is no copy. Change that one: rollbook user rename --help"
                )
        if holders:
            execute(connection, release, {"ids": [holder for _, holder, *_ in holders]})
