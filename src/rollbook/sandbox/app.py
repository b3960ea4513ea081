"""Wraps the application of a server: /sandbox/ beside it, a fault before or after each call, and --strict."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from lxml import etree
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollbook.errors import CallError
from rollbook.methods import OWN_METHODS
from rollbook.sandbox.control import BASE
from rollbook.sandbox.faults import LATE, LOST, TRUNCATED, Fault, HttpAnswer, refuse
from rollbook.sandbox.known import KEYS
from rollbook.sandbox.state import State
from rollbook.server.app import PATHS
from rollbook.wire.answer import read_reply
from rollbook.wire.form import read_package
from rollbook.wire.xml import parse, text_of

MARK = (b"rollbook-sandbox", b"true")
# The headers that only Rollbook has, in calls and in answers. The mark of the sandbox stays.
OWN_HEADERS = (b"rollbook-", b"x-request-id", b"idempotency-key")
FORM = b"application/x-www-form-urlencoded"
MAX_BODY_SECONDS = 30


@dataclass
class Received:
    """The body of a call as it came, and what can be read of it; without keys in the package."""

    messages: list[Message]
    method: str | None = None
    caller: str | None = None
    package: str | None = None
    root: etree._Element | None = field(default=None, repr=False)


class SandboxApp:
    """The application of a sandbox, around `app`."""

    def __init__(self, app: ASGIApp, control: ASGIApp, state: State, *, strict: bool, max_body: int) -> None:
        self._app, self._control, self._state = app, control, state
        self._strict, self._max_body = strict, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in PATHS:
            await self._call(scope, receive, send)
        elif scope["path"].startswith(BASE):
            await self._control(scope, receive, _marked(send))
        else:
            await self._app(scope, receive, _marked(send))

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        scope = {**scope, "scheme": "https"}  # a sandbox has a plain port only on request
        received = _read(await _receive(receive, self._max_body), Headers(scope=scope))
        fault = self._state.faults.take(received.method)
        answer = refuse(fault) if fault else None
        if answer is None:
            if self._strict:
                scope = _hide(scope, received)
            answer = await self._carry_out(scope, received.messages, receive)
        self._state.calls.append(_describe(received, answer, fault, started))
        await self._answer(answer, fault, receive, send)

    async def _carry_out(self, scope: Scope, messages: list[Message], receive: Receive) -> HttpAnswer:
        """Let the server answer the call."""
        waiting, sent = iter([*messages]), []

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, replay, keep)
        start, *parts = sent
        return HttpAnswer(start["status"], start["headers"], b"".join(part.get("body", b"") for part in parts))

    async def _answer(self, answer: HttpAnswer, fault: Fault | None, receive: Receive, send: Send) -> None:
        kind = fault.fault if fault else None
        if fault and kind == LATE:
            await asyncio.sleep(fault.seconds)
        if kind == LOST:
            _transport(send).abort()
        else:
            hidden = OWN_HEADERS if self._strict else ()
            headers = [header for header in answer.headers if not header[0].startswith(hidden)]
            await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, MARK]})
            cut = len(answer.body) // 2 if kind == TRUNCATED else len(answer.body)
            await send({"type": "http.response.body", "body": answer.body[:cut], "more_body": kind == TRUNCATED})
        if kind == TRUNCATED:
            _transport(send).close()
        while kind in (LOST, TRUNCATED) and (await receive())["type"] != "http.disconnect":
            pass


def _transport(send: Send) -> Any:
    """Return the connection, because ASGI cannot end one without an answer: `send` is a method of uvicorn's cycle."""
    return send.__self__.transport  # type: ignore[attr-defined]


def _marked(send: Send) -> Send:
    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), MARK]}
        await send(message)

    return send_marked


async def _receive(receive: Receive, most: int) -> list[Message]:
    """Receive a body, or the beginning of one that the server will refuse: too large, or too slow."""
    messages: list[Message] = []
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(MAX_BODY_SECONDS):
            while not messages or (messages[-1].get("more_body") and size <= most):
                messages.append(await receive())
                size += len(messages[-1].get("body", b""))
    return messages


def _read(messages: list[Message], headers: Mapping[str, str]) -> Received:
    body = b"".join(message.get("body", b"") for message in messages)
    try:
        root = parse(read_package(body, headers.get("content-type", "")))
    except CallError:
        return Received(messages)
    elements = {name: root.find(name) for name in ("AccountAPI", "UserAPI", "Method")}
    texts = {name: "" if element is None else text_of(element) for name, element in elements.items()}
    names = {key: name for name, key in KEYS.items()}
    caller = names.get(texts["UserAPI"]) if names.get(texts["AccountAPI"]) == "account" else None
    shown = deepcopy(root)
    for name in ("AccountAPI", "UserAPI"):  # they may be keys of another server
        for element in shown.findall(name):
            element.clear()
    return Received(messages, texts["Method"] or None, caller, etree.tostring(shown, encoding="unicode"), root)


def _hide(scope: Scope, received: Received) -> Scope:
    """Leave out the headers of the call that are Rollbook's own, and give its own methods a name that none has."""
    headers = [header for header in scope["headers"] if not header[0].startswith(OWN_HEADERS)]
    if received.root is not None and received.method in OWN_METHODS:
        for element in received.root.findall("Method"):
            element.text = f"{received.method} (strict)"
        body = urlencode({"Package": etree.tostring(received.root)}).encode()
        received.messages = [{"type": "http.request", "body": body, "more_body": False}]
        headers = [header for header in headers if header[0] not in (b"content-type", b"content-length")]
        headers += [(b"content-type", FORM), (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": headers}


def _describe(received: Received, answer: HttpAnswer, fault: Fault | None, started: float) -> dict[str, Any]:
    """Describe a call for assertions: what the server answered, also where the fault changed or lost it."""
    result, codes = None, []
    with suppress(CallError):  # a page of HTML
        reply = read_reply(answer.body)
        result, codes = "Success" if reply.succeeded else "Failed", [entry.code for entry in reply.errors]
    return {
        "method": received.method,
        "caller": received.caller,
        "package": received.package,
        "status": answer.status,
        "result": result,
        "codes": codes,
        "fault": fault and fault.fault,
        "ms": round((time.perf_counter() - started) * 1000, 1),
    }
