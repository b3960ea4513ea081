"""Drafts: selections of the console until they are confirmed and become a batch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from rollbook.brake import CourseShare
from rollbook.model import Caller
from rollbook.store.database.database import Database
from rollbook.store.database.expiry import delete_expired
from rollbook.store.database.tables import drafts, users

KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Choice:
    """The filters of a selection for the page: courses and groups as (id, name), statuses, or a list and filters of it.

    `left_out` counts the rows of a list that are no ids, `skipped` are the first of them, `listed` describes what of
    the list was read.
    """

    courses: list[tuple[int, str]] = field(default_factory=list)
    groups: list[tuple[int, str]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    left_out: int = 0
    listed: str = ""
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Draft:
    """A selection and its preview; `batch_id` is the batch that it became when it was confirmed."""

    id: int
    user_id: int
    by: str
    total: int
    choice: Choice
    shares: list[CourseShare]
    batch_id: int | None


def add_draft(
    connection: sa.Connection,
    caller: Caller,
    ids: Sequence[int],
    choice: Choice,
    shares: Sequence[CourseShare],
    now: datetime,
    source: str | None = None,
) -> int:
    """Store a selection until it is confirmed, with the list that it was made of, and return its id."""
    row = {
        "account_id": caller.account_id,
        "user_id": caller.user_id,
        "ids": json.dumps(ids),
        "total": len(ids),
        "choice": json.dumps(asdict(choice), ensure_ascii=False),
        "shares": json.dumps([asdict(share) for share in shares], ensure_ascii=False),
        "created_at": now,
        "source": source,
    }
    draft_id: int = connection.execute(drafts.insert().values(row).returning(drafts.c.id)).scalar_one()
    return draft_id


def find_draft(connection: sa.Connection, account_id: int, draft_id: int, now: datetime) -> Draft | None:
    """Read a draft of the account; None when it does not exist or has expired."""
    d = drafts.c
    columns = (d.id, d.user_id, users.c.email, d.total, d.choice, d.shares, d.batch_id)
    query = sa.select(*columns).join(users, users.c.id == d.user_id)
    mine = sa.and_(d.id == draft_id, d.account_id == account_id, d.created_at > now - KEPT)
    row = connection.execute(query.where(mine)).one_or_none()
    if row is None:
        return None
    shares = [CourseShare(**share) for share in json.loads(row.shares)]
    choice = Choice(**json.loads(row.choice))
    return Draft(row.id, row.user_id, row.email or f"user {row.user_id}", row.total, choice, shares, row.batch_id)


def read_draft_ids(connection: sa.Connection, draft_id: int) -> list[int]:
    """Read the selected ids."""
    ids: list[int] = json.loads(connection.execute(sa.select(drafts.c.ids).where(drafts.c.id == draft_id)).scalar_one())
    return ids


def read_draft_source(connection: sa.Connection, draft_id: int) -> str | None:
    """Read the list that a selection was made of; None without one, or once it is confirmed."""
    source: str | None = connection.execute(sa.select(drafts.c.source).where(drafts.c.id == draft_id)).scalar_one()
    return source


def claim_draft(connection: sa.Connection, draft_id: int) -> tuple[list[int], int | None]:
    """Lock a draft and return its ids, and the batch that it has become."""
    query = sa.select(drafts.c.ids, drafts.c.batch_id).where(drafts.c.id == draft_id).with_for_update()
    ids, batch_id = connection.execute(query).one()
    return json.loads(ids), batch_id


def finish_draft(connection: sa.Connection, draft_id: int, batch_id: int) -> None:
    """Store which batch a draft has become, so that confirming it again leads there, and delete its list."""
    connection.execute(drafts.update().where(drafts.c.id == draft_id).values(batch_id=batch_id, source=None))


def purge_drafts(database: Database, now: datetime, limit: int) -> int:
    """Delete up to `limit` drafts that are older than a day; return how many."""
    return delete_expired(database, drafts, drafts.c.created_at < now - KEPT, limit)
