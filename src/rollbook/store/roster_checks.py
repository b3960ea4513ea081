"""What a roster is checked for across its rows and against the account: statements that write into staged_problems.

The tables staged_… and the views good_…, which leave out rows with a problem, are made in rosters.
"""

# The file that the rows of a staging table stand in; those of memberships come from two and name theirs.
FILES = {table: f"'{table}'" for table in ("orgs", "courses", "classes", "users", "enrollments")} | {
    "terms": "'academicSessions'",
    "class_terms": "'classes'",
    "memberships": "s.file",
}

# A reference that leads nowhere. It only follows from another problem when what it names is there but left out.
_UNKNOWN = """
    INSERT INTO staged_problems (file, line, column_name, reason, follows)
    SELECT file, line, column_name,
           CASE WHEN follows THEN '{noun} ''' || ref || ''' is left out' WHEN another
                THEN '''' || ref || ''' is not a school' ELSE 'no {noun} ''' || ref || '''' END, follows
    FROM (SELECT {file} AS file, s.line, {column} AS column_name, s.{ref} AS ref,
                 EXISTS (SELECT 1 FROM staged_{target} AS t WHERE t.sourced_id = s.{ref} AND {another}) AS another,
                 EXISTS (SELECT 1 FROM staged_{target} AS t
                         WHERE t.sourced_id = s.{ref} AND NOT t.deleted AND NOT ({another}))
                 OR EXISTS (SELECT 1 FROM staged_problems AS p
                            WHERE p.file = {target_file} AND p.line = 1) AS follows
          FROM staged_{table} AS s WHERE s.{ref} IS NOT NULL {where} AND NOT EXISTS ({known})) AS unknown
"""
_LIVE = "SELECT 1 FROM {live} AS k WHERE k.account_id = :account_id AND k.external_id = s.{ref}"
_IN_ROSTER = "SELECT 1 FROM good_{target} AS k WHERE k.sourced_id = s.{ref} AND NOT k.deleted"
_OTHER_ORG = " UNION ALL SELECT 1 FROM staged_orgs AS k WHERE k.sourced_id = s.{ref} AND NOT k.school"
REFERENCES = {  # what it is called, its staging table, how it is found
    "school_ref": ("school", "orgs", _LIVE.replace("{live}", "groups")),
    "org_ref": ("org", "orgs", _LIVE.replace("{live}", "groups") + _OTHER_ORG),
    "term_ref": ("term", "terms", _IN_ROSTER),
    "course_ref": ("course", "courses", _IN_ROSTER),
    "class_ref": ("class", "classes", _LIVE.replace("{live}", "courses")),
    "user_ref": ("user", "users", _LIVE.replace("{live}", "users")),
}


def _unknown(table: str, ref: str, column: str, where: str = "") -> str:
    noun, target, known = REFERENCES[ref]
    another = "COALESCE(NOT t.school AND NOT t.deleted, false)" if target == "orgs" else "false"
    given = {"table": table, "file": FILES[table], "ref": ref, "column": column, "where": where, "noun": noun}
    given |= {"target": target, "target_file": FILES[target], "another": another}
    return _UNKNOWN.format(**given, known=known.format(target=target, ref=ref))


# Every row but the first of those that have to differ.
_REPEATED = """
    INSERT INTO staged_problems (file, line, column_name, reason, follows)
    SELECT {file}, s.line, '{column}', '{reason} line ' || s.first_line, false
    FROM (SELECT s.*, FIRST_VALUE(s.line) OVER alike AS first_line, FIRST_VALUE(s.sourced_id) OVER alike AS first_id
          FROM staged_{table} AS s WHERE {where} WINDOW alike AS (PARTITION BY {key} ORDER BY s.line)) AS s
    WHERE s.line > s.first_line AND {but}
"""


def _repeated(table: str, column: str, key: str, where: str, reason: str = "the same as in") -> str:
    but = "true" if column == "sourcedId" else "s.sourced_id IS DISTINCT FROM s.first_id"
    given = {"table": table, "file": FILES[table], "column": column, "key": key, "where": where}
    return _REPEATED.format(**given, reason=reason, but=but)


def _repeated_id(table: str, where: str = "s.sourced_id IS NOT NULL") -> str:
    return _repeated(table, "sourcedId", "s.sourced_id", where)


# Something unique that another user of the account has. A user without an external id and with the same e-mail is no
# other: the roster's user takes over that one, unless Rollbook has both.
_HELD = """
    INSERT INTO staged_problems (file, line, column_name, reason, follows)
    SELECT 'users', s.line, '{column}', 'another user of the account has it', false
    FROM staged_users AS s CROSS JOIN users AS u
    WHERE u.account_id = :account_id AND {alike} AND s.sourced_id IS NOT NULL
      AND u.external_id IS DISTINCT FROM s.sourced_id
      AND NOT (u.external_id IS NULL AND COALESCE(lower(u.email) = lower(s.email), false)
               AND NOT EXISTS (SELECT 1 FROM users AS k
                               WHERE k.account_id = :account_id AND k.external_id = s.sourced_id))
"""

# An enrolment keeps its learner and its course: its progress and its history are theirs.
_MOVED = """
    INSERT INTO staged_problems (file, line, column_name, reason, follows)
    SELECT 'enrollments', s.line, '{column}', 'the enrolment is one of {noun} ''' || k.external_id || '''', false
    FROM staged_enrollments AS s CROSS JOIN enrollments AS e CROSS JOIN {live} AS k
    WHERE e.account_id = :account_id AND e.external_id = s.sourced_id AND s.student
      AND k.id = e.{key} AND k.external_id <> s.{ref}
"""
# Whether the enrolment of a row is open after the import, as uq_enrollments_open means it.
OPENS = """
    s.student AND s.user_ref IS NOT NULL AND s.class_ref IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM enrollments AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id
           AND (k.unenrolled_at IS NOT NULL OR k.status = 'Completed'))
"""
# The current enrolments that would be in the way of those, or that they take over. Materialized, because with tables as
# new as these both databases would rather compare every row of the roster with every enrolment.
IN_THE_WAY = """
    WITH opened AS MATERIALIZED (
        SELECT s.line, s.sourced_id, u.id AS user_id, c.id AS course_id
        FROM {rows} AS s CROSS JOIN users AS u CROSS JOIN courses AS c
        WHERE u.account_id = :account_id AND u.external_id = s.user_ref
          AND c.account_id = :account_id AND c.external_id = s.class_ref AND {opens}),
    met AS MATERIALIZED (
        SELECT e.id, e.external_id, o.line, o.sourced_id FROM opened AS o CROSS JOIN enrollments AS e
        WHERE e.user_id = o.user_id AND e.course_id = o.course_id
          AND e.unenrolled_at IS NULL AND e.status <> 'Completed')
"""
_ENROLLED = """
    INSERT INTO staged_problems (file, line, column_name, reason, follows) {staged_in_the_way}
    SELECT 'enrollments', line, 'sourcedId', 'the learner has that class already, by ''' || external_id || '''', false
    FROM met WHERE external_id <> sourced_id
"""

_MEMBERSHIP_COLUMN = "CASE s.file WHEN 'users' THEN 'orgSourcedIds' ELSE 'orgSourcedId' END"
# By the table that is filled next: the checks, each with the file that has to be complete for it, or with none.
CHECKS: dict[str, tuple[tuple[str | None, str], ...]] = {
    "groups": tuple((None, _repeated_id(table)) for table in ("orgs", "terms", "courses")),
    "courses": (
        (None, _repeated_id("classes")),
        (None, _unknown("classes", "school_ref", "'schoolSourcedId'")),
        ("courses", _unknown("classes", "course_ref", "'courseSourcedId'")),
        ("academicSessions", _unknown("class_terms", "term_ref", "'termSourcedIds'")),
    ),
    "users": (
        (None, _repeated_id("users")),
        (None, _repeated_id("memberships")),
        ("orgs", _unknown("memberships", "org_ref", _MEMBERSHIP_COLUMN)),
        (None, _repeated("users", "email", "lower(s.email)", "s.email IS NOT NULL")),
        (None, _repeated("users", "identifier", "s.employee_id", "s.employee_id IS NOT NULL")),
        (None, _HELD.format(column="email", alike="lower(u.email) = lower(s.email)")),
        (None, _HELD.format(column="identifier", alike="u.employee_id = s.employee_id")),
    ),
    "enrollments": (
        (None, _unknown("memberships", "user_ref", "'userSourcedId'", "AND s.file = 'roles'")),
        (None, _repeated_id("enrollments")),
        (None, _unknown("enrollments", "class_ref", "'classSourcedId'")),
        (None, _unknown("enrollments", "school_ref", "'schoolSourcedId'")),
        (None, _unknown("enrollments", "user_ref", "'userSourcedId'")),
        (None, _MOVED.format(column="userSourcedId", noun="user", live="users", key="user_id", ref="user_ref")),
        (None, _MOVED.format(column="classSourcedId", noun="class", live="courses", key="course_id", ref="class_ref")),
        (None, _repeated("enrollments", "sourcedId", "s.user_ref, s.class_ref", OPENS, "the learner and class of")),
        (None, _ENROLLED),
    ),
}
