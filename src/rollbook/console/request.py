"""One request of a page: who asks, from where, with what; and how it is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from starlette.datastructures import FormData, QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rollbook.console.notices import Notice, seal
from rollbook.console.render import TEMPLATES
from rollbook.errors import UserError
from rollbook.model import Actor, Caller, Change, Limit, read_reason, utc_now
from rollbook.store.database.database import Database
from rollbook.store.operations.audit import record_change
from rollbook.store.people.login_sessions import keep_notice

BASE = "/console"


class PageError(Exception):
    """Ends a request with a page that says what is wrong."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class AttemptCounter(Protocol):
    """The server's: counts attempts and refuses, by RateLimitError, who has made too many."""

    def check(self, limit: Limit, subject: object) -> None: ...

    def count(self, limit: Limit, subject: object) -> None: ...


@dataclass(frozen=True)
class ConsoleRequest:
    """What a page is made from; `token` is the cookie of a sign-in, `told` what another one says to a stranger."""

    database: Database
    attempts: AttemptCounter
    signed_in: Caller | None
    token: str
    told: str
    path: str
    numbers: Mapping[str, int]
    query: QueryParams
    form: FormData
    address: str | None
    request_id: str
    notice: Notice | None = None

    @property
    def caller(self) -> Caller:
        """Who is signed in; pages that are not public have somebody."""
        if self.signed_in is None:
            raise PageError(403, "Nobody is signed in.")
        return self.signed_in

    @property
    def actor(self) -> Actor:
        """Who is signed in, and from where, for the audit."""
        caller = self.caller
        return Actor(caller.email or f"user {caller.user_id}", caller.user_id, self.address, self.request_id)

    def record(self, connection: sa.Connection, change: Change) -> None:
        """Put a change into the audit, in the transaction that makes it."""
        record_change(connection, self.caller.account_id, self.actor, change)

    def tell(self, connection: sa.Connection, path: str, sentence: str, of: str = "", secret: str = "") -> None:
        """Let the page at the path say something, once; `secret` is a new one that it shows under the heading `of`."""
        keep_notice(connection, self.token, seal(Notice(BASE + path, sentence, of, secret), self.token))

    def require_owner(self) -> None:
        """End the request unless the one who is signed in is an owner."""
        if self.caller.role != "owner":
            raise PageError(403, "This is for owners of the account.")

    def text(self, name: str) -> str:
        """A field of the form, or of the query when nothing is sent, without the white space around it."""
        value = (self.form or self.query).get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def ids(self, name: str) -> list[int]:
        """Every value of a field that is an id; what is none is left out."""
        texts = [str(value) for value in (self.form or self.query).getlist(name)]
        return [int(text) for text in texts if _is_id(text)]

    def reason(self) -> str | None:
        """The field `reason`: one line, or none. Errors: UserError."""
        try:
            return read_reason(self.text("reason"))
        except ValueError as error:
            raise UserError(f"The reason cannot be kept: {error}.") from None

    def number(self, name: str) -> int | None:
        """A field that is a whole number; what is none counts as not given."""
        text = self.text(name)
        return int(text) if _is_id(text) else None

    def page(self) -> int:
        """Which page of a list is asked for, from 1."""
        return max(1, min(self.number("page") or 1, 100_000))

    def render(self, template: str, *, code: int = 200, **context: object) -> Response:
        """Make the page."""
        html = TEMPLATES.get_template(template).render(request=self, now=utc_now(), **context)
        return HTMLResponse(html, code)


def redirect(path: str) -> Response:
    """Lead on to another page after a change, so that going back or reloading repeats nothing."""
    return RedirectResponse(f"{BASE}{path}", 303)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


View = Callable[[ConsoleRequest], Response]


@dataclass(frozen=True)
class Page:
    """A page: what it shows (GET) and what it does (POST); a public one is there for those not signed in.

    Only one that takes a file takes a form of more than 64 KiB, or one of several parts.
    """

    path: str
    show: View | None = None
    change: View | None = None
    public: bool = False
    takes_file: bool = False
