"""Uploads: rosters and files of progress of the console, kept until they are imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.model import Caller
from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import uploads, users

KEPT = timedelta(days=1)

Outcome = Mapping[str, Any]


@dataclass(frozen=True)
class Upload:
    """A file and the outcome for the page: the preview, or from `imported_at` on the result.

    A roster has `options`, with which it is imported.
    """

    id: int
    user_id: int
    by: str
    name: str
    outcome: Outcome
    imported_at: datetime | None
    options: Mapping[str, Any] | None


def add_upload(
    connection: sa.Connection,
    caller: Caller,
    name: str,
    content: bytes,
    preview: Outcome,
    now: datetime,
    *,
    options: Mapping[str, Any] | None = None,
    listing: bytes | None = None,
) -> int:
    """Store a file until it is imported, and return its id; `listing` has all changes of a roster."""
    row = {"account_id": caller.account_id, "user_id": caller.user_id, "name": name, "content": content}
    row |= {"options": None if options is None else _write(options), "listing": listing}
    insert = uploads.insert().values(**row, outcome=_write(preview), created_at=now).returning(uploads.c.id)
    upload_id: int = connection.execute(insert).scalar_one()
    return upload_id


def find_upload(connection: sa.Connection, account_id: int, upload_id: int, now: datetime) -> Upload | None:
    """Read an upload of the account; None when it does not exist or has expired."""
    u = uploads.c
    query = sa.select(u.id, u.user_id, users.c.email, u.name, u.outcome, u.imported_at, u.options)
    query = query.join(users, users.c.id == u.user_id)
    mine = sa.and_(u.id == upload_id, u.account_id == account_id, u.created_at > now - KEPT)
    row = connection.execute(query.where(mine)).one_or_none()
    if row is None:
        return None
    by, outcome = row.email or f"user {row.user_id}", json.loads(row.outcome)
    return Upload(row.id, row.user_id, by, row.name, outcome, row.imported_at, row.options and json.loads(row.options))


def read_file(connection: sa.Connection, upload_id: int) -> tuple[bytes, bytes | None]:
    """Read the content of an upload, which is empty once it is imported, and its listing."""
    query = sa.select(uploads.c.content, uploads.c.listing).where(uploads.c.id == upload_id)
    content, listing = connection.execute(query).one()
    return content, listing


def claim_upload(connection: sa.Connection, upload_id: int) -> bytes | None:
    """Lock an upload and return its content; None when it has been imported."""
    query = sa.select(uploads.c.content, uploads.c.imported_at).where(uploads.c.id == upload_id).with_for_update()
    content, imported_at = connection.execute(query).one()
    return content if imported_at is None else None


def keep_preview(connection: sa.Connection, upload_id: int, preview: Outcome, listing: bytes | None = None) -> None:
    """Replace the preview of an upload that is not imported."""
    open_one = sa.and_(uploads.c.id == upload_id, uploads.c.imported_at.is_(None))
    connection.execute(uploads.update().where(open_one).values(outcome=_write(preview), listing=listing))


def finish_upload(connection: sa.Connection, upload_id: int, result: Outcome, now: datetime) -> None:
    """Store the result of the import, and delete the content."""
    done = {"outcome": _write(result), "imported_at": now, "content": b""}
    connection.execute(uploads.update().where(uploads.c.id == upload_id).values(**done))


def purge_uploads(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` uploads that are older than a day; return how many."""
    return delete_expired(database, uploads, uploads.c.created_at < now - KEPT, limit)


def _write(outcome: Outcome) -> str:
    return json.dumps(outcome, ensure_ascii=False)
