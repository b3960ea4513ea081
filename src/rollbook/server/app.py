"""The whole order of a call on one screen: routes, start and end of the server."""

from asyncio import get_running_loop
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Lifespan, Receive, Scope, Send

from rollbook.console.endpoint import console_routes
from rollbook.errors import NO_POST_DATA, CallError
from rollbook.model import Limit
from rollbook.server.call.body import Receiver
from rollbook.server.call.execute import perform
from rollbook.server.call.preprocess import Admission, Arrival
from rollbook.server.call.record import Record, Recorder
from rollbook.server.call.response import respond
from rollbook.server.operations.call_log import LastCalls
from rollbook.server.operations.metrics import call_metrics
from rollbook.server.operations.rate_limits import Throttle
from rollbook.settings import PAGES_AT_ONCE, Settings
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.wire.answer import Answer

PATHS = ("/apiv2/", "/apiv2")


class Api:
    """The one endpoint, for every HTTP method (protocol T1, T4)."""

    def __init__(
        self, database: Database, receiver: Receiver, throttle: Throttle, recorder: Recorder, settings: Settings
    ) -> None:
        # A thread without a connection would only wait for one, and admission needs one too.
        self._threads = ThreadPoolExecutor(settings.pool_size - 1, "call")
        self._admission = Admission(database, throttle)
        self._database = database
        self._throttle = throttle
        self._receiver = receiver
        self._recorder = recorder
        self._call_seconds = settings.call_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)

        async def work(record: Record) -> Answer:
            body = await self._receiver.receive(request)
            if not body:
                raise CallError(NO_POST_DATA, "the body is empty")
            self._throttle.check(Limit.WRONG_KEYS_PER_ADDRESS, record.address)
            with deadline(self._call_seconds):
                context = copy_context()
            admitted = await self._admission.admit(Arrival(body, request.headers, record, context))
            return await get_running_loop().run_in_executor(
                self._threads, context.run, perform, self._database, admitted
            )

        response = await respond(request, self._recorder, work)
        await response(scope, receive, send)


class Application(Starlette):
    """Leads calls to the one endpoint by the shortest way, and all else through the routes."""

    def __init__(self, api: Api, routes: list[Route], lifespan: Lifespan["Application"]) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Application:
    """Make the application of one server process."""
    # A statement that PostgreSQL itself ends in time leaves its connection to the next call.
    database = Database(settings.database, settings.server_connections, statement_seconds=settings.call_seconds * 0.75)
    receiver = Receiver(settings.max_body_bytes, settings.body_seconds)
    metrics = call_metrics()
    last_calls = LastCalls(database, metrics.count_dropped)
    throttle = Throttle(database, {limit: getattr(settings, limit) for limit in Limit})
    recorder = Recorder(metrics, last_calls if settings.calls_kept else None)
    api = Api(database, receiver, throttle, recorder, settings)

    @asynccontextmanager
    async def lifespan(_app: Application) -> AsyncIterator[None]:
        # Pages, and the parts of a download, run in these threads; the calls have others.
        current_default_thread_limiter().total_tokens = PAGES_AT_ONCE
        last_calls.start()
        yield
        last_calls.stop()
        database.close()

    routes: list[Route] = []
    if settings.console:
        routes += console_routes(
            database,
            throttle,
            receiver.receive,
            idle_minutes=settings.console_idle_minutes,
            sign_in_hours=settings.console_sign_in_hours,
            page_seconds=settings.call_seconds,
            pages_at_once=PAGES_AT_ONCE,
        )
    app = Application(api, routes, lifespan)
    app.state.receiver = receiver
    return app
