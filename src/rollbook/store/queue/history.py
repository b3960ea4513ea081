"""Reads the queue and its history: items with their learners and courses, batches with their counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.model import UnenrollmentStatus
from rollbook.store.database.sql import CLOSED, LIVE, PENDING
from rollbook.store.database.tables import (
    batches,
    courses,
    enrollments,
    groups,
    refusals,
    sessions,
    unenrollments,
    users,
)
from rollbook.store.people.search import contains, named
from rollbook.store.queue.hourly import find_first

# Numbers follow times up to the clocks of several machines, and items are appended to a batch for a day.
MARGIN = timedelta(hours=25)
# The most enrollments of learners that are looked up by their ids.
MAX_FOUND = 10_000

Days = tuple[datetime | None, datetime | None]
Item = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class Cursor:
    """The place of an item in the order of changes."""

    change: int
    batch_id: int
    block: int


@dataclass(frozen=True)
class ItemFilter:
    """Filters of items; an empty one or None filters nothing. `…_from` is included, `…_before` is not.

    With `finished_from` or `after` only finished items are read, in the order of their changes. An empty `user_ids` or
    `course_ids` matches nothing.
    """

    batch_id: int | None = None
    blocks: Sequence[int] = ()
    statuses: Sequence[str] = ()
    enrollment_ids: Sequence[int] = ()
    requested_from: datetime | None = None
    requested_before: datetime | None = None
    through_batch: int | None = None
    user_ids: Sequence[int] | None = None
    course_ids: Sequence[int] | None = None
    finished_from: datetime | None = None
    after: Cursor | None = None

    @property
    def by_change(self) -> bool:
        """Tell whether the items are read as a feed of changes."""
        return self.finished_from is not None or self.after is not None

    @property
    def empty(self) -> bool:
        """Tell whether nothing can match, because no learner or no course has the name."""
        return [] in (self.user_ids, self.course_ids)


def find_items(
    connection: sa.Connection,
    account_id: int,
    chosen: ItemFilter,
    limit: int,
    offset: int,
    *,
    latest_first: bool = False,
) -> Sequence[Item]:
    """Read items with their learners and courses, by batch and block, or in the order of changes."""
    if chosen.empty:
        return []
    u = unenrollments.c
    by_batch = (u.batch_id.desc() if latest_first else u.batch_id, u.block)
    order = (u.change, u.batch_id, u.block) if chosen.by_change else by_batch
    conditions = [*_conditions(connection, chosen), *_since(connection, account_id, chosen)]
    page = sa.select(u.batch_id, u.block).where(u.account_id == account_id, *conditions)
    picked = page.order_by(*order).limit(limit).offset(offset).subquery("picked")
    found = sa.and_(u.batch_id == picked.c.batch_id, u.block == picked.c.block)
    return connection.execute(_items(picked, found).order_by(*order)).all()


def _since(connection: sa.Connection, account_id: int, chosen: ItemFilter) -> Iterator[sa.ColumnElement[bool]]:
    """Begin at the first change or batch that can match, in place of reading the history before it."""
    u = unenrollments.c
    if chosen.finished_from is not None:
        mine = sa.and_(u.account_id == account_id, u.change.is_not(None))
        ended = sa.func.coalesce(u.restored_at, u.finished_at)
        yield u.change >= find_first(connection, mine, u.change, ended, _before(chosen.finished_from))
    if chosen.requested_from is not None:
        b = batches.c
        since = _before(chosen.requested_from)
        yield u.batch_id >= find_first(connection, b.account_id == account_id, b.id, b.requested_at, since)


def _before(moment: datetime) -> datetime:
    return max(moment, datetime.min.replace(tzinfo=UTC) + MARGIN) - MARGIN


def _conditions(connection: sa.Connection, chosen: ItemFilter) -> list[sa.ColumnElement[bool]]:
    u = unenrollments.c
    conditions: list[sa.ColumnElement[bool]] = []
    if chosen.batch_id is not None:
        conditions.append(u.batch_id == chosen.batch_id)
    if chosen.statuses:
        conditions.append(u.status.in_(chosen.statuses))
        if not {UnenrollmentStatus.PENDING, UnenrollmentStatus.COMPLETE} & {*chosen.statuses}:
            conditions.append(sa.and_(sa.text(CLOSED)))  # for the index
    if chosen.enrollment_ids:
        conditions.append(_of_enrollments(chosen.enrollment_ids))
    if chosen.requested_from is not None:
        conditions.append(u.requested_at >= chosen.requested_from)
    if chosen.requested_before is not None:
        conditions.append(u.requested_at < chosen.requested_before)
    conditions += _in_console(connection, chosen)
    if chosen.by_change:
        conditions.append(u.change.is_not(None))
    if chosen.finished_from is not None:
        conditions.append(sa.func.coalesce(u.restored_at, u.finished_at) >= chosen.finished_from)
    if chosen.after is not None:
        place = (chosen.after.change, chosen.after.batch_id, chosen.after.block)
        conditions.append(u.change >= chosen.after.change)  # for the index
        conditions.append(sa.tuple_(u.change, u.batch_id, u.block) > sa.tuple_(*map(sa.literal, place)))
    return conditions


def _of_enrollments(ids: Sequence[int]) -> sa.ColumnElement[bool]:
    wanted = unenrollments.c.enrollment_id.in_(ids)
    return sa.or_(sa.and_(sa.text(LIVE), wanted), sa.and_(sa.text(CLOSED), wanted))  # each has an index


def _in_console(connection: sa.Connection, chosen: ItemFilter) -> list[sa.ColumnElement[bool]]:
    u = unenrollments.c
    conditions: list[sa.ColumnElement[bool]] = []
    if chosen.blocks:
        conditions.append(u.block.in_(chosen.blocks))
    if chosen.through_batch is not None:
        conditions.append(u.batch_id <= chosen.through_batch)
    if chosen.user_ids is not None:
        theirs = sa.select(enrollments.c.id).where(enrollments.c.user_id.in_(chosen.user_ids))
        ids = connection.scalars(theirs.limit(MAX_FOUND + 1)).all()
        # So many are soon met in the order of the page.
        conditions.append(_of_enrollments(ids) if len(ids) <= MAX_FOUND else u.enrollment_id.in_(theirs))
    if chosen.course_ids is not None:
        same = sa.and_(enrollments.c.id == u.enrollment_id, enrollments.c.course_id.in_(chosen.course_ids))
        conditions.append(sa.exists(sa.select(enrollments.c.id).where(same)))
    return conditions


def find_pending(connection: sa.Connection, account_id: int, chosen: ItemFilter) -> Sequence[Item]:
    """Return batch_id and enrollment_id of matching pending items, by batch and block."""
    if chosen.empty:
        return []
    u = unenrollments.c
    query = sa.select(u.batch_id, u.enrollment_id).where(u.account_id == account_id, sa.text(PENDING))
    return connection.execute(query.where(*_conditions(connection, chosen)).order_by(u.batch_id, u.block)).all()


def _items(picked: sa.Subquery, found: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    u, e = unenrollments.c, enrollments.c
    learner, caller = users.alias("learner"), users.alias("caller")
    remover, restorer = users.alias("remover"), users.alias("restorer")
    joined = (
        picked.join(unenrollments, found)
        .join(batches, batches.c.id == u.batch_id)
        .join(enrollments, e.id == u.enrollment_id)
        .join(learner, learner.c.id == e.user_id)
        .join(courses, courses.c.id == e.course_id)
        .join(groups, groups.c.id == e.group_id)
        .outerjoin(sessions, sessions.c.id == e.session_id)
        .outerjoin(caller, caller.c.id == batches.c.requested_by)
        .outerjoin(remover, remover.c.id == u.removed_by)
        .outerjoin(restorer, restorer.c.id == u.restored_by)
    )
    return sa.select(
        *(u.batch_id, u.block, u.enrollment_id, u.status, u.notes, u.change),
        *(u.requested_at, u.due_at, u.finished_at, u.restored_at),
        *(e.user_id, learner.c.given_name, learner.c.family_name, learner.c.email.label("learner_email")),
        *(courses.c.name.label("course"), sessions.c.name.label("session"), groups.c.name.label("origin")),
        *(e.enrolled_at, e.started_at, e.completed_at, e.progress, e.purged_at, batches.c.reason),
        *(_name_of(caller).label("requested_by"), _name_of(remover).label("removed_by")),
        _name_of(restorer).label("restored_by"),
    ).select_from(joined)


def find_batches(
    connection: sa.Connection,
    account_id: int,
    batch_id: int | None,
    limit: int,
    offset: int,
    search: str = "",
    days: Days = (None, None),
    *,
    latest_first: bool = True,
) -> Sequence[Item]:
    """Read batches with the numbers of their items by status and of their refusals.

    `search` is words of the reason, or of the name or e-mail of who requested them; `days` are the first moment of the
    requests and the one after the last. `first_ended_at` is when the first of the complete items was finished.
    """
    chosen = sa.select(batches).where(batches.c.account_id == account_id)
    if batch_id is not None:
        chosen = chosen.where(batches.c.id == batch_id)
    first, before = days
    chosen = chosen if first is None else chosen.where(batches.c.requested_at >= first)
    chosen = chosen if before is None else chosen.where(batches.c.requested_at < before)
    if search:
        people = sa.select(users.c.id).where(named(account_id, search))
        of_reason = sa.and_(*(contains(batches.c.reason, word) for word in search.split()))
        chosen = chosen.where(of_reason | batches.c.requested_by.in_(people))
    by_id = sa.desc if latest_first else sa.asc
    page = chosen.order_by(by_id(batches.c.id)).limit(limit).offset(offset).subquery("page")
    u = unenrollments.c
    by_status = [sa.func.count().filter(u.status == status).label(status.lower()) for status in UnenrollmentStatus]
    ended = sa.func.min(u.finished_at).filter(u.status == UnenrollmentStatus.COMPLETE).label("first_ended_at")
    items = (
        sa.select(u.batch_id, *by_status, ended)
        .where(u.batch_id.in_(sa.select(page.c.id)))
        .group_by(u.batch_id)
        .subquery()
    )
    refused = sa.select(sa.func.count()).where(refusals.c.batch_id == page.c.id).scalar_subquery().label("refused")
    counts = [sa.func.coalesce(items.c[status.lower()], 0).label(status.lower()) for status in UnenrollmentStatus]
    read = sa.select(page, _name_of(users).label("requested_by_email"), *counts, refused, items.c.first_ended_at)
    joined = page.outerjoin(users, users.c.id == page.c.requested_by).outerjoin(items, items.c.batch_id == page.c.id)
    return connection.execute(read.select_from(joined).order_by(by_id(page.c.id))).all()


def find_latest_batch(connection: sa.Connection, account_id: int) -> Item | None:
    """Read the latest batch, and whether any of its items can be undone; None without one."""
    u, b = unenrollments.c, batches.c
    undoable = sa.exists(sa.select(u.block).where(u.batch_id == b.id, sa.text(LIVE))).label("undoable")
    query = sa.select(b.id, b.reason, b.requested_at, undoable).where(b.account_id == account_id)
    return connection.execute(query.order_by(b.id.desc()).limit(1)).one_or_none()


def _name_of(user: sa.FromClause) -> sa.ColumnElement[str]:
    """Return the e-mail of a user, or `User` and the number for one without; NULL for no user."""
    return sa.func.coalesce(user.c.email, sa.literal("User ") + sa.cast(user.c.id, sa.Text))


def find_refusals(
    connection: sa.Connection, account_id: int, batch_id: int, limit: int | None = None, offset: int = 0
) -> Sequence[Item]:
    """Read the refusals of a batch in the order of the request."""
    mine = sa.and_(refusals.c.batch_id == batch_id, refusals.c.account_id == account_id)
    query = sa.select(refusals).where(mine).order_by(refusals.c.block)
    return connection.execute(query.limit(limit).offset(offset)).all()
