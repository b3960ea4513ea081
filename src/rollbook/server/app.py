"""The application of one server process: routes, start and end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Lifespan, Receive, Scope, Send

from rollbook.console.endpoint import page_routes
from rollbook.console.request import Page
from rollbook.model import Limit
from rollbook.server.call.body import Receiver
from rollbook.server.call.pipeline import Pipeline
from rollbook.server.call.record import Recorder
from rollbook.server.operations.call_log import CallLog
from rollbook.server.operations.metrics import call_metrics
from rollbook.server.operations.rate_limits import RateLimits
from rollbook.settings import PAGES_AT_ONCE, Settings
from rollbook.store.database.database import Database
from rollbook.store.people.login_sessions import Lifetime

PATHS = ("/apiv2/", "/apiv2")


class Application(Starlette):
    """Hands calls directly to the pipeline, and all other requests to the routes."""

    def __init__(self, pipeline: Pipeline, routes: list[Route], lifespan: Lifespan["Application"]) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self._pipeline = pipeline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._pipeline(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, more_pages: Sequence[Page] = ()) -> Application:
    """Create the application of one server process; `more_pages` are further pages of the console."""
    # PostgreSQL cancels a statement before the call's deadline: the connection stays usable for the next call.
    database = Database(settings.database, settings.server_connections, statement_seconds=settings.call_seconds * 0.75)
    receiver = Receiver(settings.max_body_bytes, settings.body_seconds)
    metrics = call_metrics()
    call_log = CallLog(database, metrics.count_dropped, keeps_calls=bool(settings.calls_kept))
    rate_limits = RateLimits(database, {limit: getattr(settings, limit) for limit in Limit})
    recorder = Recorder(metrics, call_log)
    # One thread a connection, less the connection that preprocessing uses.
    threads = settings.pool_size - 1
    pipeline = Pipeline(
        database,
        receiver,
        rate_limits,
        recorder,
        threads=threads,
        call_seconds=settings.call_seconds,
        public_url=settings.public_url,
    )

    @asynccontextmanager
    async def lifespan(_app: Application) -> AsyncIterator[None]:
        # Pages and the chunks of downloads run in these threads; calls have their own.
        current_default_thread_limiter().total_tokens = PAGES_AT_ONCE
        call_log.start()
        yield
        call_log.stop()
        database.close()

    routes = page_routes(
        database,
        rate_limits,
        receiver.receive,
        settings.webhook_addresses,
        console=settings.console,
        lifetime=Lifetime(
            timedelta(minutes=settings.console_idle_minutes), timedelta(hours=settings.console_sign_in_hours)
        ),
        learner_lifetime=timedelta(hours=settings.learner_sign_in_hours),
        max_upload_bytes=settings.max_upload_bytes,
        page_seconds=settings.call_seconds,
        pages_at_once=PAGES_AT_ONCE,
        more_pages=more_pages,
    )
    app = Application(pipeline, routes, lifespan)
    app.state.receiver = receiver
    return app
