"""A client of the console without scripts: it follows links and submits the forms of pages."""

import re
from collections.abc import Mapping

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from lxml import html

from campus import OPERATOR, Campus
from rollbook.sandbox.pytest_plugin import Sandbox
from rollbook.store.database.tables import users
from rollbook.store.people.passwords import set_password
from server_process import ServerProcess

PASSWORD = "correct horse battery"
COOKIE = "__Host-rollbook"
# Verified as any other hash, in less than a millisecond.
QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

Fields = Mapping[str, object]


class Visitor:
    """A browser: its cookies and its current page."""

    def __init__(self, server: ServerProcess | Sandbox, client: httpx.Client, address: str = "127.0.0.1") -> None:
        self.address = address
        self.origin = server.url.removesuffix("/apiv2/")
        self.client = client
        self.answer: httpx.Response = httpx.Response(204)

    def open(self, path: str, **query: object) -> httpx.Response:
        """Open a page, without following redirects."""
        asked = {name: value for name, value in query.items() if value is not None}
        self.answer = self.client.get(f"{self.origin}{path}", params=asked or None)  # type: ignore[arg-type]
        return self.answer

    def post(self, path: str, fields: Fields, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a form; by default with the headers of a browser on a console page."""
        said = self.said() if headers is None else headers
        self.answer = self.client.post(f"{self.origin}{path}", data=dict(fields), headers=said)
        return self.answer

    def submit(self, action: str, **fields: object) -> httpx.Response:
        """Fill in and send the page's first form with this action, and follow the redirect."""
        return self._submit(action, 0, fields)

    def submit_last(self, action: str, **fields: object) -> httpx.Response:
        """Fill in and send the page's last form with this action, and follow the redirect."""
        return self._submit(action, -1, fields)

    def _submit(self, action: str, place: int, fields: Fields) -> httpx.Response:
        form = [form for form in self.page().forms if form.action == action and form.method == "POST"][place]
        sent: dict[str, object] = {}
        for name, value in form.form_values():
            sent.setdefault(name, []).append(value)  # type: ignore[attr-defined]
        self.post(action, sent | dict(fields))
        return self.follow()

    def follow(self) -> httpx.Response:
        """Follow the redirect, if any."""
        return self.open(self.answer.headers["Location"]) if self.answer.is_redirect else self.answer

    def page(self) -> html.HtmlElement:
        """Return the page as a tree."""
        return html.document_fromstring(self.answer.text)

    def text(self) -> str:
        """Return the text of the page."""
        return re.sub(r"\s+", " ", self.page().find(".//main").text_content()).strip()

    def said(self) -> dict[str, str]:
        """Return the headers by which a browser states the origin of a form."""
        return {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, campus: Campus, email: str = "owner@example.org", password: str = PASSWORD) -> httpx.Response:
        """Sign in through the page and follow the redirect."""
        self.open("/console/sign-in")
        self.submit("/console/sign-in", account=campus.name, email=email, password=password)
        return self.answer


def give_password(campus: Campus, email: str = "owner@example.org", password: str = PASSWORD) -> None:
    """Set a password, as `rollbook user password` does; the usual one with a hash that is quick to verify."""
    with campus.database.write() as connection:
        if password == PASSWORD:
            mine = sa.and_(users.c.account_id == campus.account.id, users.c.email == email)
            given = connection.execute(sa.update(users).where(mine).values(password_hash=QUICK_HASH))
            assert given.rowcount == 1
        else:
            set_password(connection, campus.account, email, password, by=OPERATOR)


def shown_secret(visitor: Visitor) -> str:
    """Return the key, password or link that the page shows."""
    return str(visitor.page().xpath("//code[@class='key']/text()")[0])
