"""The way of a visit on one screen: HTTPS, the form, the cookie and who that is, the page, its headers."""

import re
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from urllib.parse import urlencode

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rollbook.console.forms import ReadBody, read_form
from rollbook.console.guard import COOKIE, HEADERS, TOLD, check_form
from rollbook.console.notices import unseal
from rollbook.console.pages import LOST, PAGES
from rollbook.console.rendering import TEMPLATES
from rollbook.console.visit import BASE, Page, PageError, Throttle, Visit, redirect
from rollbook.errors import CallError, ThrottledError, TransportError, UserError
from rollbook.model import LARGEST_ID, utc_now
from rollbook.store.deadline import deadline
from rollbook.store.engine import Database
from rollbook.store.sign_ins import Lifetime, SignIn, find_sign_in, keep_alive, take_notice

# A form that came too late goes along to the sign-in and back, unless it is larger; then only its page does.
LONGEST_QUERY = 4000

log = structlog.get_logger("rollbook.console")


@dataclass(frozen=True)
class Console:
    """What all pages share; `read_body` is the server's, with its limits."""

    database: Database
    throttle: Throttle
    lifetime: Lifetime
    read_body: ReadBody
    page_seconds: float


def console_routes(
    database: Database,
    throttle: Throttle,
    read_body: ReadBody,
    *,
    idle_minutes: int,
    sign_in_hours: int,
    page_seconds: float,
) -> list[Route]:
    """Give the routes of all pages."""
    lifetime = Lifetime(timedelta(minutes=idle_minutes), timedelta(hours=sign_in_hours))
    console = Console(database, throttle, lifetime, read_body, page_seconds)
    pages = [Route(BASE + page.path, _Endpoint(console, page)) for page in PAGES]
    return [*pages, Route(BASE + "{rest:path}", _Endpoint(console, LOST))]


class _Endpoint:
    """One page, for every HTTP method."""

    def __init__(self, console: Console, page: Page) -> None:
        self._console = console
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, started, request_id = Request(scope, receive), time.perf_counter(), token_hex(8)
        user, response = await self._respond(request, request_id)
        for name, value in (HEADERS | {"X-Request-ID": request_id}).items():
            response.headers.setdefault(name, value)
        log.info(
            "page",
            request_id=request_id,
            client=request.client.host if request.client else None,
            method=request.method,
            path=request.url.path,
            user=user,
            status=response.status_code,
            ms=round((time.perf_counter() - started) * 1000, 1),
        )
        await response(scope, receive, send)

    async def _respond(self, request: Request, request_id: str) -> tuple[str | None, Response]:
        """Give the answer, whatever goes wrong, and who got it."""
        try:
            visit = await self._receive(request, request_id)
            if request.method == "POST":
                return await run_in_threadpool(self._answer, request, visit)
            with deadline(self._console.page_seconds):
                return await run_in_threadpool(self._answer, request, visit)
        except PageError as error:
            response = _error(error.status, error.sentence)
        except (CallError, ClientDisconnect):
            response = _error(400, "The form did not arrive, or came with nothing in it.")
        except ThrottledError as error:
            response = _error(429, f"Too many attempts. Try again in {error.retry_after} seconds.")
            response.headers["Retry-After"] = str(error.retry_after)
        except TransportError as error:
            response = _error(error.status, "The server cannot take this in now. Try again in a moment.")
        except Exception:
            log.exception("page failed", request_id=request_id, path=request.url.path)
            response = _error(500, f"Something unforeseen happened. The server's log has it under {request_id}.")
        return None, response

    async def _receive(self, request: Request, request_id: str) -> Visit:
        if request.url.scheme != "https":
            raise PageError(403, "The console is there over HTTPS only.")
        numbers = {name: value for name, value in request.path_params.items() if isinstance(value, int)}
        if any(number > LARGEST_ID for number in numbers.values()):
            raise PageError(404, "There is no such page.")
        if request.method == "POST":
            check_form(request.headers)
        form = await read_form(request, self._console.read_body) if request.method == "POST" else FormData()
        return Visit(
            database=self._console.database,
            throttle=self._console.throttle,
            signed_in=None,
            token=_token(request),
            told=request.cookies.get(TOLD, ""),
            path=request.url.path,
            numbers=numbers,
            query=request.query_params,
            form=form,
            address=request.client.host if request.client else None,
            request_id=request_id,
        )

    def _answer(self, request: Request, visit: Visit) -> tuple[str | None, Response]:
        view = {"GET": self._page.show, "HEAD": self._page.show, "POST": self._page.change}.get(request.method)
        if view is None:
            raise PageError(405, "This page has nothing to do that way.")
        if not self._page.public:
            visit = self._sign_in_of(visit, request)
            if visit.signed_in is None:
                back = self._way_back(visit, request.method)
                return None, redirect("/sign-in" + (f"?{urlencode({'next': back})}" if back else ""))
        user = visit.signed_in.email if visit.signed_in else None
        try:
            return user, view(visit)
        except PageError as error:
            return user, _error(error.status, error.sentence, visit)
        except UserError as error:
            return user, _error(422, str(error), visit)

    def _way_back(self, visit: Visit, method: str) -> str | None:
        """Where to go on after signing in: of a form that came too late, the page that shows it, with what it held."""
        if method != "POST":
            return visit.path + (f"?{visit.query}" if visit.query else "")
        if self._page.show is None:
            return None
        given = urlencode([(name, value) for name, value in visit.form.multi_items() if isinstance(value, str)])
        return f"{visit.path}?{given}" if 0 < len(given) <= LONGEST_QUERY else visit.path

    def _sign_in_of(self, visit: Visit, request: Request) -> Visit:
        """Find who is signed in; a page that refreshes by itself neither keeps the sign-in nor takes its notice."""
        now, live = utc_now(), "rollbook-live" in request.headers
        with self._console.database.read() as connection:
            found = find_sign_in(connection, visit.token, now, self._console.lifetime)
        if found is None:
            return visit
        if found.stale and not live:
            with self._console.database.write() as connection:
                keep_alive(connection, visit.token, now)
        visit = replace(visit, signed_in=found.caller)
        return visit if live or request.method != "GET" else self._with_notice(visit, found)

    def _with_notice(self, visit: Visit, found: SignIn) -> Visit:
        """Take what this very page has to say once."""
        notice = unseal(found.notice, visit.token) if found.notice else None
        if found.notice is None or notice is None or notice.path != visit.path:
            return visit
        with self._console.database.write() as connection:
            taken = take_notice(connection, visit.token, found.notice)
        return replace(visit, notice=notice) if taken else visit


def _token(request: Request) -> str:
    """The token of the cookie; empty for what no page of ours has made."""
    given = request.cookies.get(COOKIE, "")
    return given if re.fullmatch(r"[\w-]{43}", given, re.ASCII) else ""


def _error(status: int, sentence: str, visit: Visit | None = None) -> Response:
    html = TEMPLATES.get_template("error.html").render(visit=visit, status=status, sentence=sentence)
    return Response(html, status, media_type="text/html")
