"""Checks of a roster across its rows and against the account: statements that write into staged_problems.

A problem is `bad`, `follows` from another problem, or is `refused`: then only that row is not imported. Conflicts about
addresses and identifiers are resolved in `people`.
"""

from rollbook.store.database.sql import LIVE
from rollbook.store.roster.staging import FILES

# By column: what the reference is called, the staging table that it names, and the table of the account, if it has one.
REFERENCES = {
    "school_ref": ("school", "orgs", "groups"),
    "org_ref": ("org", "orgs", "groups"),
    "term_ref": ("term", "terms", None),
    "course_ref": ("course", "courses", None),
    "class_ref": ("class", "classes", "courses"),
    "user_ref": ("user", "users", "users"),
    "line_item_ref": ("line item", "line_items", None),
}


def _unknown(table: str, ref: str, column: str, where: str = "") -> str:
    """Refuse rows with a reference that leads nowhere; it `follows` when its target is there but left out."""
    noun, target, live = REFERENCES[ref]
    known = f"SELECT 1 FROM good_{target} AS k WHERE k.sourced_id = s.{ref} AND NOT k.deleted"
    if live:
        known = f"SELECT 1 FROM {live} AS k WHERE k.account_id = :account_id AND k.external_id = s.{ref}"
    if ref == "org_ref":
        known += f" UNION ALL SELECT 1 FROM staged_orgs AS k WHERE k.sourced_id = s.{ref} AND NOT k.school"
    no_school = "COALESCE(NOT t.school AND NOT t.deleted, false)" if target == "orgs" else "false"
    named = f"EXISTS (SELECT 1 FROM staged_{target} AS t WHERE t.sourced_id = s.{ref}"
    return f"""
        INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
        SELECT file, line, column_name,
               CASE WHEN follows THEN '{noun} ''' || ref || ''' is left out'
                    WHEN no_school THEN '''' || ref || ''' is not a school'
                    WHEN deleted_in IS NOT NULL
                    THEN '{noun} ''' || ref || ''' is tobedeleted in line ' || deleted_in
                    ELSE 'no {noun} ''' || ref || '''' END,
               CASE WHEN follows THEN 'follows' ELSE 'bad' END, 1
        FROM (SELECT {FILES[table]} AS file, s.line, {column} AS column_name, s.{ref} AS ref,
                     (SELECT MIN(t.line) || ' of ' || {FILES[target]} || '.csv' FROM staged_{target} AS t
                      WHERE t.sourced_id = s.{ref} AND t.deleted) AS deleted_in,
                     {named} AND {no_school}) AS no_school,
                     {named} AND NOT t.deleted AND NOT ({no_school}))
                     OR EXISTS (SELECT 1 FROM staged_problems AS p
                                WHERE p.file = {FILES[target]} AND p.line = 0) AS follows
              FROM staged_{table} AS s WHERE s.{ref} IS NOT NULL {where} AND NOT EXISTS ({known})) AS unknown
    """


def _repeated_id(table: str) -> str:
    """Refuse every row but the first of those with the same sourcedId."""
    return f"""
        INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
        SELECT {FILES[table]}, s.line, 'sourcedId', 'the same as in line ' || r.first_line, 'bad', 1
        FROM (SELECT sourced_id, MIN(line) AS first_line FROM staged_{table}
              WHERE sourced_id IS NOT NULL GROUP BY sourced_id HAVING COUNT(*) > 1) AS r
        CROSS JOIN staged_{table} AS s WHERE s.sourced_id = r.sourced_id AND s.line > r.first_line
    """


def _moved(column: str, noun: str, live: str, key: str, ref: str) -> str:
    """Refuse to move an enrollment to another learner or course: its progress and its history are theirs."""
    return f"""
        INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
        SELECT 'enrollments', s.line, '{column}', 'the enrollment is one of {noun} ''' || k.external_id || '''',
               'bad', 1
        FROM staged_enrollments AS s CROSS JOIN enrollments AS e CROSS JOIN {live} AS k
        WHERE e.account_id = :account_id AND e.external_id = s.sourced_id AND s.student
          AND k.id = e.{key} AND k.external_id <> s.{ref}
    """


_TELL_ENROLLED = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    WITH ended AS MATERIALIZED (
        SELECT s.line, c.id AS course_id FROM good_classes AS s CROSS JOIN courses AS c
        WHERE s.deleted AND c.account_id = :account_id AND c.external_id = s.sourced_id AND c.status <> 'Archived')
    SELECT 'classes', ended.line, 'status', 'the course is archived; enrollments that stay current: ' || COUNT(*)
    FROM enrollments AS e CROSS JOIN ended
    WHERE EXISTS (SELECT 1 FROM ended)
      AND e.account_id = :account_id AND e.unenrolled_at IS NULL AND e.course_id = ended.course_id
      AND NOT EXISTS (SELECT 1 FROM staged_enrollments AS k WHERE k.sourced_id = e.external_id AND k.deleted)
    GROUP BY ended.line
"""

# The enrollment of the row is open after the import, as in uq_enrollments_open.
_OPENS = """
    s.student AND s.user_ref IS NOT NULL AND s.class_ref IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM enrollments AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id
           AND (k.unenrolled_at IS NOT NULL OR k.status = 'Completed'))
"""
# A learner who left and returned has several dated rows of one class. The current stay is imported, else the next one,
# else the last one. The others are past or planned stays if they do not overlap it. Few learners have several rows, so
# these are found first.
_FIND_STAYS = f"""
    INSERT INTO staged_stays (line, first_line, apart)
    SELECT line, first_line, COALESCE(ends_at <= first_begin OR begins_at >= first_end
                                      OR (phase = 2 AND first_phase < 2), false)
    FROM (SELECT line, phase, begins_at, ends_at, FIRST_VALUE(line) OVER stays AS first_line,
                 FIRST_VALUE(phase) OVER stays AS first_phase, FIRST_VALUE(begins_at) OVER stays AS first_begin,
                 FIRST_VALUE(ends_at) OVER stays AS first_end
          FROM (SELECT s.*, CASE WHEN s.ends_at <= :now_at THEN 2 WHEN s.begins_at > :now_at THEN 1 ELSE 0 END AS phase
                FROM (SELECT user_ref, class_ref FROM staged_enrollments
                      GROUP BY user_ref, class_ref HAVING COUNT(*) > 1) AS r
                CROSS JOIN good_enrollments AS s
                WHERE s.user_ref = r.user_ref AND s.class_ref = r.class_ref AND {_OPENS}) AS s
          WINDOW stays AS (PARTITION BY user_ref, class_ref ORDER BY phase, CASE phase WHEN 2 THEN ends_at END DESC,
                           CASE phase WHEN 1 THEN begins_at END, line)) AS s
    WHERE line <> first_line
"""
_REFUSE_OVERLAPPING = """
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    SELECT 'enrollments', line, 'sourcedId', 'the learner and class of line ' || first_line || ', at the same time',
           'bad', 1
    FROM staged_stays WHERE NOT apart
"""
# Such a row is known but not imported, like a row of another role.
_IGNORE_STAYS = (
    "UPDATE staged_enrollments SET student = false WHERE line IN (SELECT line FROM staged_stays WHERE apart)"
)
_TELL_STAYS = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'enrollments', 0, '', 'earlier or later stays of learners in a class that are not imported: ' || COUNT(*)
    FROM staged_stays WHERE apart HAVING COUNT(*) > 0
"""

# Open enrollments of the same learners and courses as new rows. Those that were made in Rollbook, or belong to a past
# stay, are taken over: the learner keeps the id and the progress. Materialized, because without statistics both
# databases would compare every row of the roster with every enrollment.
_FIND_MET = """
    INSERT INTO staged_met (line, sourced_id, begins_at, id, external_id, access_ends_at)
    WITH opened AS MATERIALIZED (
        SELECT s.line, s.sourced_id, s.begins_at,
               (SELECT u.id FROM users AS u WHERE u.account_id = (SELECT :account_id) AND u.external_id = s.user_ref)
                   AS user_id,
               (SELECT c.id FROM courses AS c WHERE c.account_id = (SELECT :account_id) AND c.external_id = s.class_ref)
                   AS course_id
        FROM good_enrollments AS s
        WHERE EXISTS (SELECT 1 FROM enrollments WHERE account_id = :account_id) AND s.student
          AND NOT EXISTS (SELECT 1 FROM enrollments AS k
                          WHERE k.account_id = :account_id AND k.external_id = s.sourced_id))
    SELECT o.line, o.sourced_id, o.begins_at, e.id, e.external_id, e.access_ends_at
    FROM opened AS o CROSS JOIN enrollments AS e
    WHERE e.user_id = o.user_id AND e.course_id = o.course_id AND e.unenrolled_at IS NULL AND e.status <> 'Completed'
"""
_REFUSE_SECOND = f"""
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    SELECT 'enrollments', line, 'sourcedId',
           CASE WHEN queued THEN 'the learner''s enrollment ' || id || ' in that class is in the unenrollment queue'
                ELSE 'the learner has that class already, by ''' || external_id || '''' END,
           CASE WHEN queued THEN 'refused' ELSE 'bad' END, 1
    FROM (SELECT met.*, EXISTS (SELECT 1 FROM unenrollments AS u
                                WHERE u.enrollment_id = met.id AND u.{LIVE}) AS queued,
                 external_id IS NULL OR COALESCE(access_ends_at <= :now_at OR access_ends_at <= begins_at, false)
                 OR EXISTS (SELECT 1 FROM good_enrollments AS s
                            WHERE s.sourced_id = met.external_id AND (s.deleted OR NOT s.student))
                 OR (:enrollments_complete AND NOT EXISTS (
                         SELECT 1 FROM staged_enrollments AS s WHERE s.sourced_id = met.external_id)) AS ended
          FROM staged_met AS met) AS beside
    WHERE queued OR NOT ended
"""

_IS_FINAL = "EXISTS (SELECT 1 FROM staged_line_items AS l WHERE l.sourced_id = s.line_item_ref AND l.final)"
_MEMBERSHIP_COLUMN = "CASE s.file WHEN 'users' THEN 'orgSourcedIds' ELSE 'orgSourcedId' END"
# By the table that is filled next: its checks, each with the file that must be complete for it, or None.
CHECKS: dict[str, tuple[tuple[str | None, str], ...]] = {
    "groups": tuple((None, _repeated_id(table)) for table in ("orgs", "terms", "courses")),
    "courses": (
        (None, _repeated_id("classes")),
        (None, _unknown("classes", "school_ref", "'schoolSourcedId'")),
        ("courses", _unknown("classes", "course_ref", "'courseSourcedId'")),
        ("academicSessions", _unknown("class_terms", "term_ref", "'termSourcedIds'")),
        (None, _TELL_ENROLLED),
    ),
    "users": (
        (None, _repeated_id("users")),
        (None, _repeated_id("memberships")),
        ("orgs", _unknown("memberships", "org_ref", _MEMBERSHIP_COLUMN)),
    ),
    "enrollments": (
        (None, _unknown("memberships", "user_ref", "'userSourcedId'", "AND s.file = 'roles'")),
        (None, _repeated_id("enrollments")),
        (None, _unknown("enrollments", "class_ref", "'classSourcedId'")),
        (None, _unknown("enrollments", "school_ref", "'schoolSourcedId'")),
        (None, _unknown("enrollments", "user_ref", "'userSourcedId'")),
        (None, _moved("userSourcedId", "user", "users", "user_id", "user_ref")),
        (None, _moved("classSourcedId", "class", "courses", "course_id", "class_ref")),
        (None, _FIND_STAYS),
        (None, _REFUSE_OVERLAPPING),
        (None, _IGNORE_STAYS),
        (None, _TELL_STAYS),
        (None, _FIND_MET),
        (None, _REFUSE_SECOND),
    ),
    "results": (
        (None, _repeated_id("line_items")),
        (None, _repeated_id("results")),
        (None, _unknown("line_items", "class_ref", "'classSourcedId'", "AND s.final")),
        (None, _unknown("results", "line_item_ref", "'lineItemSourcedId'")),
        (None, _unknown("results", "user_ref", "'studentSourcedId'", f"AND {_IS_FINAL}")),
    ),
}
