"""requestExternalAuthorization opens the learner's page: once, within 60 seconds, for active learners alone."""

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus, read_outcomes
from conftest import Served
from rollbook import Client
from rollbook.model import utc_now
from rollbook.server.app import create_app
from rollbook.settings import load_settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.database.tables import (
    answers,
    courses,
    enrollments,
    external_authorizations,
    learner_sessions,
    users,
)
from visitor import Visitor

COOKIE = "__Host-rollbook-learner"
# From addresses of their own, so that wrong keys do not affect the sign-ins of other tests.
ADDRESS, GUESSER, PROXY = "127.0.0.11", "127.0.0.12", "127.0.0.2"
NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)
USED, SIGNED_OUT = "used before or is too old", "not signed in"


class Place:
    """A learner with a name from right to left, one current and one ended enrollment; and browsers."""

    def __init__(self, served: Served, opened: ExitStack) -> None:
        self.served, self.campus, self._opened = served, Campus(served.database), opened
        person = {"given_name": "מִרְיָם <b>", "family_name": "O'Neil & Co", "role": "learner", "active": True}
        self.learner = self.campus.add(users, employee_id="E1", **person)
        course = self.campus.add(courses, name='Ladders & "סולמות" <é>', status="Active")
        place = {"user_id": self.learner, "group_id": self.campus.group_id, "enrolled_at": NOON}
        current = self.campus.add(enrollments, **place, course_id=course, status="Enrolled")
        header = "ID,EnrollmentStatus,StartedDate,Progress,DueDate"
        self.campus.import_progress(header, f"{current},In Progress,{NOON:%F %T},40,{NOON:%F %T}")
        ended = {"course_id": self.campus.course_id, "status": "Enrolled", "unenrolled_at": utc_now()}
        self.campus.add(enrollments, **place, **ended)
        self.campus.enroll(1)

    def browser(self, address: str = ADDRESS) -> Visitor:
        """Open a browser without cookies."""
        client = self._opened.enter_context(self.served.server.client(address))
        return Visitor(self.served.server, client)

    def call(self, user: str = "<EmployeeID>E1</EmployeeID>") -> str:
        """Write a call for the learner."""
        return self.campus.call("requestExternalAuthorization", f"<Security>{user}</Security>")

    def redirect_path(self) -> str:
        """Call, and give the path and query of the page."""
        address = etree.fromstring(self.served.server.post(self.call()).content).findtext("Info/RedirectPath") or ""
        return address.removeprefix(self.served.server.url.removesuffix("/apiv2/"))

    def set(self, table: sa.Table, **values: object) -> None:
        """Change all rows of the account, or of the table of users the learner's."""
        mine = table.c.id == self.learner if table is users else table.c.account_id == self.campus.account.id
        with self.served.database.write() as connection:
            connection.execute(sa.update(table).where(mine).values(values))


@pytest.fixture
def place(served: Served) -> Iterator[Place]:
    """A learner of an account of its own."""
    with ExitStack() as opened:
        yield Place(served, opened)


def test_redirect_path_opens_the_learners_own_courses_once(place: Place) -> None:
    browser, path = place.browser(), place.redirect_path()
    answer = browser.open(path)
    assert (answer.status_code, answer.headers["Location"], answer.text) == (303, "/learn/", "")
    assert (answer.headers["Referrer-Policy"], answer.headers["Cache-Control"]) == ("no-referrer", "no-store")
    rules = r"__Host-rollbook-learner=[\w-]{43}; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert re.fullmatch(rules, answer.headers["Set-Cookie"])
    assert browser.follow().status_code == 200
    row = [cell.text_content() for cell in browser.page().xpath("//tbody/tr/*")]
    assert row == ['Ladders & "סולמות" <é>', "In Progress", "40%", "2026-12-24"]
    assert len(browser.page().xpath("//tbody/tr")) == 1
    assert browser.page().xpath("string(//header//bdi)") == "מִרְיָם <b> O'Neil & Co"
    assert {link.get("href") for link in browser.page().xpath("//a")} == {"#main"}
    assert "default-src 'none'" in browser.answer.headers["Content-Security-Policy"]

    other = place.browser()
    assert (other.open(path).status_code, other.answer.headers["Referrer-Policy"]) == (403, "no-referrer")
    assert USED in other.text()
    assert "Set-Cookie" not in other.answer.headers
    assert (other.open("/learn/").status_code, SIGNED_OUT in other.text()) == (403, True)
    assert browser.open("/learn/").status_code == 200


@pytest.mark.parametrize(("age", "opens"), [(50, True), (61, False)])
def test_keys_are_valid_for_60_seconds(place: Place, age: int, *, opens: bool) -> None:
    path = place.redirect_path()
    place.set(external_authorizations, created_at=utc_now() - timedelta(seconds=age))
    assert place.browser().open(path).status_code == (303 if opens else 403)


def test_of_browsers_at_once_with_the_same_keys_one_wins(place: Place) -> None:
    path = place.redirect_path()
    browsers = [place.browser() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(lambda browser: browser.open(path).status_code, browsers))
    assert sorted(statuses) == [303, 403, 403, 403]


def test_head_request_does_not_use_up_the_keys(place: Place) -> None:
    browser, path = place.browser(), place.redirect_path()
    assert browser.client.head(browser.origin + path).status_code == 405
    assert browser.open(path).status_code == 303


@pytest.mark.parametrize(
    ("table", "change"),
    [
        (users, {"active": False}),
        (users, {"erased_at": NOON}),
        (users, {"role": "administrator"}),
        (learner_sessions, {"created_at": utc_now() - timedelta(hours=8, minutes=1)}),
    ],
    ids=["deactivated", "erased", "administrator", "after_8_hours"],
)
def test_session_ends_at_once(place: Place, table: sa.Table, change: dict[str, object]) -> None:
    browser = place.browser()
    browser.open(place.redirect_path())
    later = place.redirect_path()
    place.set(table, **change)
    assert (browser.open("/learn/").status_code, SIGNED_OUT in browser.text()) == (403, True)
    assert browser.open(later).status_code == (403 if table is users else 303)


def test_sign_out_ends_the_session_and_another_site_cannot(place: Place) -> None:
    browser = place.browser()
    browser.open(place.redirect_path())
    kept = browser.client.cookies[COOKIE]
    assert browser.post("/learn/sign-out", {}, {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    browser.open("/learn/")
    browser.submit("/learn/sign-out")
    assert "You are signed out." in browser.text()
    browser.client.cookies.set(COOKIE, kept)
    assert browser.open("/learn/").status_code == 403


def test_cookie_of_the_learners_page_opens_no_page_of_the_console(place: Place) -> None:
    browser = place.browser()
    browser.open(place.redirect_path())
    browser.client.cookies.set("__Host-rollbook", browser.client.cookies[COOKIE])
    assert browser.open("/console/queue").headers["Location"].startswith("/console/sign-in")


def test_wrong_keys_are_limited_by_address(place: Place) -> None:
    path, browser = place.redirect_path(), place.browser(GUESSER)
    statuses = [0]
    while statuses[-1] != 429 and len(statuses) < 70:  # 30 a minute; the minute may change during the test
        statuses.append(browser.open(path + "x").status_code)
    assert statuses[1:31] == [403] * 30
    assert "Too many attempts" in browser.text()
    assert browser.open(path).status_code == 429
    assert place.browser().open(path).status_code == 303


def test_keys_are_in_no_log_line_page_or_table(place: Place) -> None:
    browser, paths = place.browser(), [place.redirect_path() for _ in range(2)]
    browser.open(paths[0])
    session = browser.client.cookies[COOKIE]
    pages = [browser.answer.headers["Location"], browser.follow().text, place.browser().open(paths[0]).text]
    broken = (paths[1].replace("learn/", "learn/none"), paths[1].replace("learn/?", "console?"), paths[1] + "%00")
    pages += [browser.open(path).text for path in broken]
    keys = [session, *re.findall(r"Key=([\w-]{43})", "".join(paths))]
    assert len(keys) == 5
    with place.served.database.read() as connection:
        tables = (answers, external_authorizations, learner_sessions)
        stored = [row for table in tables for row in connection.execute(sa.select(table)).all()]
    seen = "".join([*pages, place.served.server.log.read_text(), str(stored), str(place.campus.audit())])
    assert [key for key in keys if key in seen] == []
    line = place.campus.audit()[0]
    assert (line["action"], line["subject"], line["details"]) == ("authorize", f"user {place.learner}", {})


def test_answer_is_not_stored_for_an_idempotency_key_and_keys_of_a_dry_run_open_nothing(place: Place) -> None:
    refused = place.served.server.post(place.call(), headers={"Idempotency-Key": "once"})
    assert refused.status_code == 422
    assert "Idempotency-Key is no header of requestExternalAuthorization" in place.served.server.log.read_text()
    foreseen = place.served.server.post(place.call(), headers={"Rollbook-Dry-Run": "true"})
    found = re.search(r"<RedirectPath>https://[^/]+(.+?)<", foreseen.text)
    assert found
    assert place.browser().open(found[1].replace("&amp;", "&")).status_code == 403


def test_calls_from_addresses_that_the_account_does_not_name_are_refused(place: Place) -> None:
    place.campus.set(authorization_addresses="192.0.2.7, 2001:db8::/32")
    with ExitStack() as opened:
        proxy = opened.enter_context(place.served.server.client(PROXY))
        refused = []
        for address in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "192.0.2.8", "2001:db9::1"):
            headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
            answer = proxy.post(place.served.server.url, data={"Package": place.call()}, headers=headers)
            refused += [(address, code) for code in read_outcomes(answer)]
    assert refused == [("192.0.2.8", "REA:01"), ("2001:db9::1", "REA:01")]
    lines = [json.loads(line) for line in place.served.server.log.read_text().splitlines() if "2001:db9::1" in line]
    assert lines[-1]["detail"] == "the account's authorization addresses do not include 2001:db9::1"
    place.campus.set(authorization_addresses=None)
    assert read_outcomes(place.served.server.post(place.call())) == []


def test_page_with_its_styles_is_served_at_the_public_url_even_without_the_console(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    settings = load_settings(database_url=url, console=False, public_url="https://lms.example.org/")
    with closing(Database(url)) as database:
        migrate(database)
        campus = Campus(database)
        package = campus.call("requestExternalAuthorization", "<Security><Email>learner@example.org</Email></Security>")

        async def visit() -> tuple[str, httpx.Response, list[int]]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(settings))) as client:
                call = await client.post("https://lms.example.org/apiv2/", data={"Package": package})
                path = etree.fromstring(call.content).findtext("Info/RedirectPath") or ""
                page = await client.get(path, follow_redirects=True)
                others = (re.findall(r'href="(/.+?)"', page.text)[0], "/console/queue", "/learn")
                answers = [await client.get(f"https://lms.example.org{other}") for other in others]
                return path, page, [answer.status_code for answer in answers]

        path, page, others = asyncio.run(visit())
    assert path.startswith("https://lms.example.org/learn/?AuthKey=")
    assert (page.status_code, "No courses." in page.text, others) == (200, True, [200, 404, 200])


def test_client_gives_the_keys_and_shows_none_of_them(place: Place) -> None:
    campus, server = place.campus, place.served.server
    with Client(server.url, campus.account_key, campus.owner_key, ca_file=server.ca_file) as client:
        given = client.request_authorization(employee_id="E1")
        with pytest.raises(ValueError, match="named by one of"):
            client.request_authorization(email="a@example.org", employee_id="E1")
    assert given.redirect_path.endswith(f"/learn/?AuthKey={given.auth_key}&RequestKey={given.request_key}")
    assert repr(given) == "Authorization()"
    assert place.browser().open("/learn/", AuthKey=given.auth_key, RequestKey=given.request_key).status_code == 303
