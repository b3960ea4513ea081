"""Turns an answer, or whatever went wrong, into an HTTP response, and has the call recorded."""

import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rollbook.errors import UNFORESEEN, CallError, TransportError
from rollbook.server.call.record import Record, Recorder
from rollbook.wire.answer import Answer, ErrorEntry, render

log = structlog.get_logger("rollbook.calls")

# An answer is data of people: no cache keeps it, no browser makes a page of it.
STANDING_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


async def respond(request: Request, recorder: Recorder, work: Callable[[Record], Awaitable[Answer]]) -> Response:
    """Do the work of a call and answer it: HTTP 200 in every case but those of protocol T5."""
    started = time.perf_counter()
    record = Record(request.client.host if request.client else None)
    status, headers = 200, {"X-Request-ID": record.request_id, **STANDING_HEADERS}
    try:
        answer = await work(record)
    except CallError as error:
        record.detail = error.detail
        answer = Answer(succeeded=False, errors=[ErrorEntry.of_call(error)])
    except TransportError as error:
        record.detail = error.detail
        status = error.status
        headers |= _transport_headers(error)
        answer = _unforeseen()
    except ClientDisconnect:
        record.detail = "the client went away before its call had arrived"
        answer = _unforeseen()
    except Exception:
        log.exception("call failed", request_id=record.request_id, method=record.method)
        answer = _unforeseen()
    recorder.add(record, status, answer, time.perf_counter() - started)
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
