"""A request for a page as the views see it: user, form, query; and the redirect or the page that answers it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

import sqlalchemy as sa
from starlette.datastructures import FormData, QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rollbook.actions.webhook_addresses import Networks
from rollbook.console.notices import Notice, seal
from rollbook.console.render import TEMPLATES
from rollbook.errors import UserError
from rollbook.model import Actor, Caller, Limit, read_reason, utc_now
from rollbook.store.database.database import Database
from rollbook.store.people.learner_sessions import LearnerSession
from rollbook.store.people.login_sessions import keep_notice
from rollbook.store.people.search_text import fold_all_names
from rollbook.wire.dates import read_date

BASE = "/console"
MAX_SEARCH = 255


class PageError(Exception):
    """Answers a request with an error page."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class AttemptCounter(Protocol):
    """The server's rate limits: `check` raises RateLimitError after too many counted attempts."""

    def check(self, limit: Limit, subject: object) -> None: ...

    def count(self, limit: Limit, subject: object) -> None: ...


@dataclass(frozen=True)
class ConsoleRequest:
    """A request. `token` is the session cookie, `pending` that of a sign-in which waits for the second factor;
    `sign_in_notice` the cookie that the sign-in page shows once. `has_factor`: whether the user has a second factor.

    `learner` is who looks at the learner's page, `signed_in` the user of any other page. `origin` is the address of the
    server as the browser has it.
    """

    database: Database
    attempts: AttemptCounter
    webhook_addresses: Networks
    signed_in: Caller | None
    token: str
    pending: str
    sign_in_notice: str
    path: str
    numbers: Mapping[str, int]
    query: QueryParams
    form: FormData
    address: str | None
    request_id: str
    origin: str
    max_upload_bytes: int
    notice: Notice | None = None
    learner: LearnerSession | None = None
    has_factor: bool = False

    @property
    def must_set_up(self) -> bool:
        """Whether the account demands a second factor that the user has not set up yet: no other page opens."""
        signed_in = self.signed_in
        return signed_in is not None and signed_in.policies.require_second_factor and not self.has_factor

    @property
    def caller(self) -> Caller:
        """The signed-in user; always set on pages that are not public."""
        if self.signed_in is None:
            raise PageError(403, "Sign in first.")
        return self.signed_in

    @property
    def actor(self) -> Actor:
        """The signed-in user and the client's address, for the audit."""
        caller = self.caller
        return Actor(caller.email or f"user {caller.user_id}", caller.user_id, self.address, self.request_id)

    def notify(self, connection: sa.Connection, path: str, sentence: str, of: str = "", secret: str = "") -> None:
        """Let the page at `path` show a sentence once, with a new `secret` under the heading `of`, if any."""
        keep_notice(connection, self.token, seal(Notice(BASE + path, sentence, of, secret), self.token))

    def require_owner(self) -> None:
        """Raise PageError 403 unless the user is an owner."""
        if self.caller.role != "owner":
            raise PageError(403, "Only owners of the account may do this.")

    def text(self, name: str) -> str:
        """Return a stripped field of the form or, without a form, of the query; empty when absent."""
        value = (self.form or self.query).get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def search(self, name: str) -> str:
        """Return the text of a search; errors: UserError when it is too long, because a part of it would match more."""
        text = self.text(name)
        if len(text) > MAX_SEARCH:
            raise UserError(f"A search has at most {MAX_SEARCH} characters, not {len(text):,}.")
        return text

    def search_people(self, name: str) -> str:
        """Return a search for people, whose searched texts are then up to date; before the reads of the page begin."""
        text = self.search(name)
        if text:
            fold_all_names(self.database)
        return text

    def ids(self, name: str) -> list[int]:
        """Return the values of a field as ids; errors: UserError, since leaving one out could widen a selection."""
        return [_read_number(str(value)) for value in (self.form or self.query).getlist(name)]

    def reason(self) -> str | None:
        """Return the field `reason`, None when it is empty; errors: UserError."""
        try:
            return read_reason(self.text("reason"))
        except ValueError as error:
            raise UserError(f"The reason cannot be kept: {error}.") from None

    def number(self, name: str) -> int | None:
        """Return a field as a whole number, None when it is empty; errors: UserError."""
        text = self.text(name)
        return _read_number(text) if text else None

    def sort(self, columns: Collection[str], default: str) -> tuple[str, bool]:
        """Return the column by which a list is sorted, and whether it descends; errors: UserError."""
        given = self.text("sort") or default
        name = given.removeprefix("-")
        if name not in columns:
            raise UserError(f"“{name[:20]}” is no column by which this list is sorted.")
        return name, given.startswith("-")

    def day(self, name: str) -> datetime | None:
        """Return the first moment of the day of a field; errors: UserError."""
        text = self.text(name)
        try:
            return datetime.combine(read_date(text), time.min, UTC) if text else None
        except ValueError:
            raise UserError(f"“{text[:20]}” is not a day like 2026-01-31.") from None

    def days(self) -> tuple[datetime | None, datetime | None]:
        """Return the first moment of the day `from`, and that after the day `to`; errors: UserError.

        Nothing comes after the last day of the calendar.
        """
        first, last = (self.day(name) for name in ("from", "to"))
        if first and last and first > last:
            raise UserError("The first day is after the last one.")
        return first, last + timedelta(days=1) if last and last.date() < date.max else None

    def page(self) -> int:
        """Return the number of the list page, from 1."""
        return max(1, min(self.number("page") or 1, 100_000))

    def render(self, template: str, *, code: int = 200, **context: object) -> Response:
        """Render a page."""
        html = TEMPLATES.get_template(template).render(request=self, now=utc_now(), **context)
        return HTMLResponse(html, code)


def redirect(path: str) -> Response:
    """Redirect after a change, so that reloading the page does not repeat the change."""
    return RedirectResponse(f"{BASE}{path}", 303)


def say(error: UserError) -> str:
    """Return the sentence of a mistake without the command that it recommends: the page itself does the same."""
    return str(error).split(" See: ", maxsplit=1)[0]


def change(
    request: ConsoleRequest,
    path: str,
    work: Callable[[sa.Connection], object],
    show: Callable[[ConsoleRequest, str], Response],
) -> Response:
    """Do the work in a transaction and redirect to a path, or `show` the page with what was wrong."""
    try:
        request.database.transact(work)
    except UserError as error:
        return show(request, say(error))
    return redirect(path)


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UserError(f"“{text[:20]}” is not a number.")
    return int(text)


View = Callable[[ConsoleRequest], Response]


@dataclass(frozen=True)
class Page:
    """A page: its view for GET, its view for POST. A public one needs no session.

    With `takes_file` it accepts multipart forms, and forms larger than 64 KiB. A page for the `learner` lies outside
    the console, and has a session of its own. One for `setting_up` also opens to users who must set up a second factor.
    """

    path: str
    show: View | None = None
    change: View | None = None
    public: bool = False
    takes_file: bool = False
    learner: bool = False
    setting_up: bool = False
