"""Attacks on the console, over HTTPS, each test named after its attack."""

import csv
import io
import re

import httpx
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conftest import Served, Visitors
from rollbook.console.routes import PAGES
from rollbook.model import Role
from rollbook.store.database.tables import courses, enrollments, login_sessions, users
from rollbook.store.people.users import add_user
from visitor import COOKIE, PASSWORD, Visitor, give_password

SCRIPT = "<script>alert(1)</script>"


def _paused(visitor: Visitor) -> bool:
    visitor.open("/console/queue")
    return "Paused" in visitor.text()


def test_csrf_form_of_another_site_changes_nothing(owner: Visitor) -> None:
    foreign: list[list[tuple[str, str]]] = [
        [],
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", owner.origin.replace("https:", "http:"))],
        [("Origin", owner.origin + ".evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "none")],
        [("Sec-Fetch-Site", "")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", owner.origin)],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    ]
    url = f"{owner.origin}/console/queue/pause"
    for headers in foreign:
        assert owner.client.post(url, headers=headers).status_code == 403, headers
    assert not _paused(owner)
    for said in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": owner.origin}):
        assert owner.post("/console/queue/pause", {}, said).status_code == 303
        assert _paused(owner)
        owner.submit("/console/queue/resume")


def test_csrf_every_page_refuses_a_form_of_another_site(owner: Visitor, campus: Campus, stranger: Visitor) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    for page in PAGES:
        if page.change is not None and page.path:
            path = "/console" + re.sub("{[^}]*}", "1", page.path)
            assert owner.post(path, {}, foreign).status_code == 403, path
            assert "page of the console" in owner.text()
    give_password(campus)
    form = {"account": campus.name, "email": "owner@example.org", "password": PASSWORD}
    assert stranger.post("/console/sign-in", form, foreign).status_code == 403
    assert "Set-Cookie" not in stranger.answer.headers


def test_link_cannot_put_text_into_the_console(owner: Visitor, stranger: Visitor) -> None:
    forged = {"done": "removed", "n": 7, "out": 1, "changed": 1, "ended": 1, "told": "out"}
    for page in ("queue", "batches", "account", "account/keys", "unenroll"):
        assert owner.open(f"/console/{page}", **forged).status_code == 200
        assert owner.page().xpath("string(//main/div[@role='status'])").strip() == ""
    stranger.open("/console/sign-in", **forged)
    assert stranger.page().xpath("//p[@class='done']") == []


def test_notice_is_shown_to_its_session_only_and_unreadable_in_the_database(
    served: Served, campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    other = visitors()
    other.sign_in(campus)
    owner.post("/console/account/keys", {"email": "administrator@example.org"})
    mine = login_sessions.c.account_id == campus.account.id
    kept = sa.select(login_sessions.c.notice).where(mine, login_sessions.c.notice.is_not(None))
    with served.database.read() as connection:
        [notice] = connection.execute(kept).scalars()
    with served.database.write() as connection:  # by an attacker who can write to the database
        connection.execute(sa.update(login_sessions).where(mine).values(notice=notice))
    assert "New key" not in other.open("/console/account/keys").text
    owner.client.get(f"{owner.origin}/console/account/keys", headers={"Rollbook-Live": "1"})
    key = str(owner.follow() and owner.page().xpath("//code[@class='key']/text()")[0])
    assert key.encode() not in notice
    assert key not in owner.open("/console/account/keys").text
    with served.database.read() as connection:  # the other session keeps what it cannot decrypt
        assert len(connection.execute(kept).all()) == 1


def test_session_fixation_token_from_before_sign_in_is_not_accepted(
    visitors: Visitors, campus: Campus, stranger: Visitor
) -> None:
    give_password(campus)
    planted = "p" * 43
    form = {"account": campus.name, "email": "owner@example.org", "password": PASSWORD}
    stranger.client.cookies.set(COOKIE, planted)
    answer = stranger.post("/console/sign-in", form)
    assert answer.request.headers["Cookie"] == f"{COOKIE}={planted}"
    assert answer.headers["Location"] == "/console/queue"
    assert answer.headers["Set-Cookie"].startswith(f"{COOKIE}=")
    assert planted not in answer.headers["Set-Cookie"]
    thief = visitors()
    thief.client.cookies.set(COOKIE, planted)
    assert thief.open("/console/queue").status_code == 303


def test_session_theft_database_holds_no_usable_token(served: Served, campus: Campus, owner: Visitor) -> None:
    with served.database.read() as connection:
        query = sa.select(login_sessions.c.digest).where(login_sessions.c.account_id == campus.account.id)
        digest = connection.execute(query).scalar_one()
    assert owner.client.cookies[COOKIE].encode() not in digest
    owner.client.cookies.clear()
    owner.client.cookies.set(COOKIE, digest.hex()[:43])
    assert owner.open("/console/queue").status_code == 303


def test_cookie_theft_cookie_is_secure_and_http_only(campus: Campus, stranger: Visitor) -> None:
    give_password(campus)
    stranger.open("/console/sign-in")
    answer = stranger.post(
        "/console/sign-in",
        {"account": campus.name, "email": "owner@example.org", "password": PASSWORD},
    )
    name, *rules = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith("__Host-")
    assert set(rules) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}


def test_stored_xss_names_reasons_and_notes_are_escaped(served: Served, campus: Campus, owner: Visitor) -> None:
    (id_,) = campus.enroll(1)
    with served.database.write() as connection:
        learner = sa.select(enrollments.c.user_id).where(enrollments.c.id == id_).scalar_subquery()
        connection.execute(sa.update(users).where(users.c.id == learner).values(given_name=SCRIPT, email=SCRIPT))
        mine = courses.c.id == campus.course_id
        connection.execute(sa.update(courses).where(mine).values(name=f'"><img src=x onerror=1>{SCRIPT}'))
    headers = {"Rollbook-Reason": SCRIPT}
    batch = served.server.post(campus.package([id_, SCRIPT.replace("<", "&lt;")]), headers).headers["Rollbook-Batch"]
    pages = ["/console/queue?status=All", f"/console/batches/{batch}", "/console/batches"]
    pages += [f"/console/batches/{batch}/undo", "/console/queue/remove?all=1"]
    for page in pages:
        assert owner.open(page).status_code == 200
        assert "&lt;script&gt;" in owner.answer.text
        assert SCRIPT not in owner.answer.text
        assert "<img" not in owner.answer.text
    owner.open("/console/queue/remove", all=1)
    owner.submit("/console/queue/remove", reason=SCRIPT)
    owner.open(f"/console/batches/{batch}")
    assert owner.text().count(SCRIPT) >= 3
    assert SCRIPT not in owner.answer.text


def test_content_security_policy_allows_only_the_console_script(owner: Visitor) -> None:
    for page in ("/console/queue", "/console/batches", "/console/sign-in", "/console/nowhere"):
        policy = owner.open(page).headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert owner.page().xpath("//script[not(@src)] | //style | //@style | //@onclick") == []


def test_csv_formula_injection_names_stay_text(served: Served, campus: Campus, owner: Visitor) -> None:
    batch = campus.accept(campus.enroll(1)).batch_id
    for name in ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"):
        with served.database.write() as connection:
            connection.execute(sa.update(courses).where(courses.c.id == campus.course_id).values(name=name))
        answer = owner.open(f"/console/batches/{batch}/items.csv")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
        assert row["Course"] == f"'{name}"
        assert row["Outcome"] == "Pending"


def test_idor_another_account_sees_and_changes_nothing(served: Served, campus: Campus, owner: Visitor) -> None:
    other = Campus(served.database)
    ids = other.enroll(2)
    batch = other.accept(ids).batch_id
    other.drain()
    waiting = other.enroll(1)
    other.accept(waiting)
    for path in (f"/console/batches/{batch}", f"/console/batches/{batch}/items.csv", f"/console/batches/{batch}/undo"):
        assert owner.open(path).status_code == 404
    owner.open("/console/queue", status="All")
    assert owner.page().xpath("//form[@id='items']//tbody/tr") == []
    assert owner.post(f"/console/batches/{batch}/undo", {}).status_code == 404
    owner.post("/console/queue/remove", {"item": waiting})
    assert set(other.queue().values()) == {"Complete", "Pending"}


def test_open_redirect_sign_in_redirects_to_console_pages_only(campus: Campus, stranger: Visitor) -> None:
    give_password(campus)
    form = {"account": campus.name, "email": "owner@example.org", "password": PASSWORD}
    targets = ("https://evil.example/", "//evil.example/", "/\\evil.example", "/console/../evil", "javascript:alert(1)")
    inside = ("/console//evil.example/..", "/console/\r\nLocation: https://evil.example", "/consolevil", "/apiv2/")
    for target in (*targets, *inside):
        stranger.open("/console/sign-in", next=target)
        stranger.post("/console/sign-in", {"next": target, **form})
        assert stranger.answer.headers["Location"] == "/console/queue", target


def test_sign_in_redirects_to_the_requested_page(campus: Campus, stranger: Visitor) -> None:
    give_password(campus)
    stranger.open("/console/batches", page=3)
    assert stranger.follow().status_code == 200
    stranger.submit("/console/sign-in", account=campus.name, email="owner@example.org", password=PASSWORD)
    assert stranger.answer.url.path == "/console/batches"
    assert stranger.answer.url.params["page"] == "3"


def test_clickjacking_no_page_can_be_framed(owner: Visitor, stranger: Visitor) -> None:
    for visitor, page in ((owner, "/console/queue"), (owner, "/console/nowhere"), (stranger, "/console/sign-in")):
        answer = visitor.open(page)
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_plain_http_serves_no_page_and_accepts_no_password(served: Served, stranger: Visitor) -> None:
    plain = served.server.http_url.removesuffix("/apiv2/")
    answer = stranger.client.get(f"{plain}/console/sign-in")
    assert answer.status_code == 403
    assert "<form" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_password_guessing_is_limited_for_the_right_one_too(served: Served, campus: Campus) -> None:
    with served.database.write() as connection:
        add_user(connection, campus.account, "guessed@example.org", Role.ADMINISTRATOR, by=OPERATOR)
    give_password(campus, "guessed@example.org")
    # From another address, so that the limit does not affect other tests.
    transport = httpx.HTTPTransport(verify=served.server.tls_context(), local_address="127.0.0.9")
    with httpx.Client(transport=transport) as client:
        guesser = Visitor(served.server, client)
        for number in range(25):  # 10 per minute; the minute may change during the test
            if guesser.sign_in(campus, "guessed@example.org", f"a wrong password {number}").status_code == 429:
                break
        assert number >= 10
        answer = guesser.sign_in(campus, "guessed@example.org")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert guesser.open("/console/queue").status_code == 303
