"""Runs: what was chosen in the console to be unenrolled together, queued part by part. The only SQL about them.

A part is a batch of its own, in a transaction of its own: a worker that dies leaves the rest to the next one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.errors import WireCode
from rollbook.model import Action, Actor, Caller, Change, Policies, Refusal
from rollbook.store.audit import record_change
from rollbook.store.choosing import CourseShare
from rollbook.store.dialects import statement
from rollbook.store.engine import Database
from rollbook.store.expiry import forget
from rollbook.store.passwords import ADMINISTERING
from rollbook.store.tables import accounts, batches, run_parts, runs, unenrollments, users
from rollbook.store.unenrollments import accept_batch, keep_refusals

# The most that one call of the API takes (protocol §4), and so the most of one batch.
PART = 100
# What was looked at and not started is forgotten after this.
DRAFT_KEPT = timedelta(days=1)

# Each worker takes another run.
_TAKE_RUN = """
    SELECT id, account_id, user_id, reason, address, request_id FROM runs
    WHERE started_at IS NOT NULL AND finished_at IS NULL
    ORDER BY id LIMIT 1 {claim_lock}
"""


@dataclass(frozen=True)
class Run:
    """A run and how far it has come: `done` of `total` ids were asked for, `accepted` of these are in the queue."""

    id: int
    user_id: int
    by: str
    reason: str | None
    courses: list[CourseShare]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    total: int
    done: int
    accepted: int
    batches: int


def draft_run(
    connection: sa.Connection, caller: Caller, ids: Sequence[int], courses: Sequence[CourseShare], now: datetime
) -> int:
    """Keep what was chosen, to be looked at; nothing happens until it is started. Returns the number of the run."""
    shown = json.dumps([asdict(course) for course in courses])
    row = {"account_id": caller.account_id, "user_id": caller.user_id, "courses": shown, "created_at": now}
    run_id: int = connection.execute(runs.insert().values(row).returning(runs.c.id)).scalar_one()
    parts = [ids[start : start + PART] for start in range(0, len(ids), PART)]
    place = {"run_id": run_id, "account_id": caller.account_id}
    rows = [
        {**place, "number": number, "ids": json.dumps(part), "size": len(part)} for number, part in enumerate(parts, 1)
    ]
    connection.execute(run_parts.insert(), rows)
    return run_id


def find_run(connection: sa.Connection, account_id: int, run_id: int) -> Run | None:
    """Read a run of the account; None when it has no such run."""
    query = sa.select(runs, users.c.email).join(users, users.c.id == runs.c.user_id)
    row = connection.execute(query.where(runs.c.id == run_id, runs.c.account_id == account_id)).one_or_none()
    if row is None:
        return None
    p = run_parts.c
    done = sa.case((p.accepted.is_not(None), p.size), else_=0)
    sums = (sa.func.sum(p.size), sa.func.sum(done), sa.func.coalesce(sa.func.sum(p.accepted), 0))
    counted = sa.select(*sums, sa.func.count(p.batch_id)).where(p.run_id == run_id, p.account_id == account_id)
    counts = [int(number) for number in connection.execute(counted).one()]
    courses = [CourseShare(**course) for course in json.loads(row.courses)]
    times = (row.created_at, row.started_at, row.finished_at)
    return Run(row.id, row.user_id, row.email or "", row.reason, courses, *times, *counts)


def find_runs(connection: sa.Connection, account_id: int, limit: int) -> Sequence[Any]:
    """List the latest runs that were started."""
    columns = (runs.c.id, runs.c.reason, runs.c.started_at, runs.c.finished_at, users.c.email)
    query = sa.select(*columns).join(users, users.c.id == runs.c.user_id)
    mine = query.where(runs.c.account_id == account_id, runs.c.started_at.is_not(None))
    return connection.execute(mine.order_by(runs.c.id.desc()).limit(limit)).all()


def count_outcomes(connection: sa.Connection, account_id: int, run_id: int) -> dict[str, int]:
    """Count what has become of the items of a run, by status."""
    u, mine = unenrollments.c, sa.and_(run_parts.c.run_id == run_id, run_parts.c.account_id == account_id)
    joined = run_parts.join(unenrollments, u.batch_id == run_parts.c.batch_id)
    query = sa.select(u.status, sa.func.count().label("items")).select_from(joined).where(mine).group_by(u.status)
    return {row.status: row.items for row in connection.execute(query)}


def find_batches_of(connection: sa.Connection, account_id: int, run_id: int, limit: int) -> Sequence[Any]:
    """List the first batches of a run, each with how many it accepted of how many."""
    p = run_parts.c
    query = sa.select(p.batch_id, p.size, p.accepted, batches.c.requested_at)
    query = query.join(batches, batches.c.id == p.batch_id).where(p.run_id == run_id, p.account_id == account_id)
    return connection.execute(query.order_by(p.number).limit(limit)).all()


def list_batches(connection: sa.Connection, account_id: int, run_id: int) -> list[int]:
    """List the numbers of all batches of a run, the latest first."""
    p = run_parts.c
    mine = sa.and_(p.run_id == run_id, p.account_id == account_id, p.batch_id.is_not(None))
    return list(connection.execute(sa.select(p.batch_id).where(mine).order_by(p.number.desc())).scalars())


def start_run(
    connection: sa.Connection, account_id: int, run_id: int, by: Actor, reason: str | None, now: datetime
) -> bool:
    """Let workers queue a run that the same user has drafted; False when it was started before, or is not there."""
    mine = sa.and_(runs.c.id == run_id, runs.c.account_id == account_id, runs.c.user_id == by.user_id)
    draft = sa.and_(mine, runs.c.started_at.is_(None), runs.c.created_at > now - DRAFT_KEPT)
    source = {"address": by.address, "request_id": by.request_id}
    started = runs.update().where(draft).values(reason=reason, started_at=now, **source)
    return connection.execute(started).rowcount > 0


def stop_run(connection: sa.Connection, account_id: int, run_id: int, now: datetime) -> bool:
    """Queue no further part of a run; what is in the queue stays there. False when there was nothing to stop."""
    mine = sa.and_(runs.c.id == run_id, runs.c.account_id == account_id)
    under_way = sa.and_(mine, runs.c.started_at.is_not(None), runs.c.finished_at.is_(None))
    return connection.execute(runs.update().where(under_way).values(finished_at=now)).rowcount > 0


def queue_next_part(database: Database, now: datetime, codes: Mapping[Refusal, WireCode]) -> bool:
    """Queue the next part of a run as a batch, in one transaction; False when no run is under way.

    A run whose user may not unenrol any more ends there.
    """
    under_way = sa.select(runs.c.id).where(runs.c.started_at.is_not(None), runs.c.finished_at.is_(None)).limit(1)
    with database.read() as connection:
        if connection.execute(under_way).first() is None:
            return False

    def work(connection: sa.Connection) -> bool:
        run = connection.execute(statement(connection, _TAKE_RUN)).first()
        if run is None:
            return False
        p = run_parts.c
        mine = sa.and_(p.run_id == run.id, p.account_id == run.account_id)
        left = sa.select(p.number, p.ids).where(mine, p.accepted.is_(None))
        part = connection.execute(left.order_by(p.number).limit(1)).first()
        user = _find_user(connection, run.account_id, run.user_id)
        if part is None or user is None:
            stop_run(connection, run.account_id, run.id, now)
        else:
            accepted, batch_id = _queue(connection, run, user, json.loads(part.ids), now, codes)
            this = run_parts.update().where(mine, p.number == part.number)
            connection.execute(this.values(accepted=accepted, batch_id=batch_id))
        return True

    return database.transact(work)


def _find_user(connection: sa.Connection, account_id: int, user_id: int) -> Any:
    policies = (accounts.c.protect_completed, accounts.c.hold_seconds, accounts.c.retention_days)
    query = sa.select(users.c.email, *policies).join(accounts, accounts.c.id == users.c.account_id)
    allowed = sa.and_(users.c.active, users.c.role.in_(ADMINISTERING))
    return connection.execute(query.where(users.c.account_id == account_id, users.c.id == user_id, allowed)).first()


def _queue(
    connection: sa.Connection, run: Any, user: Any, ids: list[int], now: datetime, codes: Mapping[Refusal, WireCode]
) -> tuple[int, int | None]:
    email, *decided = user
    done = accept_batch(
        connection,
        account_id=run.account_id,
        requested_by=run.user_id,
        ids=ids,
        policies=Policies(*decided),
        reason=run.reason,
        requested_at=now,
    )
    if done.batch_id is not None:
        refused = [(block, str(ids[block - 1]), codes[why].code) for block, why in sorted(done.refused.items())]
        keep_refusals(connection, run.account_id, done.batch_id, refused)
        by = Actor(email or f"user {run.user_id}", run.user_id, run.address, run.request_id)
        counts = {"accepted": len(done.accepted), "refused": len(refused), "run": run.id}
        record_change(connection, run.account_id, by, Change(Action.UNENROLL, f"batch {done.batch_id}", counts))
    return len(done.accepted), done.batch_id


def purge_drafts(database: Database, now: datetime, limit: int) -> int:
    """Forget what was looked at a day ago and not started, up to `limit` rows of it; return how many."""
    draft = sa.and_(runs.c.started_at.is_(None), runs.c.created_at < now - DRAFT_KEPT)
    parts = run_parts.c.run_id.in_(sa.select(runs.c.id).where(draft))
    return forget(database, run_parts, parts, limit) or forget(database, runs, draft, limit)
