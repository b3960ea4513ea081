"""Imports the staged rows of a roster into an account, in one transaction; every step is one statement for all rows."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import DatabaseUnavailableError
from rollbook.model import Account, Action, Actor, Change, RejectReason, utc_now
from rollbook.store.database.execute import execute, execute_count
from rollbook.store.database.tables import enrollments
from rollbook.store.operations.audit import record_change
from rollbook.store.queue.accept import accept_batch, keep_refusals
from rollbook.store.roster.changes import ADD_MEMBERSHIPS, CHANGES
from rollbook.store.roster.checks import CHECKS
from rollbook.store.roster.people import Match, match_people
from rollbook.store.roster.staging import CHUNK, STAGED

# The most problems, and notes, that are listed; further ones are counted.
MAX_NAMED = 1000
_COUNTS = ("added", "updated", "matched", "ended", "queued", "unchanged", "ignored", "refused", "skipped")
COUNTED = ("kind", *_COUNTS)

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
    SELECT s.line, e.id FROM good_enrollments AS s CROSS JOIN enrollments AS e
    WHERE e.account_id = :account_id AND e.external_id = s.sourced_id AND s.deleted AND e.unenrolled_at IS NULL
    ORDER BY e.id
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


class Remark(NamedTuple):
    """A remark about a row of a file; `line` is where the row begins, 0 for the whole file."""

    file: str
    line: int
    column: str
    reason: str


@dataclass(frozen=True)
class Options:
    """How to import: by what users with a new sourcedId are matched, and whether bad rows are skipped.

    `protected_code` is the error code stored with enrollments that the account's policy protects.
    """

    match: Match | None
    skip_bad_rows: bool
    dry_run: bool
    protected_code: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of an import; without counts nothing was imported.

    Problems are about rows that are not imported, notes about others; `more_…` counts those that are not listed.
    """

    counts: list[Given]
    problems: list[Remark]
    more_problems: int
    notes: list[Remark]
    more_notes: int


def import_staged(
    connection: sa.Connection,
    account: Account,
    complete: Collection[str],
    reason: str,
    options: Options,
    *,
    by: Actor,
) -> Outcome:
    """Check the staged rows against the account and import them, in one transaction.

    `complete` names the files that list everything of their kind; `reason` is the reason of the batch that unenrolls.
    Bad rows stop the import, unless they are skipped; then the rows that depend on them are skipped too. Errors:
    DatabaseUnavailableError.
    """
    given: Given = {
        "account_id": account.id,
        "now_at": utc_now(),
        "all_of_them": options.skip_bad_rows,
        "most": MAX_NAMED,
    }
    given |= {f"{file}_complete": file in complete for file in ("users", "enrollments")}
    connection.execution_options(writes=True)
    try:
        with connection.begin() as transaction:
            counts = {table: _import_table(connection, table, complete, given, options.match) for table in SOURCES}
            execute(connection, ADD_MEMBERSHIPS, given)
            counts["enrollments"]["queued"] = _queue_ended(connection, account, reason, options.protected_code)
            for table in SOURCES:
                _count_rows(connection, table, given, counts[table])
            [(is_bad,)] = execute(connection, _IS_BAD)
            imported = options.skip_bad_rows or not is_bad
            outcome = Outcome(
                [_describe(table, count) for table, count in counts.items()] if imported else [],
                *_list_remarks(connection, _LIST_PROBLEMS, _COUNT_PROBLEMS, given),
                *_list_remarks(connection, _LIST_NOTES, _COUNT_NOTES, given),
            )
            record_change(connection, account.id, by, Change(Action.IMPORT, reason, counts))
            if options.dry_run or not imported:
                transaction.rollback()
    except IntegrityError as error:
        raise DatabaseUnavailableError(
            "the account was changed at the same time; nothing was imported, so run the import again"
        ) from error
    finally:
        connection.execution_options(writes=False)
    return outcome


def list_enrollment_ids(connection: sa.Connection, account: Account) -> Iterator[tuple[str, int]]:
    """Yield external id and id of the current enrollments that the staged rows name."""
    e, staged = enrollments.c, sa.select(STAGED["enrollments"].c.sourced_id)
    query = sa.select(e.external_id, e.id).where(e.account_id == account.id, e.unenrolled_at.is_(None))
    query = query.where(e.external_id.in_(staged)).order_by(e.id)
    rows = connection.execute(query, execution_options={"yield_per": CHUNK})
    return ((external_id, id_) for external_id, id_ in rows)


def _import_table(
    connection: sa.Connection, table: str, complete: Collection[str], given: Given, match: Match | None
) -> dict[str, int]:
    for file, check in CHECKS[table]:
        if file is None or file in complete:
            execute(connection, check, given)
    if table == "users":
        match_people(lambda sql: execute_count(connection, sql, given), match)
    counts = dict.fromkeys(_COUNTS, 0)
    for change, sql in CHANGES[table].items():
        counts[change] = execute_count(connection, sql, given)
    return counts


def _count_rows(connection: sa.Connection, table: str, given: Given, counts: dict[str, int]) -> None:
    staged, chosen, passed = SOURCES[table]
    count = _COUNT.format(table=table, staged=staged, chosen=chosen, passed=passed)
    [(named, counts["ignored"])] = execute(connection, count, given)
    [(counts["refused"], counts["skipped"])] = execute(connection, _COUNT_LEFT_OUT.format(staged=staged))
    counts["unchanged"] = named - sum(counts[name] for name in ("added", "updated", "ended", "queued", "ignored"))


def _queue_ended(connection: sa.Connection, account: Account, reason: str, protected_code: str) -> int:
    ended = execute(connection, _FIND_ENDED, {"account_id": account.id})
    if not ended:
        return 0
    acceptance = accept_batch(
        connection,
        account_id=account.id,
        requested_by=None,
        ids=[id_ for _, id_ in ended],
        policies=account.policies,
        reason=reason,
        requested_at=utc_now(),
    )
    # Queued enrollments are unchanged; those that the account protects are refused.
    protected = [block for block, refusal in acceptance.refused.items() if refusal is RejectReason.UNKNOWN]
    if protected:
        execute(connection, _ADD_REFUSED, {"rows": [{"line": ended[block - 1][0]} for block in protected]})
    if acceptance.batch_id is not None:
        kept = [(block, str(ended[block - 1][1]), protected_code) for block in protected]
        keep_refusals(connection, account.id, acceptance.batch_id, kept)
    return len(acceptance.accepted)


def _describe(table: str, counts: dict[str, int]) -> Given:
    return {"kind": table, **{name: counts[name] for name in _COUNTS}}


def _list_remarks(connection: sa.Connection, listed: str, counted: str, given: Given) -> tuple[list[Remark], int]:
    remarks = [Remark(*row) for row in execute(connection, listed, given)]
    [(count,)] = execute(connection, counted, given)
    return remarks, count - len(remarks)
