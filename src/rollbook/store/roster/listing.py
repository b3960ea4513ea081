"""Lists all that an import has changed and left out, as gzipped CSV: the preview and the result of the console.

The same roster imported into the same account gives the same bytes: records go by external id, and by the text that
tells of them before and after.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import BytesIO, TextIOWrapper
from itertools import islice

import sqlalchemy as sa

from rollbook.store.database.execute import execute
from rollbook.store.database.sql import UtcTime
from rollbook.store.roster.staging import CHUNK

# The words of the first column. Bad rows stop an import unless they are skipped, with the rows that need them.
CHANGES = ("bad", "skipped", "refused", "note", "ended", "updated", "added")
COLUMNS = ("Change", "Record", "sourcedId", "Before", "After", "File", "Line", "Column", "Note")

_PERSON = "u.given_name || ' ' || u.family_name || COALESCE(', ' || u.email, '')"
_INACTIVE = "CASE WHEN {}.active THEN '' ELSE ', inactive' END"
_ENROLLED = f"""
    {_PERSON} || ' in ' || c.name || ' by ' || g.name || ' from ' || substr(CAST(r.enrolled_at AS TEXT), 1, 10)
    || COALESCE(' until ' || substr(CAST(r.access_ends_at AS TEXT), 1, 10), '')
    || COALESCE(', ' || NULLIF(r.status, 'Enrolled'), '') || COALESCE(', grade ' || r.grade, '')
"""
_ENROLLMENTS = """
    enrollments AS r JOIN users AS u ON u.id = r.user_id JOIN courses AS c ON c.id = r.course_id
    JOIN groups AS g ON g.id = r.group_id
"""
# By table: what a record is called, the tables that tell of it, the text, its staging table, and how a record matches a
# row there before the import; afterwards it has the row's external id.
_RECORDS = {
    "groups": ("group", "groups AS r", f"r.name || {_INACTIVE.format('r')}", "orgs", "r.external_id = s.sourced_id"),
    "courses": (
        *("course", "courses AS r"),
        "r.name || COALESCE(', ' || NULLIF(r.term, ''), '') || COALESCE(', ' || lower(NULLIF(r.status, 'Active')), '')",
        *("classes", "r.external_id = s.sourced_id"),
    ),
    "users": (
        *("user", "users AS r JOIN users AS u ON u.id = r.id"),
        f"{_PERSON} || COALESCE(', ' || u.employee_id, '') || {_INACTIVE.format('u')}",
        *("users", "r.id = s.user_id"),
    ),
    "enrollments": ("enrollment", _ENROLLMENTS, _ENROLLED, "enrollments", "r.external_id = s.sourced_id"),
}
_KEEP = """
    INSERT INTO staged_before (record, id, told) SELECT '{record}', r.id, {told}
    FROM good_{staged} AS s CROSS JOIN {tables} WHERE r.account_id = :account_id AND {same}
"""
_CHANGED = """
    UNION ALL
    SELECT CASE WHEN EXISTS (SELECT 1 FROM good_{staged} AS s WHERE s.sourced_id = r.external_id AND s.deleted) THEN 4
                WHEN r.created_at < :now_at THEN 5 ELSE 6 END, '{record}', COALESCE(r.external_id, ''),
           COALESCE(b.told, ''), {told}, '', 0, '', ''
    FROM {tables} LEFT JOIN staged_before AS b ON b.record = '{record}' AND b.id = r.id
    WHERE r.account_id = :account_id AND r.modified_at = :now_at
"""
_QUEUED = f"""
    UNION ALL SELECT 4, 'enrollment', COALESCE(r.external_id, ''), {_ENROLLED}, '', '', 0, '', ''
    FROM {_ENROLLMENTS} JOIN unenrollments AS q ON q.enrollment_id = r.id WHERE q.batch_id = :batch_id
"""
_REMARKS = """
    SELECT CASE kind WHEN 'bad' THEN 0 WHEN 'follows' THEN 1 ELSE 2 END AS place, '' AS record, '' AS sourced_id,
           '' AS before, '' AS after, file || '.csv' AS file, line, column_name,
           CASE line WHEN 0 THEN rows || ' more bad rows, which are not listed' ELSE reason END AS note
    FROM staged_problems
    UNION ALL SELECT 3, '', '', '', '', file || '.csv', line, column_name, reason FROM staged_notes
"""


def _fill(template: str, table: str) -> str:
    names = ("record", "tables", "told", "staged", "same")
    return template.format(**dict(zip(names, _RECORDS[table], strict=True)))


_LIST = f"{_REMARKS}{''.join(_fill(_CHANGED, table) for table in _RECORDS)}{_QUEUED} ORDER BY 1, 2, 3, 6, 7, 8, 9, 4, 5"


def keep_before(connection: sa.Connection, table: str, given: Mapping[str, object]) -> None:
    """Keep what the records of a table that the roster names are before the import changes them."""
    execute(connection, _fill(_KEEP, table), given)


def write_listing(
    connection: sa.Connection, account_id: int, now: datetime, batch_id: int | None
) -> tuple[bytes, dict[str, int]]:
    """Write the listing of an import that changed records at `now`, before its end; count the lines of each change."""
    written, counts = BytesIO(), dict.fromkeys(CHANGES, 0)
    query = sa.text(_LIST).bindparams(sa.bindparam("now_at", now, UtcTime))
    rows = connection.execute(
        query.bindparams(sa.bindparam("batch_id", batch_id, sa.BigInteger)),
        {"account_id": account_id},
        execution_options={"yield_per": CHUNK},
    )
    with gzip.GzipFile(fileobj=written, mode="wb", mtime=0) as packed:
        text = TextIOWrapper(packed, "utf-8", newline="")
        writer = csv.writer(text)
        for place, *cells in rows:
            counts[CHANGES[place]] += 1
            writer.writerow((CHANGES[place], *(cell or "" for cell in cells)))
        text.flush()
    return written.getvalue(), counts


def read_listing(listing: bytes) -> Iterator[list[str]]:
    """Yield the lines of a listing."""
    with gzip.GzipFile(fileobj=BytesIO(listing)) as packed:
        yield from csv.reader(TextIOWrapper(packed, "utf-8", newline=""))


def search_listing(listing: bytes, change: str, part: str, limit: int, offset: int) -> list[list[str]]:
    """Return lines of one kind of change, or with an empty one of all, with a part in any letter case."""
    wanted = part.casefold()
    found = (
        line
        for line in read_listing(listing)
        if (not change or line[0] == change) and (not wanted or wanted in "\n".join(line[2:]).casefold())
    )
    return [*islice(found, offset, offset + limit)]
