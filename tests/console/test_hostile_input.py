"""Malformed and hostile requests: pages answer them with a sentence, and no call waits for them."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served
from rollbook.console.routes import PAGES
from rollbook.store.database.database import Database
from server_process import run_server
from visitor import Visitor, give_password

URLENCODED = "application/x-www-form-urlencoded"
# Percent-encoded, as in an address or a form.
VALUES = {
    "nul": "%00",
    "no_utf_8": "%ff%fe",
    "a_broken_escape": "%zz%",
    "beyond_64_bits": "9" * 30,
    "the_largest": str(2**63 - 1),
    "thousands_of_digits": "9" * 5000,
    "negative": "-1",
    "other_digits": quote("²٣"),
    "an_address_cut_short": quote("//["),
    "a_surrogate": "%ed%a0%80",
    "quotes": quote("'\"%_\\"),
}
NAMES = (
    *("account", "action", "actor", "again", "all", "batch", "before", "block", "course", "email", "file", "group"),
    *("hold_seconds", "ids", "in_course", "in_group", "item", "key", "learner", "intended", "name", "new", "next"),
    *(
        "old",
        "page",
        "password",
        "q",
        "reason",
        "retention_days",
        "role",
        "skip_bad_rows",
        "status",
        "through",
        "user",
        "done",
        "n",
    ),
)
# Last, because it ends the session.
PATHS = sorted((page.path for page in PAGES), key=lambda path: path == "/sign-out")
# Without a session every other page redirects, once its form is read.
PUBLIC = [page.path for page in PAGES if page.public] + ["/queue/pause", "/unenroll"]


def _fill(path: str, value: str) -> str:
    """Return the address of a page with the value in each parameter of its path."""
    return "/console" + (re.sub("{[^}]*}", lambda _: value, path) or "/none")


@pytest.fixture
def visitors_of_value(served: Served, owner: Visitor, value: str) -> Iterator[list[Visitor]]:
    """An owner and a stranger at an address of their own: wrong passwords are limited by address."""
    address = f"127.0.1.{[*VALUES.values()].index(value) + 1}"
    transport = httpx.HTTPTransport(verify=served.server.tls_context(), local_address=address)
    with httpx.Client(transport=transport, timeout=60) as client, httpx.Client(transport=transport) as other:
        client.cookies = owner.client.cookies
        yield [Visitor(served.server, client), Visitor(served.server, other)]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_every_value_in_a_path_query_or_form_is_answered(
    visitors_of_value: list[Visitor], owner: Visitor, value: str
) -> None:
    fields = "&".join(f"{name}={value}" for name in NAMES)
    query = "&".join(f"{name}={value}" for name in NAMES if len(fields) < 16_000 or name in ("page", "batch", "before"))
    for visitor, paths in zip(visitors_of_value, (PATHS, PUBLIC), strict=True):
        headers = {"Content-Type": URLENCODED, "Origin": visitor.origin}
        for path in paths:
            url = f"{visitor.origin}{_fill(path, value)}"
            read = visitor.client.get(f"{url}?{query}")
            sent = visitor.client.post(url, content=fields[:60_000], headers=headers)
            assert read.status_code < 500, (path, read.text)
            assert sent.status_code < 500, (path, sent.text)
    # A form that cannot be read is answered 400 and ends nothing.
    assert owner.open("/console/queue").status_code == (200 if sent.status_code == 400 else 303)


@pytest.mark.parametrize("header", [{"Host": "["}, {"Origin": "https://["}, {"Cookie": "a=" + "\\" * 30_000}])
def test_every_header_is_answered(stranger: Visitor, header: dict[str, str]) -> None:
    url = f"{stranger.origin}/console/sign-in"
    assert stranger.client.get(url, headers=header).status_code < 500
    answer = stranger.client.post(url, content="email=1", headers={"Content-Type": URLENCODED, **header})
    assert answer.status_code < 500


@pytest.mark.parametrize("kind", ["punycode", "utf-7", "idna", "utf-16", "no such codec"])
def test_form_is_utf_8_whatever_charset_the_client_names(stranger: Visitor, kind: str) -> None:
    form = f"account=&password=1&email={quote('jörg@example.org')}"
    headers = {"Content-Type": f"{URLENCODED}; charset={kind}", "Origin": stranger.origin}
    answer = stranger.client.post(f"{stranger.origin}/console/sign-in", content=form, headers=headers)
    assert answer.status_code == 403
    stranger.answer = answer
    assert stranger.page().xpath("//input[@name='email']/@value") == ["jörg@example.org"]


def test_only_the_upload_page_accepts_large_or_multipart_forms(stranger: Visitor, owner: Visitor) -> None:
    url = f"{stranger.origin}/console/sign-in"
    origin = {"Origin": stranger.origin}
    large = stranger.client.post(url, content="email=" + "a" * 900_000, headers={"Content-Type": URLENCODED, **origin})
    assert (large.status_code, "larger than this page accepts" in large.text) == (413, True)
    parts = stranger.client.post(url, files={"email": (None, "ann@example.org")}, headers=origin)
    assert (parts.status_code, "content type" in parts.text) == (400, True)
    ids = "\n".join(["4711"] * 100_000)
    files: dict[str, tuple[str | None, str]] = {"file": ("ids.csv", ids)}
    answer = owner.client.post(f"{owner.origin}/console/unenroll", files=files, headers={"Origin": owner.origin})
    assert answer.status_code in (303, 422)


def test_unreadable_forms_count_against_their_address(database_url: str, database: Database, tmp_path: Path) -> None:
    campus = Campus(database)
    with (
        run_server(database_url, tmp_path, "--no-worker", wrong_keys_per_address=3) as server,
        server.client() as client,
    ):
        if time.time() % 60 > 55:  # the limit is per minute
            time.sleep(6)
        url = server.url.replace("/apiv2/", "/console/sign-in")
        headers = {"Content-Type": URLENCODED, "Sec-Fetch-Site": "same-origin"}
        codes = [client.post(url, content="email=%ff", headers=headers).status_code for _ in range(4)]
        call = server.post(campus.package(campus.enroll(1)))
    assert codes == [400, 400, 400, 429]
    assert call.status_code == 429


@contextmanager
def _locked(database: Database) -> Iterator[None]:
    """Hold a lock that every change needs: SQLite's write lock, or the audit table."""
    with database.session() as connection, connection.execution_options(writes=True).begin():
        if database.engine.dialect.name == "postgresql":
            connection.execute(sa.text("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE"))
        yield


def test_calls_are_answered_while_pages_wait_for_the_database(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    campus = Campus(database)
    give_password(campus)
    right = campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>")
    answers: list[httpx.Response] = []
    with (
        run_server(database_url, tmp_path, "--no-worker", pool_size=4, call_seconds=1) as server,
        server.client() as client,
    ):
        owner = Visitor(server, client)
        owner.sign_in(campus)
        headers = {"Origin": owner.origin, "Content-Type": URLENCODED}

        def pause() -> None:
            answers.append(client.post(f"{owner.origin}/console/queue/pause", content="reason=", headers=headers))

        pages = [threading.Thread(target=pause) for _ in range(12)]
        with _locked(database):
            for page in pages:
                page.start()
            time.sleep(0.3)
            calls = [server.post(right.replace(campus.owner_key, key)) for key in ("0" * 64, campus.owner_key) * 3]
            for page in pages:
                page.join(30)
        assert [call.status_code for call in calls] == [200] * 6
        assert [b"Success" in call.content for call in calls] == [False, True] * 3
    assert {answer.status_code for answer in answers} == {503}
    assert all("could not" in answer.text for answer in answers)
