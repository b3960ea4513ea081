"""Finds the enrollments whose final grades a roster holds: results of the line items that a name selects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import suggest
from rollbook.store.database.execute import execute, execute_count
from rollbook.store.roster.checks import CHECKS
from rollbook.store.roster.staging import STAGED

STEP = 1000
# The most names that are compared with one that no line item has.
MAX_NAMES = 10_000

_FIND_FINAL = """
    UPDATE staged_line_items SET final = true WHERE NOT deleted AND (
        title = :name OR category_ref IN (SELECT sourced_id FROM staged_categories WHERE title = :name))
"""
_LIST_NAMES = """
    SELECT title FROM staged_line_items WHERE title IS NOT NULL
    UNION SELECT title FROM staged_categories WHERE title IS NOT NULL LIMIT :most
"""
_FINAL_RESULTS = """
    good_results AS r CROSS JOIN good_line_items AS l
    WHERE l.sourced_id = r.line_item_ref AND l.final AND r.score_status IN ('fully graded', 'partially graded')
"""
_FIND_GRADES = f"""
    INSERT INTO staged_grades
        (line, enrollment_id, completed, rivals, place, score_status, score, text_score, score_date, value_max)
    SELECT f.line, e.id, e.status = 'Completed', COUNT(*) OVER (PARTITION BY f.line),
           ROW_NUMBER() OVER (PARTITION BY e.id ORDER BY COALESCE(f.score_date, '') DESC, f.line DESC),
           f.score_status, f.score, f.text_score, f.score_date, f.value_max
    FROM (SELECT r.*, l.class_ref, l.value_max FROM {_FINAL_RESULTS}) AS f
    CROSS JOIN courses AS c CROSS JOIN users AS u CROSS JOIN enrollments AS e
    WHERE c.account_id = :account_id AND c.external_id = f.class_ref
      AND u.account_id = :account_id AND u.external_id = f.user_ref
      AND e.user_id = u.id AND e.course_id = c.id AND e.unenrolled_at IS NULL
"""
_REFUSE_SEVERAL = """
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    SELECT DISTINCT 'results', line, 'studentSourcedId',
           'the learner has ' || rivals || ' current enrollments in the class', 'refused', 1
    FROM staged_grades WHERE rivals > 1
"""
_TELL_ENDED = f"""
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'results', 0, '', 'grades of learners without a current enrollment in the class: ' || COUNT(*)
    FROM (SELECT r.line FROM {_FINAL_RESULTS}) AS f
    WHERE NOT EXISTS (SELECT 1 FROM staged_grades AS g WHERE g.line = f.line) HAVING COUNT(*) > 0
"""
_TELL_REPLACED = """
    INSERT INTO staged_notes (file, line, column_name, reason)
    SELECT 'results', 0, '', 'grades that a later one of the same enrollment replaces: ' || COUNT(*)
    FROM staged_grades WHERE rivals = 1 AND place > 1 HAVING COUNT(*) > 0
"""


@dataclass(frozen=True)
class FinalGrade:
    """The title or category of the final line items, and whether a full grade completes an enrollment."""

    name: str
    completes: bool


def choose_final(connection: sa.Connection, name: str) -> None:
    """Mark the line items with this title, or with a category of this title; errors: UserError without any."""
    if execute_count(connection, _FIND_FINAL, {"name": name}) == 0:
        names = [title for (title,) in execute(connection, _LIST_NAMES, {"most": MAX_NAMES})]
        raise UserError(f"No line item of the archive has the title or category {name!r}.{suggest(name, names)}")


def find_grades(connection: sa.Connection, account_id: int) -> Iterator[Sequence[sa.Row[tuple[object, ...]]]]:
    """Check the results, and yield the latest of each enrollment in parts, in the order of the enrollments' ids."""
    given = {"account_id": account_id}
    for _, check in CHECKS["results"]:
        execute(connection, check, given)
    for statement in (_FIND_GRADES, _REFUSE_SEVERAL, _TELL_ENDED, _TELL_REPLACED):
        execute(connection, statement, given)
    g, after = STAGED["grades"].c, 0
    query = sa.select(STAGED["grades"]).where(g.rivals == 1, g.place == 1).order_by(g.enrollment_id).limit(STEP)
    while part := connection.execute(query.where(g.enrollment_id > after)).all():
        yield part
        after = part[-1].enrollment_id
