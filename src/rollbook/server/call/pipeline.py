"""The order of a call on one screen: receive the body, preprocess, execute, respond."""

from asyncio import get_running_loop
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from rollbook.errors import NO_POST_DATA, CallError
from rollbook.model import Limit
from rollbook.server.call.body import Receiver
from rollbook.server.call.execute import execute
from rollbook.server.call.group_commit import GroupCommit, can_share
from rollbook.server.call.preprocess import Preprocessor, RawRequest
from rollbook.server.call.record import Record, Recorder
from rollbook.server.call.response import respond
from rollbook.server.operations.rate_limits import RateLimits
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.wire.answer import Answer


class Pipeline:
    """The API's one endpoint as an ASGI application, for every HTTP method (protocol T1, T4)."""

    def __init__(
        self,
        database: Database,
        receiver: Receiver,
        rate_limits: RateLimits,
        recorder: Recorder,
        *,
        threads: int,
        call_seconds: float,
        public_url: str,
    ) -> None:
        self._database = database
        self._receiver = receiver
        self._rate_limits = rate_limits
        self._recorder = recorder
        self._call_seconds = call_seconds
        self._public_url = public_url
        self._preprocessor = Preprocessor(database, rate_limits)
        self._threads = ThreadPoolExecutor(threads, "call")
        self._group_commit = GroupCommit(database, self._preprocessor, self._threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)

        async def make_answer(record: Record) -> Answer:
            body = await self._receiver.receive(request)
            if not body:
                raise CallError(NO_POST_DATA, "the body is empty")
            self._rate_limits.check(Limit.WRONG_KEYS_PER_ADDRESS, record.address)
            with deadline(self._call_seconds):
                context = copy_context()
            call = await self._preprocessor.preprocess(RawRequest(body, request.headers, record, context))
            if can_share(call) and (answer := await self._group_commit.execute(call, context)) is not None:
                return answer
            return await get_running_loop().run_in_executor(
                self._threads, context.run, execute, self._database, call, self._public_url
            )

        response = await respond(request, self._recorder, make_answer)
        await response(scope, receive, send)
