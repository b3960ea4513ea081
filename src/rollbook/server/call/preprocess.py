"""Finds what a call that has arrived asks for, and who asks: of all that wait at once, in one thread.

A change from one thread to another costs more than to look up keys. So calls are not read in a thread each, but as many
as there are in one turn, and the keys that they have in common are looked up once (docs/decisions/0024).
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass

from starlette.datastructures import Headers

from rollbook.errors import CallError
from rollbook.methods import Method
from rollbook.model import Actor, Caller, Limit
from rollbook.server.call.authenticate import Callers, authorise
from rollbook.server.call.dispatch import dispatch
from rollbook.server.call.headers import read_extensions
from rollbook.server.call.record import Record
from rollbook.server.operations.rate_limits import Throttle
from rollbook.store.database.database import Database
from rollbook.wire.call import Call, read_call
from rollbook.wire.form import read_package

# With more the first would wait long for the last, and little would be gained.
MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Arrival:
    """A call whose body has arrived; `context` holds its deadline (store/deadline)."""

    body: bytes
    headers: Headers
    record: Record
    context: Context


@dataclass(frozen=True)
class Admitted:
    """A call that may be performed; `by` is its caller as the audit names it."""

    call: Call
    caller: Caller
    by: Actor
    method: Method


class Admission:
    """Admits the calls of a server process; for the thread of its event loop alone."""

    def __init__(self, database: Database, throttle: Throttle) -> None:
        self._database = database
        self._throttle = throttle
        self._thread = ThreadPoolExecutor(1, "admission")
        self._waiting: list[tuple[Arrival, asyncio.Future[Admitted]]] = []
        self._turns: asyncio.Task[None] | None = None

    async def admit(self, arrival: Arrival) -> Admitted:
        """Wait for the call to be admitted; errors: those of `admit`."""
        admitted: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, admitted))
        if self._turns is None:
            self._turns = asyncio.create_task(self._take_turns())
        return await admitted

    async def _take_turns(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            turn, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            arrivals = [arrival for arrival, _ in turn]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._admit_all, arrivals)
            except Exception as error:  # the system gives no thread, or no memory
                outcomes = [error] * len(turn)
            for (_, admitted), outcome in zip(turn, outcomes, strict=True):
                if admitted.cancelled():
                    continue
                if isinstance(outcome, Admitted):
                    admitted.set_result(outcome)
                else:
                    admitted.set_exception(outcome)
        self._turns = None

    def _admit_all(self, arrivals: Sequence[Arrival]) -> list[Admitted | Exception]:
        callers = Callers(self._database)
        return [arrival.context.run(self._try, arrival, callers) for arrival in arrivals]

    def _try(self, arrival: Arrival, callers: Callers) -> Admitted | Exception:
        try:
            return admit(arrival, callers, self._throttle)
        except Exception as error:
            return error


def admit(arrival: Arrival, callers: Callers, throttle: Throttle) -> Admitted:
    """Admit a call: each line may refuse it with an error of the wire.

    Errors: SU:02 to SU:11; TransportError for headers, limits, or a database that cannot be reached.
    """
    record = arrival.record
    extensions = read_extensions(arrival.headers)
    try:
        package = read_package(arrival.body, arrival.headers.get("content-type", ""))
        call = read_call(package, extensions)
    except CallError:
        throttle.count(Limit.WRONG_KEYS_PER_ADDRESS, record.address)
        raise
    record.caller = authorise(callers, throttle, call, record.address)
    method = dispatch(call)
    record.method = call.method
    return Admitted(call, record.caller, record.actor(record.caller), method)
