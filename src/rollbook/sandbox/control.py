"""The JSON endpoint /sandbox/: resets, faults, the clock of holds, the worker, policies, and the last calls."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rollbook.errors import UserError
from rollbook.sandbox.faults import Fault
from rollbook.sandbox.known import KEYS
from rollbook.sandbox.state import State

BASE = "/sandbox/"


class Nothing(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Clock(Nothing):
    """How many seconds of every hold shall have passed."""

    seconds: float = Field(gt=0, le=10**9)


class Pause(Nothing):
    """Whether the worker is to be paused."""

    paused: bool


class PolicyChanges(Nothing):
    """The policies to change; the others stay."""

    protect_completed: bool = False
    hold_seconds: int = 0
    retention_days: int | None = None


Changes = dict[str, tuple[type[BaseModel], Callable[[Any], object]]]


def changes(state: State) -> Changes:
    """Return what can be changed by name: its parameters, and the function that takes them."""
    return {
        "reset": (Nothing, lambda _: state.reset()),
        "faults": (Fault, state.faults.waiting.append),
        "clock": (Clock, lambda asked: state.advance(asked.seconds)),
        "worker": (Pause, lambda asked: state.worker.pause(asked.paused)),
        "policies": (PolicyChanges, lambda asked: state.set_policies(asked.model_dump(exclude_unset=True))),
    }


def control(state: State, facts: dict[str, Any]) -> ASGIApp:
    """Make the endpoint; `facts` are what GET /sandbox/ tells besides the state."""

    def tell(_request: Request | None = None) -> Response:
        faults = [fault.model_dump() for fault in state.faults.waiting]
        return JSONResponse({**facts, "keys": KEYS, "worker_paused": state.worker.paused, "faults": faults})

    def tell_calls(_request: Request) -> Response:
        return JSONResponse([*state.calls])

    def drop_faults(_request: Request) -> Response:
        state.faults.waiting.clear()
        return tell()

    def change(kind: type[BaseModel], run: Callable[[Any], object]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            refused = await _change(request, kind, run)
            return refused or tell()

        return endpoint

    routes = [
        Route(BASE, tell, methods=["GET"]),
        Route(f"{BASE}calls", tell_calls, methods=["GET"]),
        Route(f"{BASE}faults", drop_faults, methods=["DELETE"]),
        *(Route(BASE + path, change(*asked), methods=["POST"]) for path, asked in changes(state).items()),
    ]
    return _only_here(Starlette(routes=routes))


def is_here(address: str | None) -> bool:
    """Tell whether an address of a client is one of this machine."""
    return address is not None and ip_address(address).is_loopback


def _only_here(app: ASGIApp) -> ASGIApp:
    """Refuse requests from other machines, also when the server listens to them."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        refused = _error(403, "Only programs on the machine of the sandbox may use /sandbox/.")
        await (app if client and is_here(client[0]) else refused)(scope, receive, send)

    return guarded


async def _change(request: Request, kind: type[BaseModel], run: Callable[[Any], object]) -> Response | None:
    """Make the change, or return why it is refused."""
    # A page of another site cannot send this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _error(415, "Send JSON, with the header Content-Type: application/json.")
    try:
        await run_in_threadpool(run, kind.model_validate_json(await request.body() or b"{}"))
    except ValidationError as error:
        return _error(422, describe(error))
    except UserError as error:
        return _error(422, str(error))
    return None


def describe(error: ValidationError) -> str:
    """Say what is wrong with the parameters of a change."""
    reasons = [(wrong["loc"], wrong["msg"].removeprefix("Value error, ").rstrip(".")) for wrong in error.errors()]
    return " ".join(": ".join([*map(str, where), f"{reason}."]) for where, reason in reasons)


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
