"""The order of a page request: HTTPS, form, session cookie, view, security headers, one line in the log."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import TypeVar
from urllib.parse import urlencode

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rollbook.actions.webhook_addresses import Networks, read_networks
from rollbook.console.csrf import check_form
from rollbook.console.forms import MAX_FORM_BYTES, ReadBody, read_form
from rollbook.console.notices import unseal
from rollbook.console.render import TEMPLATES
from rollbook.console.request import BASE, AttemptCounter, ConsoleRequest, Page, PageError, redirect
from rollbook.console.routes import HOME, LEARNER_PAGES, NOT_FOUND, PAGES, STATIC_PAGE
from rollbook.console.security import HEADERS, NO_REFERRER
from rollbook.console.session_cookie import COOKIE, LEARNER_COOKIE, PENDING_COOKIE, SIGN_IN_NOTICE, read_cookie
from rollbook.errors import CallError, DatabaseUnavailableError, RateLimitError, TransportError, UserError
from rollbook.model import MAX_ID, Limit, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.store.people.learner_sessions import find_session
from rollbook.store.people.login_sessions import Lifetime, LoginSession, find_login_session, keep_alive, take_notice

log = structlog.get_logger("rollbook.console")

T = TypeVar("T")

MAX_QUERY_BYTES = 16_384
# A form sent after the session has ended is offered again after signing in, unless it is larger than this.
MAX_KEPT_FORM = 4000
# The time limit of a POST, as a multiple of that of a GET: one transaction may change 100,000 items.
POST_FACTOR = 5
LATE = "The server could not answer in time. Try again in a moment."
LATE_POST = "The server could not confirm this change in time. Check whether it was made before you repeat it."
TOO_LARGE = "The form is larger than this page accepts, and was not read: {}. Send a large file in parts."


class _Id(Convertor[int]):
    """An id in a path. At most 19 digits: `int` raises an error for thousands of them."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("int", _Id())


@dataclass(frozen=True)
class Console:
    """What all pages share. `read_body` reads a request body within the server's limits; `slots` bounds the threads."""

    database: Database
    attempts: AttemptCounter
    webhook_addresses: Networks
    lifetime: Lifetime
    learner_lifetime: timedelta
    read_body: ReadBody
    max_upload_bytes: int
    page_seconds: float
    slots: asyncio.Semaphore


def page_routes(
    database: Database,
    attempts: AttemptCounter,
    read_body: ReadBody,
    webhook_addresses: str,
    *,
    console: bool,
    lifetime: Lifetime,
    learner_lifetime: timedelta,
    max_upload_bytes: int,
    page_seconds: float,
    pages_at_once: int,
    more_pages: Sequence[Page] = (),
) -> list[Route]:
    """Return the routes of the learner's page and, with `console`, of the console with `more_pages`, where `/` leads.

    At most `pages_at_once` requests run at the same time.
    """
    slots = asyncio.Semaphore(pages_at_once)
    allowed = read_networks(webhook_addresses)
    limits = (max_upload_bytes, page_seconds, slots)
    shared = Console(database, attempts, allowed, lifetime, learner_lifetime, read_body, *limits)
    pages = (*PAGES, *more_pages, NOT_FOUND) if console else (STATIC_PAGE,)
    learner_routes = [Route(page.path, _Endpoint(shared, page)) for page in LEARNER_PAGES]
    home = [Route("/", _Endpoint(shared, HOME))] if console else []
    return [*home, *(Route(BASE + page.path, _Endpoint(shared, page)) for page in pages), *learner_routes]


class _Endpoint:
    """One page, for every HTTP method."""

    def __init__(self, console: Console, page: Page) -> None:
        self._console = console
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http, started, request_id = Request(scope, receive), time.perf_counter(), token_hex(8)
        user, response = await self._respond(http, request_id)
        for name, value in (HEADERS | {"X-Request-ID": request_id}).items():
            response.headers.setdefault(name, value)
        log.info(
            "page",
            request_id=request_id,
            client=http.client.host if http.client else None,
            method=http.method,
            path=http.scope["path"],
            user=user,
            status=response.status_code,
            ms=round((time.perf_counter() - started) * 1000, 1),
        )
        await response(scope, receive, send)

    async def _respond(self, http: Request, request_id: str) -> tuple[str | None, Response]:
        """Return the signed-in user's e-mail and the response; every exception becomes an error page."""
        try:
            request, body = await self._receive(http, request_id)
            return await self._in_thread(http, self._answer, http, request, body)
        except PageError as error:
            response = self._error(error.status, error.sentence)
        except (CallError, ClientDisconnect):
            response = self._error(400, "The form did not arrive completely. Send it again.")
        except RateLimitError as error:
            response = self._error(429, f"Too many attempts. Try again in {error.retry_after} seconds.")
            response.headers["Retry-After"] = str(error.retry_after)
        except DatabaseUnavailableError:
            response = self._error(503, LATE_POST if http.method == "POST" else LATE)
        except TransportError as error:
            response = self._error(error.status, TOO_LARGE.format(error.detail) if error.status == 413 else LATE)
        except Exception:
            log.exception("page failed", request_id=request_id, path=http.scope["path"])
            response = self._error(
                500, f"An unexpected error occurred. The server's log has its details under {request_id}."
            )
        return None, response

    async def _in_thread(self, http: Request, work: Callable[..., T], *given: object) -> T:
        """Do the work of a request in a thread. Waiting for a free thread counts toward the time limit."""
        seconds = self._console.page_seconds * (POST_FACTOR if http.method == "POST" else 1)
        with deadline(seconds):
            try:
                await asyncio.wait_for(self._console.slots.acquire(), seconds)
            except TimeoutError:
                raise PageError(503, LATE) from None
            try:
                return await run_in_threadpool(work, *given)
            finally:
                self._console.slots.release()

    async def _receive(self, http: Request, request_id: str) -> tuple[ConsoleRequest, bytes]:
        if http.scope["scheme"] != "https":
            raise PageError(403, "This page is available over HTTPS only.")
        numbers = {name: value for name, value in http.path_params.items() if isinstance(value, int)}
        if any(number > MAX_ID for number in numbers.values()):
            raise PageError(404, "There is no such page.")
        if len(http.scope["query_string"]) > MAX_QUERY_BYTES:
            raise PageError(414, "The address is too long.")
        body = b""
        if http.method == "POST":
            check_form(http.headers)
            body = await self._console.read_body(http, await self._max_bytes(http))
        if any("\0" in name + value for name, value in http.query_params.multi_items()):
            raise PageError(400, "The address contains the character U+0000.")
        cookies = http.headers.get("cookie", "")
        request = ConsoleRequest(
            database=self._console.database,
            attempts=self._console.attempts,
            webhook_addresses=self._console.webhook_addresses,
            signed_in=None,
            token=read_cookie(cookies, LEARNER_COOKIE if self._page.learner else COOKIE),
            pending=read_cookie(cookies, PENDING_COOKIE),
            sign_in_notice=read_cookie(cookies, SIGN_IN_NOTICE),
            path=http.scope["path"],
            numbers=numbers,
            query=http.query_params,
            form=FormData(),
            address=http.client.host if http.client else None,
            request_id=request_id,
            origin=f"https://{http.headers.get('host', '')}",
            max_upload_bytes=self._console.max_upload_bytes,
        )
        return request, body

    async def _max_bytes(self, http: Request) -> int | None:
        """Return the size of the largest form: only signed-in users can send a file that is larger than a call."""
        if not self._page.takes_file:
            return MAX_FORM_BYTES
        token = read_cookie(http.headers.get("cookie", ""), COOKIE)
        return self._console.max_upload_bytes if await self._in_thread(http, self._find_session, token) else None

    def _answer(self, http: Request, request: ConsoleRequest, body: bytes) -> tuple[str | None, Response]:
        # HEAD must not use up the keys of an external authorization.
        head = None if self._page.learner else self._page.show
        view = {"GET": self._page.show, "HEAD": head, "POST": self._page.change}.get(http.method)
        if view is None:
            raise PageError(405, f"This page does not accept {http.method} requests.")
        if self._page.learner:
            request = self._with_learner(request)
        elif not self._page.public:
            request = self._with_session(request, http)
        if http.method == "POST":
            request = replace(request, form=self._read_form(http, request, body))
        if not self._page.public and request.signed_in is None:
            back = self._return_address(request, http.method)
            return None, redirect("/sign-in" + (f"?{urlencode({'next': back})}" if back else ""))
        if request.must_set_up and not self._page.setting_up:
            return None, redirect("/account/second-factor")
        user = request.signed_in.email if request.signed_in else None
        user = f"user {request.learner.user_id}" if request.learner else user
        try:
            return user, view(request)
        except PageError as error:
            return user, self._error(error.status, error.sentence, request)
        except UserError as error:
            return user, self._error(422, str(error), request)

    def _return_address(self, request: ConsoleRequest, method: str) -> str | None:
        """Return the address to go to after signing in; a form sent too late is kept in its query."""
        if method != "POST":
            return request.path + (f"?{request.query}" if request.query else "")
        if self._page.show is None:
            return None
        fields = urlencode([(name, value) for name, value in request.form.multi_items() if isinstance(value, str)])
        return f"{request.path}?{fields}" if 0 < len(fields) <= MAX_KEPT_FORM else request.path

    def _read_form(self, http: Request, request: ConsoleRequest, body: bytes) -> FormData:
        """Parse the form. A malformed one counts against the client's address, as a wrong key does."""
        if request.signed_in is None:
            request.attempts.check(Limit.WRONG_KEYS_PER_ADDRESS, request.address)
        try:
            return read_form(body, http.headers.get("content-type", ""), takes_file=self._page.takes_file)
        except PageError:
            request.attempts.count(Limit.WRONG_KEYS_PER_ADDRESS, request.address)
            raise

    def _with_session(self, request: ConsoleRequest, http: Request) -> ConsoleRequest:
        """Add the signed-in user. An automatic refresh neither extends the session nor takes its notice."""
        now, live = utc_now(), "rollbook-live" in http.headers
        found = self._find_session(request.token)
        if found is None:
            return request
        if found.stale and not live:
            with self._console.database.write() as connection:
                keep_alive(connection, request.token, now)
        request = replace(request, signed_in=found.caller, has_factor=found.has_factor)
        return request if live or http.method != "GET" else self._with_notice(request, found)

    def _find_session(self, token: str) -> LoginSession | None:
        with self._console.database.read() as connection:
            return find_login_session(connection, token, utc_now(), self._console.lifetime)

    def _with_learner(self, request: ConsoleRequest) -> ConsoleRequest:
        begun_after = utc_now() - self._console.learner_lifetime
        with self._console.database.read() as connection:
            return replace(request, learner=find_session(connection, request.token, begun_after))

    def _with_notice(self, request: ConsoleRequest, found: LoginSession) -> ConsoleRequest:
        """Add the notice that is kept for this page, and delete it from the session."""
        notice = unseal(found.notice, request.token) if found.notice else None
        if found.notice is None or notice is None or notice.path != request.path:
            return request
        with self._console.database.write() as connection:
            taken = take_notice(connection, request.token, found.notice)
        return replace(request, notice=notice) if taken else request

    def _error(self, status: int, sentence: str, request: ConsoleRequest | None = None) -> Response:
        template, headers = ("learn.html", NO_REFERRER) if self._page.learner else ("error.html", None)
        html = TEMPLATES.get_template(template).render(request=request, status=status, sentence=sentence)
        return Response(html, status, headers, "text/html")
