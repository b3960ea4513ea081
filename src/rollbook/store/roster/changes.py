"""The changes that an import makes to the account, in their order.

Staged rows match rows of the account by external id, people by the user id that `people` has found. A row with a new
external id has `modified_at` of this import, and is updated too.
"""

from rollbook.store.learning.auto_enroll import AUTO_ENROLL

UPDATE_GROUPS = """
    UPDATE groups SET name = s.name, active = true, modified_at = :now_at FROM good_orgs AS s
    WHERE groups.account_id = :account_id AND groups.external_id = s.sourced_id AND s.school AND NOT s.deleted
      AND (groups.name <> s.name OR NOT groups.active)
"""
END_GROUPS = """
    UPDATE groups SET active = false, modified_at = :now_at FROM good_orgs AS s
    WHERE groups.account_id = :account_id AND groups.external_id = s.sourced_id AND s.deleted AND groups.active
"""
ADD_GROUPS = """
    INSERT INTO groups (account_id, external_id, name, active, created_at, modified_at)
    SELECT :account_id, s.sourced_id, s.name, true, :now_at, :now_at FROM good_orgs AS s
    WHERE s.school AND NOT s.deleted AND NOT EXISTS (
        SELECT 1 FROM groups AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id)
    ORDER BY s.line
"""

UPDATE_COURSES = """
    UPDATE courses SET name = s.title, term = COALESCE(s.term, courses.term), modified_at = :now_at,
        status = CASE courses.status WHEN 'Archived' THEN 'Active' ELSE courses.status END
    FROM good_classes AS s
    WHERE courses.account_id = :account_id AND courses.external_id = s.sourced_id AND NOT s.deleted
      AND (courses.name <> s.title OR s.term <> COALESCE(courses.term, '') OR courses.status = 'Archived')
"""
END_COURSES = """
    UPDATE courses SET status = 'Archived', modified_at = :now_at FROM good_classes AS s
    WHERE courses.account_id = :account_id AND courses.external_id = s.sourced_id AND s.deleted
      AND courses.status <> 'Archived'
"""
ADD_COURSES = """
    INSERT INTO courses (account_id, external_id, name, term, status, created_at, modified_at)
    SELECT :account_id, s.sourced_id, s.title, s.term, 'Active', :now_at, :now_at FROM good_classes AS s
    WHERE NOT s.deleted AND NOT EXISTS (
        SELECT 1 FROM courses AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id)
    ORDER BY s.line
"""

ADOPT_USERS = """
    UPDATE users SET external_id = s.sourced_id, modified_at = :now_at FROM good_users AS s
    WHERE users.id = s.user_id AND users.external_id IS NULL
"""
MATCH_USERS = """
    UPDATE users SET external_id = s.sourced_id, modified_at = :now_at FROM good_users AS s
    WHERE users.id = s.user_id AND users.external_id <> s.sourced_id
"""
UPDATE_USERS = """
    UPDATE users SET modified_at = :now_at,
        (given_name, family_name, email, email_folded, email_folded_from, employee_id, active, search_text, search_from)
        = (s.given_name, s.family_name, s.email, s.email_folded, s.email, s.employee_id, s.active,
           s.search_text, s.search_from)
    FROM good_users AS s
    WHERE users.id = s.user_id AND NOT s.deleted AND (
        users.modified_at = :now_at
        OR (users.given_name, users.family_name, users.email, users.employee_id, users.active)
           IS DISTINCT FROM (s.given_name, s.family_name, s.email, s.employee_id, s.active))
"""
END_USERS = """
    UPDATE users SET active = false, modified_at = :now_at FROM good_users AS s
    WHERE users.id = s.user_id AND s.deleted AND users.active AND users.role <> 'owner'
"""
ADD_USERS = """
    INSERT INTO users (account_id, external_id, given_name, family_name, email, email_folded, email_folded_from,
                       employee_id, active, search_text, search_from, role, created_at, modified_at)
    SELECT :account_id, s.sourced_id, s.given_name, s.family_name, s.email, s.email_folded, s.email,
           s.employee_id, s.active, s.search_text, s.search_from, 'learner', :now_at, :now_at
    FROM good_users AS s WHERE s.user_id IS NULL AND NOT s.deleted ORDER BY s.line
"""

TAKE_OVER_ENROLLMENTS = """
    UPDATE enrollments SET external_id = met.sourced_id, modified_at = :now_at FROM good_met AS met
    WHERE enrollments.id = met.id
"""
UPDATE_ENROLLMENTS = """
    UPDATE enrollments SET group_id = g.id, enrolled_at = COALESCE(s.begins_at, enrollments.enrolled_at),
        access_ends_at = s.ends_at, modified_at = :now_at
    FROM good_enrollments AS s CROSS JOIN groups AS g
    WHERE enrollments.account_id = :account_id AND enrollments.external_id = s.sourced_id AND s.student
      AND enrollments.unenrolled_at IS NULL AND g.account_id = :account_id AND g.external_id = s.school_ref
      AND (enrollments.modified_at = :now_at
           OR (enrollments.group_id, enrollments.enrolled_at, enrollments.access_ends_at)
              IS DISTINCT FROM (g.id, COALESCE(s.begins_at, enrollments.enrolled_at), s.ends_at))
"""
# Each record is looked up by itself: without statistics of a new account PostgreSQL would join every user with every
# course before it reads a row of the roster.
ADD_ENROLLMENTS = """
    INSERT INTO enrollments (account_id, external_id, user_id, group_id, course_id, status, enrolled_at, access_ends_at,
                             created_at, modified_at)
    SELECT :account_id, s.sourced_id,
           (SELECT u.id FROM users AS u WHERE u.account_id = (SELECT :account_id) AND u.external_id = s.user_ref),
           (SELECT g.id FROM groups AS g WHERE g.account_id = (SELECT :account_id) AND g.external_id = s.school_ref),
           (SELECT c.id FROM courses AS c WHERE c.account_id = (SELECT :account_id) AND c.external_id = s.class_ref),
           'Enrolled', COALESCE(s.begins_at, :now_at), s.ends_at, :now_at, :now_at
    FROM good_enrollments AS s
    WHERE s.student AND NOT s.deleted
      AND NOT EXISTS (SELECT 1 FROM enrollments AS k
                      WHERE k.account_id = :account_id AND k.external_id = s.sourced_id)
    ORDER BY s.line
"""
_MEMBERS = """
    FROM (SELECT user_ref, org_ref AS school_ref FROM good_memberships
          UNION SELECT user_ref, school_ref FROM good_enrollments WHERE student) AS s
    CROSS JOIN groups AS g CROSS JOIN users AS u
    WHERE g.account_id = :account_id AND g.external_id = s.school_ref
      AND u.account_id = :account_id AND u.external_id = s.user_ref
"""
# Before ADD_MEMBERSHIPS, because afterwards nobody tells who is new; after ADD_ENROLLMENTS, which goes before it.
ENROLL_NEW_MEMBERS = AUTO_ENROLL.replace(
    "{joined}",
    f"""(SELECT g.id AS group_id, u.id AS user_id {_MEMBERS}
          AND NOT EXISTS (SELECT 1 FROM memberships AS m WHERE m.group_id = g.id AND m.user_id = u.id))""",
)
ADD_MEMBERSHIPS = f"""
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    SELECT :account_id, g.id, u.id, false, false {_MEMBERS}
    ON CONFLICT DO NOTHING
"""

# By table: its changes by the name of their count.
CHANGES: dict[str, dict[str, str]] = {
    "groups": {"updated": UPDATE_GROUPS, "ended": END_GROUPS, "added": ADD_GROUPS},
    "courses": {"updated": UPDATE_COURSES, "ended": END_COURSES, "added": ADD_COURSES},
    "users": {
        "adopted": ADOPT_USERS,
        "matched": MATCH_USERS,
        "updated": UPDATE_USERS,
        "ended": END_USERS,
        "added": ADD_USERS,
    },
    "enrollments": {
        "adopted": TAKE_OVER_ENROLLMENTS,
        "updated": UPDATE_ENROLLMENTS,
        "added": ADD_ENROLLMENTS,
    },
}
