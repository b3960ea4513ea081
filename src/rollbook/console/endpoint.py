"""The way of a request on one screen: HTTPS, the form, the cookie and who that is, the page, its headers."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from urllib.parse import urlencode

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rollbook.console.forms import FORM_BYTES, ReadBody, read_form
from rollbook.console.notices import unseal
from rollbook.console.render import TEMPLATES
from rollbook.console.request import BASE, AttemptCounter, ConsoleRequest, Page, PageError, redirect
from rollbook.console.routes import LOST, PAGES
from rollbook.console.security import COOKIE, HEADERS, TOLD, check_form, read_cookie
from rollbook.errors import CallError, DatabaseUnavailableError, RateLimitError, TransportError, UserError
from rollbook.model import MAX_ID, Limit, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.deadline import deadline
from rollbook.store.people.login_sessions import Lifetime, LoginSession, find_login_session, keep_alive, take_notice

# A form that came too late goes along to the sign-in and back, unless it is larger; then only its page does.
MAX_QUERY = 4000

log = structlog.get_logger("rollbook.console")

# A change of many items is several transactions, so it may take longer than a page that only reads, by so much.
CHANGE_TIMES = 5
QUERY_BYTES = 16_384
LATE = "The server could not answer in time. Try again in a moment."
LATE_CHANGE = "The server could not finish this in time. Part of it may be done: look before you repeat it."

TOO_LARGE = "The form is larger than this page takes."


class _Id(Convertor[int]):
    """A number in a path: as many digits as an id can have, and not the thousands that `int` refuses to read."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("int", _Id())


@dataclass(frozen=True)
class Console:
    """What all pages share; `read_body` is the server's, with its limits, and `turns` the threads of the pages."""

    database: Database
    attempts: AttemptCounter
    lifetime: Lifetime
    read_body: ReadBody
    page_seconds: float
    turns: asyncio.Semaphore


def console_routes(
    database: Database,
    attempts: AttemptCounter,
    read_body: ReadBody,
    *,
    idle_minutes: int,
    sign_in_hours: int,
    page_seconds: float,
    pages_at_once: int,
) -> list[Route]:
    """Give the routes of all pages, of which so many at once are worked on."""
    lifetime = Lifetime(timedelta(minutes=idle_minutes), timedelta(hours=sign_in_hours))
    console = Console(database, attempts, lifetime, read_body, page_seconds, asyncio.Semaphore(pages_at_once))
    pages = [Route(BASE + page.path, _Endpoint(console, page)) for page in PAGES]
    return [*pages, Route(BASE + "{rest:path}", _Endpoint(console, LOST))]


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
        """Give the answer, whatever goes wrong, and who got it."""
        try:
            request, body = await self._receive(http, request_id)
            return await self._work(http, request, body)
        except PageError as error:
            response = _error(error.status, error.sentence)
        except (CallError, ClientDisconnect):
            response = _error(400, "The form did not arrive, or came with nothing in it.")
        except RateLimitError as error:
            response = _error(429, f"Too many attempts. Try again in {error.retry_after} seconds.")
            response.headers["Retry-After"] = str(error.retry_after)
        except DatabaseUnavailableError:
            response = _error(503, LATE_CHANGE if http.method == "POST" else LATE)
        except TransportError as error:
            response = _error(error.status, TOO_LARGE if error.status == 413 else LATE)
        except Exception:
            log.exception("page failed", request_id=request_id, path=http.scope["path"])
            response = _error(500, f"Something unforeseen happened. The server's log has it under {request_id}.")
        return None, response

    async def _work(self, http: Request, request: ConsoleRequest, body: bytes) -> tuple[str | None, Response]:
        """Answer in one of the threads that pages have; waiting for it is part of what a page may take."""
        seconds = self._console.page_seconds * (CHANGE_TIMES if http.method == "POST" else 1)
        with deadline(seconds):
            try:
                await asyncio.wait_for(self._console.turns.acquire(), seconds)
            except TimeoutError:
                raise PageError(503, LATE) from None
            try:
                return await run_in_threadpool(self._answer, http, request, body)
            finally:
                self._console.turns.release()

    async def _receive(self, http: Request, request_id: str) -> tuple[ConsoleRequest, bytes]:
        if http.scope["scheme"] != "https":
            raise PageError(403, "The console is there over HTTPS only.")
        numbers = {name: value for name, value in http.path_params.items() if isinstance(value, int)}
        if any(number > MAX_ID for number in numbers.values()):
            raise PageError(404, "There is no such page.")
        if len(http.scope["query_string"]) > QUERY_BYTES:
            raise PageError(414, "The address is too long.")
        body = b""
        if http.method == "POST":
            check_form(http.headers)
            body = await self._console.read_body(http, None if self._page.takes_file else FORM_BYTES)
        if any("\0" in name + value for name, value in http.query_params.multi_items()):
            raise PageError(400, "The address holds a character with the number 0.")
        cookies = http.headers.get("cookie", "")
        request = ConsoleRequest(
            database=self._console.database,
            attempts=self._console.attempts,
            signed_in=None,
            token=read_cookie(cookies, COOKIE),
            told=read_cookie(cookies, TOLD),
            path=http.scope["path"],
            numbers=numbers,
            query=http.query_params,
            form=FormData(),
            address=http.client.host if http.client else None,
            request_id=request_id,
        )
        return request, body

    def _answer(self, http: Request, request: ConsoleRequest, body: bytes) -> tuple[str | None, Response]:
        view = {"GET": self._page.show, "HEAD": self._page.show, "POST": self._page.change}.get(http.method)
        if view is None:
            raise PageError(405, "This page has nothing to do that way.")
        if not self._page.public:
            request = self._sign_in_of(request, http)
        if http.method == "POST":
            request = replace(request, form=self._read_form(http, request, body))
        if not self._page.public and request.signed_in is None:
            back = self._way_back(request, http.method)
            return None, redirect("/sign-in" + (f"?{urlencode({'next': back})}" if back else ""))
        user = request.signed_in.email if request.signed_in else None
        try:
            return user, view(request)
        except PageError as error:
            return user, _error(error.status, error.sentence, request)
        except UserError as error:
            return user, _error(422, str(error), request)

    def _way_back(self, request: ConsoleRequest, method: str) -> str | None:
        """Where to go on after signing in: of a form that came too late, the page that shows it, with what it held."""
        if method != "POST":
            return request.path + (f"?{request.query}" if request.query else "")
        if self._page.show is None:
            return None
        given = urlencode([(name, value) for name, value in request.form.multi_items() if isinstance(value, str)])
        return f"{request.path}?{given}" if 0 < len(given) <= MAX_QUERY else request.path

    def _read_form(self, http: Request, request: ConsoleRequest, body: bytes) -> FormData:
        """Read the form; one that cannot be read counts against its address, as a wrong key does."""
        if request.signed_in is None:
            request.attempts.check(Limit.WRONG_KEYS_PER_ADDRESS, request.address)
        try:
            return read_form(body, http.headers.get("content-type", ""), takes_file=self._page.takes_file)
        except PageError:
            request.attempts.count(Limit.WRONG_KEYS_PER_ADDRESS, request.address)
            raise

    def _sign_in_of(self, request: ConsoleRequest, http: Request) -> ConsoleRequest:
        """Find who is signed in; a page that refreshes by itself neither keeps the sign-in nor takes its notice."""
        now, live = utc_now(), "rollbook-live" in http.headers
        with self._console.database.read() as connection:
            found = find_login_session(connection, request.token, now, self._console.lifetime)
        if found is None:
            return request
        if found.stale and not live:
            with self._console.database.write() as connection:
                keep_alive(connection, request.token, now)
        request = replace(request, signed_in=found.caller)
        return request if live or http.method != "GET" else self._with_notice(request, found)

    def _with_notice(self, request: ConsoleRequest, found: LoginSession) -> ConsoleRequest:
        """Take what this very page has to say once."""
        notice = unseal(found.notice, request.token) if found.notice else None
        if found.notice is None or notice is None or notice.path != request.path:
            return request
        with self._console.database.write() as connection:
            taken = take_notice(connection, request.token, found.notice)
        return replace(request, notice=notice) if taken else request


def _error(status: int, sentence: str, request: ConsoleRequest | None = None) -> Response:
    html = TEMPLATES.get_template("error.html").render(request=request, status=status, sentence=sentence)
    return Response(html, status, media_type="text/html")
