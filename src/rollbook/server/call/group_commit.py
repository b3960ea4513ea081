"""Group commit: calls of one account that wait at the same time share one transaction (docs/decisions/0013).

No call waits for one of another account, and none for long for one of its own.
"""

import asyncio
from collections.abc import Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context

from rollbook.server.call.execute import execute_together
from rollbook.server.call.preprocess import AuthenticatedCall, Preprocessor
from rollbook.store.database.database import Database
from rollbook.wire.answer import Answer

# 10 calls of 100 items are one statement (store/queue/accept).
MAX_GROUP = 10
# How long the next group of an account waits for the one before it.
SLOW_SECONDS = 0.05
# How long a group waits at most for calls that have arrived and are being parsed.
GATHER_SECONDS = 0.003

Waiting = tuple[AuthenticatedCall, Context, asyncio.Future[Answer | None]]


def can_share(call: AuthenticatedCall) -> bool:
    """Tell whether a call may share its transaction with others of its account."""
    asked = call.call.extensions
    alone = asked.dry_run or asked.idempotency_key is not None or asked.batch_id is not None
    return call.method.run_all is not None and call.caller.administers and not alone


class GroupCommit:
    """Executes the calls of a server process that can share transactions; used on the event loop's thread only."""

    def __init__(self, database: Database, preprocessor: Preprocessor, threads: ThreadPoolExecutor) -> None:
        self._database = database
        self._preprocessor = preprocessor
        self._threads = threads
        self._waiting: dict[Hashable, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def execute(self, call: AuthenticatedCall, context: Context) -> Answer | None:
        """Answer a call together with others; None when it has to be executed alone. Errors: those of `execute`."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        key = call.method.name, call.caller.account_id, call.caller.policies
        if key in self._waiting:
            self._waiting[key].append((call, context, future))
        else:
            self._waiting[key] = [(call, context, future)]
            self._begin(self._run_groups(key))
        return await future

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_groups(self, key: Hashable) -> None:
        while waiting := self._waiting[key]:
            await self._preprocessor.wait_until_idle(GATHER_SECONDS)
            group, self._waiting[key] = waiting[:MAX_GROUP], waiting[MAX_GROUP:]
            await asyncio.wait([self._begin(self._run_group(group))], timeout=SLOW_SECONDS)
        del self._waiting[key]

    async def _run_group(self, group: list[Waiting]) -> None:
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
