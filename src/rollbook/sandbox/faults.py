"""Faults on request: which calls they are for, and the answers of calls that are not carried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rollbook.errors import INVALID_KEYS, UNFORESEEN, WireCode
from rollbook.methods import METHODS
from rollbook.model import suggest
from rollbook.server.call.response import SECURITY_HEADERS
from rollbook.wire.answer import Answer, ErrorEntry, render

HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>\n"
# These calls are carried out; all others are not.
LATE, TRUNCATED, LOST = "late", "truncated", "lost"
STATUSES = {"429": 429, "503": 503}
CODES: dict[str, WireCode] = {code.code: code for code in (INVALID_KEYS, UNFORESEEN)}
KINDS = (LATE, *STATUSES, *CODES, "html", TRUNCATED, LOST)


class Fault(BaseModel):
    """A fault for the next `times` calls, or with None for all calls until the reset; `method` None means any.

    `seconds` is how late an answer is, and the Retry-After of a 429 or 503.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    fault: str
    method: str | None = None
    times: int | None = Field(1, ge=1)
    seconds: float = Field(1, ge=0, le=600)

    @field_validator("fault")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        return kind

    @field_validator("method")
    @classmethod
    def _exists(cls, method: str | None) -> str | None:
        if method is not None and method not in METHODS:
            raise ValueError(f"{method!r} is no method.{suggest(method, METHODS)}")
        return method


class Faults:
    """The faults that wait for calls, in the order of their requests."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def take(self, method: str | None) -> Fault | None:
        """Return the first fault that is for a call of this method, and count the call."""
        for fault in self.waiting:
            if fault.method in (None, method):
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self.waiting.remove(fault)
                return fault
        return None


@dataclass(frozen=True)
class HttpAnswer:
    """An answer before it is sent."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def refuse(fault: Fault) -> HttpAnswer | None:
    """Make the answer of a call that is not carried out, as the server would; None when the fault is another one."""
    if fault.fault in (LATE, TRUNCATED, LOST):
        return None
    if fault.fault == "html":
        return HttpAnswer(502, _headers("text/html; charset=utf-8", HTML), HTML)
    code = CODES.get(fault.fault, UNFORESEEN)
    body = render(Answer(succeeded=False, errors=[ErrorEntry(code.code, code.message)]))
    status = STATUSES.get(fault.fault, 200)
    retry = {"Retry-After": str(ceil(fault.seconds))} if status != 200 else {}
    return HttpAnswer(status, _headers("text/xml; charset=UTF-8", body, **SECURITY_HEADERS, **retry), body)


def _headers(kind: str, body: bytes, **more: str) -> list[tuple[bytes, bytes]]:
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **more}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
