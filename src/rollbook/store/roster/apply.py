"""Imports the staged rows of a roster into an account, in one transaction; every step is one statement for all rows.

Enrollments that end are for actions/import_roster to queue.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import ConflictError
from rollbook.model import Account, Remark
from rollbook.store.database.execute import execute, execute_count
from rollbook.store.database.tables import enrollments
from rollbook.store.learning.auto_enroll import HAS_AUTO_ENROLL
from rollbook.store.roster.changes import ADD_MEMBERSHIPS, CHANGES, ENROLL_NEW_MEMBERS
from rollbook.store.roster.checks import CHECKS
from rollbook.store.roster.grades import FinalGrade
from rollbook.store.roster.listing import keep_before
from rollbook.store.roster.people import MatchBy, match_people
from rollbook.store.roster.staging import CHUNK, STAGED

# The most problems, and notes, that are listed; further ones are counted.
MAX_NAMED = 1000
COUNTS = ("added", "updated", "matched", "ended", "queued", "unchanged", "ignored", "refused", "skipped")
COUNTED = ("kind", *COUNTS)

# By table: the staging table, the condition of its rows, and a query of how many rows are ignored by design.
SOURCES = {
    "groups": ("orgs", "s.school", "0"),
    "courses": ("classes", "true", "0"),
    "users": ("users", "true", "(SELECT COUNT(*) FROM staged_relatives)"),
    "enrollments": ("enrollments", "s.student", "(SELECT COUNT(*) FROM staged_stays WHERE apart)"),
}
# The rows of a table, and how many of them are ignored by design or end what does not exist.
_COUNT = """
    SELECT COUNT(*) + {passed} AS named,
           {passed} + COUNT(CASE WHEN s.deleted AND NOT EXISTS (
               SELECT 1 FROM {table} AS k WHERE k.account_id = :account_id AND k.external_id = s.sourced_id)
               THEN 1 END) AS ignored
    FROM good_{staged} AS s WHERE s.deleted OR {chosen}
"""
# The rows of the file that are left out; `refused` is the last kind in the alphabet.
_COUNT_LEFT_OUT = """
    SELECT COALESCE(SUM(CASE WHEN kind = 'refused' THEN rows ELSE 0 END), 0) AS refused,
           COALESCE(SUM(CASE WHEN kind = 'refused' THEN 0 ELSE rows END), 0) AS skipped
    FROM (SELECT MIN(kind) AS kind, MAX(rows) AS rows FROM staged_problems WHERE file = '{staged}'
          GROUP BY line) AS lines
"""
_FIND_ENDED = """
    SELECT line, id FROM (
        SELECT s.line, (SELECT e.id FROM enrollments AS e WHERE e.account_id = :account_id
                        AND e.external_id = s.sourced_id AND e.unenrolled_at IS NULL) AS id
        FROM good_enrollments AS s WHERE s.deleted) AS ended
    WHERE id IS NOT NULL ORDER BY id
"""
_ADD_REFUSED = """
    INSERT INTO staged_problems (file, line, column_name, reason, kind, rows)
    SELECT 'enrollments', CAST(item ->> 'line' AS INTEGER), 'status',
           'the course was completed, and the account protects completed enrollments', 'refused', 1
    FROM {rows} AS r
"""
_IS_BAD = "SELECT EXISTS (SELECT 1 FROM staged_problems WHERE kind = 'bad')"
_LIST_PROBLEMS = """
    SELECT file, line, column_name, reason FROM staged_problems WHERE line > 0 AND (:all_of_them OR kind <> 'follows')
    ORDER BY file, line, column_name, reason LIMIT :most
"""
_COUNT_PROBLEMS = "SELECT COALESCE(SUM(rows), 0) FROM staged_problems WHERE :all_of_them OR kind <> 'follows'"
_LIST_NOTES = """
    SELECT file, line, column_name, reason FROM staged_notes ORDER BY file, line, column_name, reason LIMIT :most
"""
_COUNT_NOTES = "SELECT COUNT(*) FROM staged_notes"

Given = dict[str, object]
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Options:
    """How to import: how users with a new sourcedId are matched, whether bad rows are skipped, and how it ends.

    `complete` are the files that list all records of their kind, `final` are the results to import as grades. With
    `keeps_before` a listing can tell what records were before.
    """

    complete: Collection[str]
    match: MatchBy | None
    skip_bad_rows: bool
    dry_run: bool
    final: FinalGrade | None = None
    keeps_before: bool = False


@dataclass(frozen=True)
class Outcome:
    """The outcome of an import; without counts nothing was imported.

    Problems are about rows that are not imported, notes about others; `more_…` counts those that are not listed. Of
    the enrollments that end, `batch_id` is the batch.
    """

    counts: list[Given]
    problems: list[Remark]
    more_problems: int
    notes: list[Remark]
    more_notes: int
    batch_id: int | None


@contextmanager
def begin_import(connection: sa.Connection) -> Iterator[sa.RootTransaction]:
    """Run the block in one transaction; errors: ConflictError when another one changed the same records."""
    connection.execution_options(writes=True)
    try:
        with connection.begin() as transaction:
            yield transaction
    except IntegrityError as error:
        raise ConflictError(
            "another transaction changed the account at the same time; nothing was imported, so run the import again"
        ) from error
    finally:
        connection.execution_options(writes=False)


def import_tables(
    connection: sa.Connection, account_id: int, options: Options, now: datetime
) -> tuple[Counts, int, list[int]]:
    """Check the staged rows against the account and write them, except for enrollments that end.

    Every changed row has `now` as its time of change. Returns the counts of the changes, how many members groups have
    got, and the enrollments of these in auto-enroll courses.
    """
    given: Given = {"account_id": account_id, "now_at": now}
    given |= {f"{file}_complete": file in options.complete for file in ("users", "enrollments")}
    counts = {table: _import_table(connection, table, given, options) for table in SOURCES}
    [(may_enroll,)] = execute(connection, HAS_AUTO_ENROLL, given)
    enrolled = execute(connection, ENROLL_NEW_MEMBERS, given) if may_enroll else []
    joined = execute_count(connection, ADD_MEMBERSHIPS, given)
    return counts, joined, sorted(id_ for (id_,) in enrolled)


def find_ended(connection: sa.Connection, account_id: int) -> Sequence[tuple[int, int]]:
    """Find the current enrollments that the roster ends, with the line of each."""
    return [(line, id_) for line, id_ in execute(connection, _FIND_ENDED, {"account_id": account_id})]


def add_refused(connection: sa.Connection, lines: Iterable[int]) -> None:
    """Make problems of the lines whose enrollments the account protects."""
    execute(connection, _ADD_REFUSED, {"rows": [{"line": line} for line in lines]})


def describe_import(
    connection: sa.Connection, account_id: int, counts: Counts, options: Options, batch_id: int | None
) -> Outcome:
    """Complete the counts, and list the problems and notes."""
    for table in SOURCES:
        _count_rows(connection, table, {"account_id": account_id}, counts[table])
    if "results" in counts:
        _count_results(connection, counts["results"])
    [(is_bad,)] = execute(connection, _IS_BAD)
    imported = options.skip_bad_rows or not is_bad
    return Outcome(
        [_describe(table, count) for table, count in counts.items()] if imported else [],
        *_list_remarks(connection, _LIST_PROBLEMS, _COUNT_PROBLEMS, options),
        *_list_remarks(connection, _LIST_NOTES, _COUNT_NOTES, options),
        batch_id,
    )


def list_enrollment_ids(connection: sa.Connection, account: Account) -> Iterator[tuple[str, int]]:
    """Yield external id and id of the current enrollments that the staged rows name."""
    e, staged = enrollments.c, sa.select(STAGED["enrollments"].c.sourced_id)
    query = sa.select(e.external_id, e.id).where(e.account_id == account.id, e.unenrolled_at.is_(None))
    query = query.where(e.external_id.in_(staged)).order_by(e.id)
    rows = connection.execute(query, execution_options={"yield_per": CHUNK})
    return ((external_id, id_) for external_id, id_ in rows)


def _import_table(connection: sa.Connection, table: str, given: Given, options: Options) -> dict[str, int]:
    for file, check in CHECKS[table]:
        if file is None or file in options.complete:
            execute(connection, check, given)
    if table == "users":
        match_people(lambda sql: execute_count(connection, sql, given), options.match)
    if options.keeps_before:
        keep_before(connection, table, given)
    counts = dict.fromkeys(COUNTS, 0)
    for change, sql in CHANGES[table].items():
        counts[change] = execute_count(connection, sql, given)
    return counts


def _count_rows(connection: sa.Connection, table: str, given: Given, counts: dict[str, int]) -> None:
    staged, chosen, passed = SOURCES[table]
    count = _COUNT.format(table=table, staged=staged, chosen=chosen, passed=passed)
    [(named, counts["ignored"])] = execute(connection, count, given)
    _count_left_out(connection, staged, counts)
    counts["unchanged"] = named - sum(counts[name] for name in ("added", "updated", "ended", "queued", "ignored"))


def _count_results(connection: sa.Connection, counts: dict[str, int]) -> None:
    _count_left_out(connection, "results", counts)
    [(named,)] = execute(connection, "SELECT COUNT(*) FROM good_results")
    counts["ignored"] = named - counts["updated"] - counts["unchanged"]


def _count_left_out(connection: sa.Connection, staged: str, counts: dict[str, int]) -> None:
    [(counts["refused"], counts["skipped"])] = execute(connection, _COUNT_LEFT_OUT.format(staged=staged))


def _describe(table: str, counts: dict[str, int]) -> Given:
    return {"kind": table, **{name: counts[name] for name in COUNTS}}


def _list_remarks(connection: sa.Connection, listed: str, counted: str, options: Options) -> tuple[list[Remark], int]:
    given: Given = {"all_of_them": options.skip_bad_rows, "most": MAX_NAMED}
    remarks = [Remark(f"{file}.csv", *place) for file, *place in execute(connection, listed, given)]
    [(count,)] = execute(connection, counted, given)
    return remarks, count - len(remarks)
