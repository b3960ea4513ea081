"""Records answered calls: in the log, the metrics and the call log."""

import secrets
from collections import Counter
from dataclasses import dataclass, field

import structlog

from rollbook.model import Actor, Caller, utc_now
from rollbook.server.operations.call_log import CallLog
from rollbook.server.operations.metrics import CallMetrics
from rollbook.store.operations.call_log import AnsweredCall
from rollbook.wire.answer import Answer

log = structlog.get_logger("rollbook.calls")


@dataclass
class Record:
    """What is known of a call so far, never a key; `method` is the name that was asked for, known or not."""

    address: str | None = None
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    method: str | None = None
    caller: Caller | None = None
    detail: str | None = None

    def actor(self, caller: Caller) -> Actor:
        """Return the caller as the audit names it."""
        return Actor(caller.email or f"user {caller.user_id}", caller.user_id, self.address, self.request_id)


class Recorder:
    """Records the calls of a server process."""

    def __init__(self, metrics: CallMetrics, call_log: CallLog) -> None:
        self._metrics = metrics
        self._call_log = call_log

    def add(self, record: Record, status: int, answer: Answer, seconds: float) -> None:
        """Record a call that is about to be answered. Never blocks."""
        caller = record.caller
        result = "Success" if answer.succeeded else "Failed"
        errors = dict(Counter(entry.code for entry in answer.errors))
        milliseconds = round(seconds * 1000, 1)
        log.info(
            "call",
            request_id=record.request_id,
            client=record.address,
            method=record.method,
            account=caller.account if caller else None,
            user=caller.email if caller else None,
            status=status,
            result=result,
            batch=answer.batch_id,
            errors=errors,
            detail=record.detail,
            ms=milliseconds,
        )
        self._metrics.count(record.method, status, errors, not answer.succeeded, seconds)
        if caller is not None:
            call = AnsweredCall(
                account_id=caller.account_id,
                user_id=caller.user_id,
                key_id=caller.key_ids[1],
                method=record.method,
                status=status,
                result=result,
                errors=errors,
                detail=record.detail,
                batch_id=answer.batch_id,
                address=record.address,
                request_id=record.request_id,
                milliseconds=milliseconds,
                answered_at=utc_now(),
            )
            self._call_log.add(call, caller.key_ids)
