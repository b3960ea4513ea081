"""Turns an answer or an exception into an HTTP response, and records the call."""

import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rollbook.errors import UNFORESEEN, CallError, TransportError
from rollbook.server.call.record import Record, Recorder
from rollbook.wire.answer import Answer, ErrorEntry, render

log = structlog.get_logger("rollbook.calls")

# Answers hold personal data: caches do not store them, and browsers do not render them.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


async def respond(request: Request, recorder: Recorder, make_answer: Callable[[Record], Awaitable[Answer]]) -> Response:
    """Make the answer of a call and send it with HTTP 200, except in the cases of protocol T5."""
    started = time.perf_counter()
    record = Record(request.client.host if request.client else None)
    status, headers = 200, {"X-Request-ID": record.request_id, **SECURITY_HEADERS}
    try:
        answer = await make_answer(record)
    except CallError as error:
        record.detail = error.detail
        answer = Answer(succeeded=False, errors=[ErrorEntry.of_call(error)])
    except TransportError as error:
        record.detail = error.detail
        status = error.status
        headers |= _transport_headers(error)
        answer = _unforeseen()
    except ClientDisconnect:
        record.detail = "the client closed the connection before its call was received"
        answer = _unforeseen()
    except Exception:
        log.exception("call failed", request_id=record.request_id, method=record.method)
        answer = _unforeseen()
    recorder.add(record, status, answer, time.perf_counter() - started)
    headers |= answer.headers
    if answer.batch_id is not None:
        headers["Rollbook-Batch"] = str(answer.batch_id)
    return Response(render(answer), status, headers, media_type="text/xml; charset=UTF-8")


def _transport_headers(error: TransportError) -> dict[str, str]:
    headers = {"Connection": "close"} if error.closes else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers


def _unforeseen() -> Answer:
    return Answer(succeeded=False, errors=[ErrorEntry(UNFORESEEN.code, UNFORESEEN.message)])
