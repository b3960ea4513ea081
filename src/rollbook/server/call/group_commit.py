"""Group commit: calls of one account that wait at the same time share one transaction (docs/decisions/0013).

No call waits for one of another account, and none for long for one of its own.
"""

import asyncio
from collections.abc import Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

from rollbook.server.call.execute import execute_together
from rollbook.server.call.preprocess import AuthenticatedCall, Preprocessor
from rollbook.store.database.database import Database
from rollbook.wire.answer import Answer

# 10 calls of 100 items are one statement (store/queue/accept).
MAX_GROUP = 10
# How long the next group of an account waits for the one before it.
SLOW_SECONDS = 0.05
# How long a group waits for as many calls as were waiting or executed before: their callers send the next ones.
GATHER_SECONDS = 0.01

WaitingCall = tuple[AuthenticatedCall, Context, asyncio.Future[Answer | None]]


def can_share(call: AuthenticatedCall) -> bool:
    """Tell whether a call may share its transaction with others of its account."""
    asked = call.call.extensions
    alone = asked.dry_run or asked.idempotency_key is not None or asked.batch_id is not None
    return call.method.run_all is not None and call.caller.administers and not alone


@dataclass
class WaitingCalls:
    """The waiting calls of one account, and how many are expected."""

    calls: list[WaitingCall] = field(default_factory=list)
    expected: int = 1
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, call: WaitingCall) -> None:
        """Add a call, and begin the next group if it is complete."""
        self.calls.append(call)
        if len(self.calls) >= self.expected:
            self.complete.set()

    def take(self) -> list[WaitingCall]:
        """Remove the calls of the next group."""
        group, self.calls = self.calls[:MAX_GROUP], self.calls[MAX_GROUP:]
        return group

    def expect(self, number: int) -> None:
        """Expect so many calls in the next group."""
        self.expected = min(number, MAX_GROUP)
        if len(self.calls) < self.expected:
            self.complete.clear()


class GroupCommit:
    """Executes the calls of a server process that can share transactions; used on the event loop's thread only."""

    def __init__(self, database: Database, preprocessor: Preprocessor, threads: ThreadPoolExecutor) -> None:
        self._database = database
        self._preprocessor = preprocessor
        self._threads = threads
        self._waiting: dict[Hashable, WaitingCalls] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def execute(self, call: AuthenticatedCall, context: Context) -> Answer | None:
        """Answer a call together with others; None when it has to be executed alone. Errors: those of `execute`."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        key = call.method.name, call.caller.account_id, call.caller.policies
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = WaitingCalls()
            self._begin(self._run_groups(key, waiting))
        waiting.add((call, context, future))
        return await future

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_groups(self, key: Hashable, waiting: WaitingCalls) -> None:
        while group := await self._gather(waiting):
            await asyncio.wait([self._begin(self._run_group(group))], timeout=SLOW_SECONDS)
            waiting.expect(len(group) + len(waiting.calls))
        del self._waiting[key]

    async def _gather(self, waiting: WaitingCalls) -> list[WaitingCall]:
        """Return the next group, which is empty if no call comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await waiting.complete.wait()
                await self._preprocessor.wait_until_idle()
        return waiting.take()

    async def _run_group(self, group: list[WaitingCall]) -> None:
        loop, calls = asyncio.get_running_loop(), [(call, context) for call, context, _ in group]
        outcomes: list[Answer | Exception | None]
        try:
            outcomes = await loop.run_in_executor(self._threads, execute_together, self._database, calls)
        except Exception as error:  # no thread or no memory
            outcomes = [error for _ in group]
        for (_, _, future), outcome in zip(group, outcomes, strict=True):
            if future.cancelled():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
