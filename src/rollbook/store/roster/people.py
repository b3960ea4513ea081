"""Matches the rows of a roster with users, and resolves conflicts about e-mail addresses and identifiers.

The state after the import decides. A user gives up an address or identifier when the roster gives the user another one
or ends the user, when the user is inactive, or when a complete roster does not name the user. Otherwise the user keeps
it: then another person is imported without the address, and a row with the identifier is bad.
"""

from collections.abc import Callable
from enum import StrEnum

# Executes a statement with the parameters of the import and returns the number of its rows.
Execute = Callable[[str], int]


class MatchBy(StrEnum):
    """By what a person with a new sourcedId is matched with a user who has another one."""

    EMAIL = "email"
    IDENTIFIER = "identifier"


_FIND_KNOWN = """
    UPDATE staged_users SET user_id = (
        SELECT u.id FROM users AS u WHERE u.account_id = :account_id AND u.external_id = staged_users.sourced_id)
"""

# People without a student's or staff role, such as guardians, unless the account or an enrollment names them. An
# archive without roles has none.
_FIND_RELATIVES = """
    INSERT INTO staged_relatives (sourced_id)
    SELECT sourced_id FROM staged_users AS s
    WHERE s.user_id IS NULL AND NOT s.deleted AND s.sourced_id IS NOT NULL
      AND EXISTS (SELECT 1 FROM staged_memberships)
      AND NOT EXISTS (SELECT 1 FROM staged_memberships AS m
                      WHERE m.user_ref = s.sourced_id AND COALESCE(m.role <> 'relative', true))
"""
_KEEP_ENROLLED = """
    DELETE FROM staged_relatives WHERE sourced_id IN (
        SELECT r.sourced_id FROM staged_enrollments AS e CROSS JOIN staged_relatives AS r
        WHERE r.sourced_id = e.user_ref)
"""
_LEAVE_OUT = "DELETE FROM staged_users WHERE sourced_id IN (SELECT sourced_id FROM staged_relatives)"
_LEAVE_OUT_ROLES = """
    DELETE FROM staged_memberships
    WHERE role = 'relative'
      AND NOT EXISTS (SELECT 1 FROM staged_users AS s WHERE s.sourced_id = staged_memberships.user_ref)
      AND NOT EXISTS (SELECT 1 FROM users AS u
                      WHERE u.account_id = :account_id AND u.external_id = staged_memberships.user_ref)
"""
_TELL_LEFT_OUT = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'users', 0, '', 'people without the role of a student or of staff who are not imported: ' || COUNT(*)
    FROM staged_relatives HAVING COUNT(*) > 0
"""

# A student's row never matches an administrator or owner, because families share addresses.
_MAY_BE = """(u.role = 'learner' OR EXISTS (
              SELECT 1 FROM staged_memberships AS m WHERE m.user_ref = s.sourced_id AND m.role = 'staff'))"""
# A user without a sourcedId matches the first person of the roster with the same address.
_ADOPT = f"""
    WITH alike AS MATERIALIZED (
        SELECT s.line, u.id AS user_id, ROW_NUMBER() OVER (PARTITION BY u.id ORDER BY s.line) AS place
        FROM good_users AS s CROSS JOIN users AS u
        WHERE s.user_id IS NULL AND NOT s.deleted AND u.account_id = :account_id AND u.external_id IS NULL
          AND u.email_folded = s.email_folded AND u.email_folded_from = u.email AND {_MAY_BE})
    UPDATE staged_users SET user_id = alike.user_id FROM alike WHERE alike.line = staged_users.line AND place = 1
"""
# With --match: a user whose sourcedId the roster does not name matches the person with the same address or identifier.
_FIND_MATCHED = f"""
    INSERT INTO staged_matches (line, user_id, external_id, persons)
    SELECT s.line, u.id, u.external_id, COUNT(*) OVER (PARTITION BY u.id)
    FROM good_users AS s CROSS JOIN users AS u
    WHERE s.user_id IS NULL AND NOT s.deleted AND u.account_id = :account_id AND {{same}} AND {_MAY_BE}
      AND NOT EXISTS (SELECT 1 FROM staged_users AS k WHERE k.sourced_id = u.external_id)
      AND u.external_id IS NOT NULL
"""


def _same(held: str, wanted: str) -> str:
    """Match a value by its index: with statistics of users without the value SQLite would read all of them instead."""
    return f"{held} = {wanted} AND {held} BETWEEN {wanted} AND {wanted}"


_SAME = {
    MatchBy.EMAIL: f"{_same('u.email_folded', 's.email_folded')} AND u.email_folded_from = u.email",
    MatchBy.IDENTIFIER: _same("u.employee_id", "s.employee_id"),
}
_REFUSE_AMBIGUOUS = """
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    SELECT 'users', line, '{match}', persons || ' persons of this roster could be user ''' || external_id || '''',
           'bad', 1
    FROM staged_matches WHERE persons > 1
"""
_TAKE_OVER = """
    UPDATE staged_users SET user_id = m.user_id FROM staged_matches AS m
    WHERE m.line = staged_users.line AND m.persons = 1
"""
_TELL_TAKEN_OVER = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'users', line, 'sourcedId', 'takes over user ''' || external_id || ''''
    FROM staged_matches WHERE persons = 1
"""

_TELL_PROTECTED = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'users', s.line, 'email',
           CASE u.role WHEN 'owner' THEN 'an import does not change the address of an owner'
                       ELSE 'an import does not empty the address of an administrator' END
           || ': it stays ''' || u.email || ''''
    FROM good_users AS s CROSS JOIN users AS u
    WHERE u.id = s.user_id AND NOT s.deleted AND u.email IS NOT NULL
      AND ((u.role = 'owner' AND u.email_folded IS DISTINCT FROM s.email_folded)
           OR (u.role = 'administrator' AND s.email IS NULL))
    UNION ALL
    SELECT 'users', s.line, CASE WHEN s.deleted THEN 'status' ELSE 'enabledUser' END,
           CASE WHEN u.active THEN 'an owner stays active' ELSE 'an owner stays inactive' END
    FROM good_users AS s CROSS JOIN users AS u
    WHERE u.id = s.user_id AND u.role = 'owner' AND u.active = (s.deleted OR NOT s.active)
"""
_PROTECT = """
    UPDATE staged_users
    SET email = CASE u.role WHEN 'owner' THEN COALESCE(u.email, staged_users.email)
                            ELSE COALESCE(staged_users.email, u.email) END,
        email_folded = CASE WHEN staged_users.email IS NULL OR (u.role = 'owner' AND u.email IS NOT NULL)
                            THEN u.email_folded ELSE staged_users.email_folded END,
        active = CASE u.role WHEN 'owner' THEN u.active ELSE staged_users.active END
    FROM users AS u WHERE u.id = staged_users.user_id AND NOT staged_users.deleted AND u.role <> 'learner'
"""

# One of the rows with the same value gets it: staff before learners, active people before others, then the user who has
# it. The others are claims that are rejected.
_CLAIM_REPEATED = """
    INSERT INTO staged_claims (line, active, kept, reason)
    SELECT line, active, true, 'the same as in line ' || first_line FROM (
        SELECT s.line, s.active, FIRST_VALUE(s.line) OVER alike AS first_line
        FROM good_users AS s LEFT JOIN users AS u ON u.id = s.user_id
        WHERE NOT s.deleted AND {wanted} IS NOT NULL
        WINDOW alike AS (PARTITION BY {wanted} ORDER BY CASE WHEN u.role <> 'learner' THEN 0 ELSE 1 END,
                         CASE WHEN s.active THEN 0 ELSE 1 END, CASE WHEN {same} THEN 0 ELSE 1 END, s.line)
        ) AS repeated
    WHERE line <> first_line
"""
_CLAIM_HELD = """
    INSERT INTO staged_claims (line, active, kept, reason, holder_id, holder, holder_line, holder_active)
    SELECT line, active, kept, CASE
               WHEN kept THEN 'user ''' || holder || ''' has it'
               WHEN ended THEN 'taken from user ''' || holder || ''', who leaves with this roster'
               WHEN holder_active THEN 'taken from user ''' || holder || ''', who is not in this roster'
               ELSE 'taken from user ''' || holder || ''', who is not active' END,
           holder_id, holder, holder_line, holder_active
    FROM (SELECT s.line, s.active, u.id AS holder_id, COALESCE(u.external_id, u.email, '') AS holder,
                 u.active OR u.role = 'owner' AS holder_active, COALESCE(k.deleted, false) AS ended,
                 CASE WHEN NOT k.deleted THEN k.line END AS holder_line,
                 CASE WHEN NOT k.deleted THEN false
                      WHEN u.role = 'owner' THEN true
                      WHEN k.deleted OR NOT u.active THEN false
                      WHEN u.role <> 'learner' OR u.external_id IS NULL OR NOT :users_complete THEN true
                      ELSE EXISTS (SELECT 1 FROM staged_users AS t WHERE t.sourced_id = u.external_id) END AS kept
          FROM good_users AS s CROSS JOIN users AS u LEFT JOIN staged_users AS k ON k.user_id = u.id
               AND NOT EXISTS (SELECT 1 FROM staged_problems AS p WHERE p.file = 'users' AND p.line = k.line)
          WHERE NOT s.deleted AND u.account_id = :account_id AND {same}
            AND s.user_id IS DISTINCT FROM u.id) AS held
"""
# The user of a row that is left out keeps its values, so a row that claims one of them is left out too.
_REFUSE_CLAIMS = """
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    WITH RECURSIVE refused (line, kind) AS (
        SELECT line, 'bad' FROM staged_claims WHERE kept AND active
        UNION SELECT c.line, 'follows' FROM staged_claims AS c JOIN refused AS r ON r.line = c.holder_line
              WHERE c.holder_active)
    SELECT 'users', r.line, '{column}',
           CASE r.kind WHEN 'bad' THEN c.reason ELSE 'user ''' || c.holder || ''' is left out' END, r.kind, 1
    FROM refused AS r JOIN staged_claims AS c ON c.line = r.line
"""
_TELL_CLAIMS = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'users', s.line, '{column}', CASE WHEN c.kept THEN c.reason || ': imported without it' ELSE c.reason END
    FROM staged_claims AS c JOIN good_users AS s ON s.line = c.line
    WHERE c.kept OR c.holder_line IS NULL
"""
_IMPORT_WITHOUT = """
    UPDATE staged_users SET {cleared} WHERE line IN (SELECT line FROM staged_claims WHERE kept)
"""
# Emptied before the new values are set, because unique indexes are checked row by row; so addresses can be swapped.
_GIVE_UP = """
    UPDATE users SET {given_up}, modified_at = :now_at
    WHERE id IN (SELECT c.holder_id FROM staged_claims AS c JOIN good_users AS s ON s.line = c.line WHERE NOT c.kept)
"""
_FORGET_CLAIMS = "DELETE FROM staged_claims"

_IDENTIFIER = {
    "column": "identifier",
    "wanted": "s.employee_id",
    "same": _SAME[MatchBy.IDENTIFIER],
    "cleared": "employee_id = NULL",
    "given_up": "employee_id = NULL",
}
_EMAIL = {
    "column": "email",
    "wanted": "s.email_folded",
    "same": _SAME[MatchBy.EMAIL],
    "cleared": "email = NULL, email_folded = NULL",
    "given_up": "email = NULL, email_folded = NULL, email_folded_from = NULL",
}
# Finds the others of several users whose addresses differ only in letter case, from an older release.
_LETTERS = _EMAIL | {"wanted": "lower(s.email)", "same": _same("lower(u.email)", "lower(s.email)")}


def match_people(run: Execute, match: MatchBy | None) -> None:
    """Match the people of the staged rows with users, and resolve who has which address and identifier."""
    run(_FIND_KNOWN)
    _leave_out_relatives(run)
    run(_ADOPT)
    if match is not None:
        run(_FIND_MATCHED.format(same=_SAME[match]))
        run(_REFUSE_AMBIGUOUS.format(match=match))
        run(_TAKE_OVER)
        run(_TELL_TAKEN_OVER)
    run("ANALYZE staged_users")  # its first statistics had no user ids
    run(_TELL_PROTECTED)
    run(_PROTECT)
    for key in (_IDENTIFIER, _EMAIL, _LETTERS):
        for claim in (_CLAIM_REPEATED, _CLAIM_HELD):
            if run(claim.format(**key)):
                if key is _IDENTIFIER:  # a person without the address is imported, so nothing follows from that
                    run(_REFUSE_CLAIMS.format(**key))
                for statement in (_TELL_CLAIMS, _IMPORT_WITHOUT, _GIVE_UP):
                    run(statement.format(**key))
                run(_FORGET_CLAIMS)


def _leave_out_relatives(run: Execute) -> None:
    if run(_FIND_RELATIVES):
        for sql in (_KEEP_ENROLLED, _LEAVE_OUT, _TELL_LEFT_OUT):
            run(sql)
    run(_LEAVE_OUT_ROLES)
