"""Executes a call in one transaction: committed, rolled back for a dry run, or once per Idempotency-Key (D21)."""

import hashlib
from dataclasses import replace

from sqlalchemy import Connection

from rollbook.errors import TransportError
from rollbook.model import Caller, utc_now
from rollbook.server.call.preprocess import AuthenticatedCall
from rollbook.store.database.database import Database, Work
from rollbook.store.operations.idempotency import StoredAnswer, claim_key, find_answer, keep_answer
from rollbook.wire.answer import Answer, render
from rollbook.wire.call import Call


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
