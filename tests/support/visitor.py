"""Somebody who uses the console with a browser that has no script: follows links, sends the forms of pages."""

import re
from collections.abc import Mapping

import httpx
from lxml import html

from campus import OPERATOR, Campus
from rollbook.store.people.passwords import set_password
from server_process import ServerProcess

PASSWORD = "correct horse battery"
COOKIE = "__Host-rollbook"

Fields = Mapping[str, object]


class Visitor:
    """One browser: its cookie, and the page it has before it."""

    def __init__(self, server: ServerProcess, client: httpx.Client) -> None:
        self.origin = server.url.removesuffix("/apiv2/")
        self.client = client
        self.answer: httpx.Response = httpx.Response(204)

    def open(self, path: str, **query: object) -> httpx.Response:
        """Go to a page, without following where it leads."""
        asked = {name: value for name, value in query.items() if value is not None}
        self.answer = self.client.get(f"{self.origin}{path}", params=asked or None)  # type: ignore[arg-type]
        return self.answer

    def post(self, path: str, fields: Fields, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send fields as they are, with the headers of a browser at the console unless others are given."""
        said = self.said() if headers is None else headers
        self.answer = self.client.post(f"{self.origin}{path}", data=dict(fields), headers=said)
        return self.answer

    def submit(self, action: str, **fields: object) -> httpx.Response:
        """Fill in the form of the page that leads to `action`, send it as a browser does, and follow the answer."""
        form = next(form for form in self.page().forms if form.action == action and form.method == "POST")
        sent: dict[str, object] = {}
        for name, value in form.form_values():
            sent.setdefault(name, []).append(value)  # type: ignore[attr-defined]
        self.post(action, sent | fields)
        return self.follow()

    def follow(self) -> httpx.Response:
        """Go where the answer leads."""
        return self.open(self.answer.headers["Location"]) if self.answer.is_redirect else self.answer

    def page(self) -> html.HtmlElement:
        """The page as a tree."""
        return html.document_fromstring(self.answer.text)

    def text(self) -> str:
        """What can be read on the page."""
        return re.sub(r"\s+", " ", self.page().find(".//main").text_content()).strip()

    def said(self) -> dict[str, str]:
        """What a browser says of where a form comes from."""
        return {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}

    def sign_in(self, campus: Campus, email: str = "owner@example.org", password: str = PASSWORD) -> httpx.Response:
        """Sign in through the page, and go where that leads."""
        self.open("/console/sign-in")
        self.submit("/console/sign-in", account=campus.name, email=email, password=password)
        return self.answer


def give_password(campus: Campus, email: str = "owner@example.org", password: str = PASSWORD) -> None:
    """Do what `rollbook user password` does."""
    with campus.database.write() as connection:
        set_password(connection, campus.account, email, password, by=OPERATOR)
