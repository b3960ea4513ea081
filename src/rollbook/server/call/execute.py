"""Executes a call in one transaction: committed, rolled back for a dry run, or once per Idempotency-Key (D21)."""

import hashlib
from collections.abc import Sequence
from contextvars import Context
from dataclasses import replace

from sqlalchemy import Connection

from rollbook.errors import ConflictError, DatabaseUnavailableError, LockTimeoutError, TransportError
from rollbook.model import Caller, utc_now
from rollbook.server.call.preprocess import AuthenticatedCall
from rollbook.store.database.database import Database, Work
from rollbook.store.database.deadline import remaining
from rollbook.store.database.deadlocks import limit_lock_waits
from rollbook.store.operations.idempotency import StoredAnswer, claim_key, find_answer, keep_answer
from rollbook.wire.answer import Answer, render
from rollbook.wire.call import Call
from rollbook.wire.read import Reading

# How long calls that share a transaction wait for a lock: less than PostgreSQL takes to find a deadlock. Then each is
# executed alone, so that only those that need the lock wait for it.
SHARED_LOCK_MILLISECONDS = 100


def execute(database: Database, authenticated: AuthenticatedCall, public_url: str = "") -> Answer:
    """Answer a call; one that changes records changes all of them or, when this raises, none.

    Errors: those of the method; TransportError 422 when the Idempotency-Key was used for another call.
    """
    call = authenticated.call
    work = authenticated.method.prepare(authenticated.caller, authenticated.by, call, public_url)
    if not authenticated.method.changes:
        with database.read() as connection:
            return work(connection)
    if call.extensions.dry_run:
        answer = database.transact(work, rollback=True)
        return replace(answer, batch_id=None)
    if call.extensions.idempotency_key is not None:
        work = _only_once(authenticated.caller, call, call.extensions.idempotency_key, work)
    return database.transact(work)


def execute_together(
    database: Database, calls: Sequence[tuple[AuthenticatedCall, Context]]
) -> list[Answer | Exception | None]:
    """Answer calls of one account and method, in the order of their arrival, in one transaction.

    The outcome of a call is its answer, its error, or None if it has to be executed alone.
    """
    outcomes: list[Answer | Exception | None] = [None] * len(calls)
    ready: dict[int, tuple[AuthenticatedCall, Reading]] = {}
    for place, (call, context) in enumerate(calls):
        try:
            if len(calls) == 1:
                return [context.run(execute, database, call)]
            context.run(remaining, 0)
            ready[place] = call, call.method.read(call.call)
        except Exception as error:
            outcomes[place] = error
    if ready:
        first = calls[min(ready)][1]  # has the earliest deadline
        shared = first.run(_share, database, [*ready.values()])
        for place, outcome in zip(ready, shared, strict=True):
            outcomes[place] = outcome
    return outcomes


def _share(
    database: Database, calls: Sequence[tuple[AuthenticatedCall, Reading]]
) -> Sequence[Answer | Exception | None]:
    answers: list[Answer] = []
    try:
        with database.write() as connection:
            limit_lock_waits(connection, SHARED_LOCK_MILLISECONDS)
            answers += calls[0][0].method.answer_all(
                connection, [(call.caller, call.by, call.call, reading) for call, reading in calls]
            )
    except Exception as error:
        is_common = isinstance(error, DatabaseUnavailableError) and not isinstance(
            error, (LockTimeoutError, ConflictError)
        )
        # Executed alone, each call meets its own errors only. With answers, the commit may have succeeded.
        return [error if answers or is_common else None] * len(calls)
    return answers


def _only_once(caller: Caller, call: Call, key: str, work: Work[Answer]) -> Work[Answer]:
    """Wrap the work so that it runs once per key: its answer is stored in the same transaction."""
    digest = hashlib.sha256(call.package).digest()

    def once(connection: Connection) -> Answer:
        if claim_key(connection, caller, key, digest, utc_now()):
            answer = work(connection)
            keep_answer(
                connection, caller, key, StoredAnswer(digest, answer.succeeded, answer.batch_id, render(answer))
            )
            return answer
        stored = find_answer(connection, caller, key)
        if stored.package_digest != digest:
            raise TransportError(422, "the Idempotency-Key was used for another call before")
        return Answer(stored.succeeded, batch_id=stored.batch_id, stored=stored.body)

    return once
