"""The second factor of the console: setting it up, signing in with it, recovery codes, the policy, attacks on it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conftest import Served, Visitors
from rollbook.console.routes import PAGES
from rollbook.model import Role, utc_now
from rollbook.store.database.tables import login_sessions, pending_sign_ins, recovery_codes, second_factors
from rollbook.store.people.login_sessions import begin_login_session
from rollbook.store.people.second_factors import MAX_WRONG_CODES
from rollbook.store.people.users import set_active, set_role
from visitor import COOKIE, PASSWORD, Visitor, give_password

PAGE = "/console/account/second-factor"
CODE_PAGE = "/console/sign-in/code"
PENDING = "__Host-rollbook-code"
WRONG = "The code is wrong, too old, or has been used already."


def _set_up(visitor: Visitor) -> tuple[str, list[str]]:
    """Set up a second factor through the page; return its secret and the recovery codes."""
    visitor.open(PAGE)
    visitor.submit(f"{PAGE}/new")
    secret = str(visitor.page().xpath("//code[@class='key']/text()")[0])
    visitor.submit(PAGE, code=pyotp.TOTP(secret).now(), password=PASSWORD)
    codes = str(visitor.page().xpath("//code[@class='key']/text()")[0]).split()
    return secret, codes


def _fresh_code(campus: Campus, secret: str) -> str:
    """Return the present code, as if no code had been used yet."""
    mine = second_factors.c.account_id == campus.account.id
    with campus.database.write() as connection:
        connection.execute(sa.update(second_factors).where(mine).values(last_step=0))
    return pyotp.TOTP(secret).now()


def _begin(visitor: Visitor, campus: Campus, email: str = "owner@example.org") -> None:
    """Give the password; the page for the code follows."""
    visitor.sign_in(campus, email)
    assert visitor.answer.url.path == CODE_PAGE


def _is_in(visitor: Visitor) -> bool:
    return visitor.open("/console/queue").status_code == 200


@contextmanager
def _visitor_at(served: Served, address: str) -> Iterator[Visitor]:
    """A visitor from an address of its own, so that its wrong codes affect no other test."""
    with served.server.client(address) as client:
        yield Visitor(served.server, client)


def test_user_sets_up_a_second_factor_and_signs_in_with_it(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    owner.open("/console/account")
    assert "a stolen password alone opens the console" in owner.text()
    owner.open(PAGE)
    owner.submit(f"{PAGE}/new")
    secret, address = owner.page().xpath("//code[@class='key']/text()")
    assert parse_qs(urlsplit(address).query)["secret"] == [secret]
    assert "owner%40example.org" in address
    assert owner.page().xpath("//*[@role='img']/*[local-name()='svg']")
    owner.submit(PAGE, code=pyotp.TOTP(secret).now(), password="another password")
    assert "The password is wrong." in owner.text()
    owner.submit(PAGE, code="12345", password=PASSWORD)
    assert WRONG in owner.text()
    owner.submit(PAGE, code=pyotp.TOTP(secret).now(), password=PASSWORD)
    [codes] = owner.page().xpath("//code[@class='key']/text()")
    assert len({*codes.split()}) == 10
    assert secret not in owner.answer.text
    owner.open(PAGE)
    assert codes.split()[0] not in owner.answer.text
    assert "10 recovery codes left" in owner.text()
    stranger.open("/console/batches", page=3)
    stranger.follow()
    stranger.submit("/console/sign-in", account=campus.name, email="owner@example.org", password=PASSWORD)
    assert stranger.answer.url.path == CODE_PAGE
    assert not _is_in(stranger)
    stranger.open(CODE_PAGE, next="/console/batches?page=3")
    stranger.submit(CODE_PAGE, code=f" {_fresh_code(campus, secret)} ")
    assert (stranger.answer.url.path, stranger.answer.url.params["page"]) == ("/console/batches", "3")
    assert _is_in(stranger)
    stored = campus.database.engine
    with stored.connect() as connection:
        digests = connection.execute(sa.select(recovery_codes.c.digest)).scalars().all()
    assert not any(code.replace("-", "").encode() in digest for digest in digests for code in codes.split())
    assert campus.audit()[0]["action"] == "add-second-factor"
    assert secret not in str(campus.audit())


def test_long_names_are_shortened_in_the_qr_code(served: Served, stranger: Visitor) -> None:
    campus = Campus(served.database, name="\N{GRADUATION CAP}" * 200 + str(time.time()))
    give_password(campus)
    stranger.sign_in(campus)
    stranger.post(f"{PAGE}/new", {})
    assert stranger.follow().status_code == 200
    assert stranger.page().xpath("//*[@role='img']/*[local-name()='svg']")


def test_codes_of_the_steps_beside_the_present_one_are_accepted_and_no_others(
    campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    secret, _ = _set_up(owner)
    _fresh_code(campus, secret)
    totp = pyotp.TOTP(secret)
    while time.time() % 30 > 25:  # the step shall not change meanwhile
        time.sleep(0.1)
    present = int(time.time()) // 30
    for step, accepted in ((-2, False), (2, False), (-1, True), (0, True), (1, True), (0, False)):
        _begin(stranger, campus)
        stranger.submit(CODE_PAGE, code=totp.generate_otp(present + step))
        assert _is_in(stranger) == accepted, step
        stranger.client.cookies.clear()


def test_replay_code_is_accepted_once(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    owner.open(PAGE)
    owner.submit(f"{PAGE}/new")
    secret = str(owner.page().xpath("//code[@class='key']/text()")[0])
    code = pyotp.TOTP(secret).now()
    owner.submit(PAGE, code=code, password=PASSWORD)
    _begin(stranger, campus)
    stranger.submit(CODE_PAGE, code=code)
    assert WRONG in stranger.text()
    assert not _is_in(stranger)


def test_replay_of_requests_at_once_with_the_same_code_one_signs_in(
    campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    secret, recovery = _set_up(owner)
    guests = [visitors() for _ in range(4)]
    for code in (_fresh_code(campus, secret), recovery[0]):
        for guest in guests:
            guest.client.cookies.clear()
            _begin(guest, campus)
        with ThreadPoolExecutor(4) as threads:
            [*threads.map(lambda guest, code=code: guest.post(CODE_PAGE, {"code": code}), guests)]
        assert sorted(map(_is_in, guests)) == [False, False, False, True]


def test_recovery_code_works_once_and_new_ones_replace_the_old(
    campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    secret, codes = _set_up(owner)
    for code, accepted in ((codes[0].upper().replace("-", " "), True), (codes[0], False), (codes[1], True)):
        stranger.client.cookies.clear()
        _begin(stranger, campus)
        stranger.submit(CODE_PAGE, code=code)
        assert _is_in(stranger) == accepted
    used = [line for line in campus.audit() if line["action"] == "use-recovery-code"]
    assert [line["details"] for line in used] == [{"left": 8}, {"left": 9}]
    stranger.open(PAGE)
    assert "8 recovery codes left" in stranger.text()
    stranger.submit(f"{PAGE}/codes", code=_fresh_code(campus, secret), password=PASSWORD)
    renewed = str(stranger.page().xpath("//code[@class='key']/text()")[0]).split()
    assert not {*codes} & {*renewed}
    stranger.client.cookies.clear()
    _begin(stranger, campus)
    stranger.submit(CODE_PAGE, code=codes[2])
    assert not _is_in(stranger)


def test_owner_resets_the_second_factor_of_another_user(campus: Campus, owner: Visitor, visitors: Visitors) -> None:
    give_password(campus, "administrator@example.org")
    administrator, again = visitors(), visitors()
    administrator.sign_in(campus, "administrator@example.org")
    _set_up(administrator)
    page = f"/console/account/users/{campus.user_id('administrator@example.org')}"
    assert "and a second factor" in owner.open(page).text
    assert administrator.post(f"{page}/second-factor", {}).status_code == 403
    owner.submit(f"{page}/second-factor")
    assert "The second factor is reset." in owner.text()
    assert not _is_in(administrator)
    again.sign_in(campus, "administrator@example.org")
    assert _is_in(again)
    assert campus.audit()[0]["action"] == "reset-second-factor"
    owner.post(f"{page}/second-factor", {})
    assert "administrator@example.org has no second factor." in owner.text()
    other = Campus(campus.database)
    owner.post(f"/console/account/users/{other.user_id('owner@example.org')}/second-factor", {})
    assert owner.answer.status_code == 404


def test_half_signed_in_user_opens_no_page(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    _set_up(owner)
    _begin(stranger, campus)
    token = stranger.client.cookies[PENDING]
    with campus.database.read() as connection:
        query = sa.select(pending_sign_ins.c.digest).where(pending_sign_ins.c.account_id == campus.account.id)
        assert token.encode() not in connection.execute(query).scalar_one()
    for cookies in ({PENDING: token}, {COOKIE: token}, {PENDING: token, COOKIE: token}):
        stranger.client.cookies.clear()
        stranger.client.cookies.update(cookies)
        for page in PAGES:
            path = "/console" + re.sub("{[^}]*}", "1", page.path)
            if page.public:
                continue
            for answer in (stranger.open(path), stranger.post(path, {"hold_seconds": "77"})):
                assert answer.status_code in (303, 405), path
                assert answer.status_code == 405 or answer.headers["Location"].startswith("/console/sign-in"), path
    owner.open("/console/account")
    assert owner.page().xpath("//input[@name='hold_seconds']/@value") == ["0"]


def test_code_without_the_password_before_it_signs_nobody_in(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    secret, codes = _set_up(owner)
    for code in (_fresh_code(campus, secret), codes[0]):
        stranger.post(CODE_PAGE, {"code": code})
        assert stranger.answer.headers["Location"].startswith("/console/sign-in?")
        assert not _is_in(stranger)


def test_guessing_codes_is_limited_for_the_right_one_too(served: Served, campus: Campus, owner: Visitor) -> None:
    secret, codes = _set_up(owner)
    with _visitor_at(served, "127.0.0.10") as guesser:
        _begin(guesser, campus)
        for number in range(25):  # 10 per minute; the minute may change during the test
            answer = guesser.post(CODE_PAGE, {"code": f"{number:06}"})
            if answer.status_code == 429:
                break
            assert answer.status_code == 403
        assert number >= 10
        for code in (_fresh_code(campus, secret), codes[0]):
            assert guesser.post(CODE_PAGE, {"code": code}).status_code == 429
        assert not _is_in(guesser)


def test_guessing_codes_slowly_ends_for_a_day_and_a_recovery_code_still_works(
    campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    secret, codes = _set_up(owner)
    mine = second_factors.c.account_id == campus.account.id

    def set_wrong(since: timedelta) -> None:
        guessed = {"wrong_codes": MAX_WRONG_CODES - 1, "wrong_since": utc_now() - since}
        with campus.database.write() as connection:
            connection.execute(sa.update(second_factors).where(mine).values(guessed))

    set_wrong(timedelta(hours=23))
    _begin(stranger, campus)
    stranger.submit(CODE_PAGE, code="000000")
    assert WRONG in stranger.text()
    stranger.submit(CODE_PAGE, code=_fresh_code(campus, secret))
    assert "Too many wrong codes: none is accepted until 24 hours after the first of them." in stranger.text()
    stranger.submit(CODE_PAGE, code=codes[0])
    assert _is_in(stranger)
    set_wrong(timedelta(hours=25))
    stranger.client.cookies.clear()
    _begin(stranger, campus)
    stranger.submit(CODE_PAGE, code="000000")
    stranger.submit(CODE_PAGE, code=_fresh_code(campus, secret))
    assert _is_in(stranger)


def test_policy_leads_to_the_set_up_and_to_nothing_else(campus: Campus, owner: Visitor, visitors: Visitors) -> None:
    owner.open("/console/account")
    owner.submit("/console/account", require_second_factor="1", hold_seconds="5", retention_days="")
    owner.follow()
    assert owner.answer.url.path == PAGE  # in effect at once
    assert "This account demands a second factor" in owner.text()
    assert owner.page().xpath("//nav") == []
    give_password(campus, "administrator@example.org")
    administrator = visitors()
    administrator.sign_in(campus, "administrator@example.org")
    for page in PAGES:
        path = "/console" + re.sub("{[^}]*}", "1", page.path)
        if page.public or page.setting_up:
            continue
        for answer in (administrator.open(path), administrator.post(path, {})):
            assert answer.status_code in (303, 405), path
            assert answer.status_code == 405 or answer.headers["Location"] == PAGE, path
    _set_up(administrator)
    assert _is_in(administrator)
    assert not _is_in(owner)
    owner.open(PAGE)
    owner.submit("/console/sign-out")
    assert "You are signed out" in owner.text()


def test_session_of_an_older_release_that_asks_for_no_code_is_none(
    campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    _set_up(owner)
    with campus.database.write() as connection:
        token = begin_login_session(connection, campus.account.id, campus.user_id("owner@example.org"), utc_now())
    stranger.client.cookies.set(COOKIE, token)
    assert not _is_in(stranger)
    assert _is_in(owner)


def test_other_sessions_end_when_the_second_factor_changes(campus: Campus, owner: Visitor, visitors: Visitors) -> None:
    other, third, half = visitors(), visitors(), visitors()
    other.sign_in(campus)
    assert _is_in(other)
    secret, codes = _set_up(owner)
    assert _is_in(owner)
    assert not _is_in(other)
    _begin(third, campus)
    third.submit(CODE_PAGE, code=codes[0])
    _begin(half, campus)
    owner.open(PAGE)
    owner.submit(f"{PAGE}/remove", code=_fresh_code(campus, secret), password="not this one")
    assert "The password is wrong." in owner.text()
    owner.submit(f"{PAGE}/remove", code=_fresh_code(campus, secret), password=PASSWORD)
    assert "The second factor is removed." in owner.text()
    assert [_is_in(each) for each in (owner, third, half)] == [True, False, False]
    half.post(CODE_PAGE, {"code": codes[1]})
    assert not _is_in(half)
    assert campus.audit()[0]["action"] == "remove-second-factor"


@pytest.mark.parametrize("ended", ["late", "inactive", "new password"])
def test_pending_sign_in_ends(campus: Campus, owner: Visitor, stranger: Visitor, ended: str) -> None:
    _, codes = _set_up(owner)
    _begin(stranger, campus)
    with campus.database.write() as connection:
        if ended == "late":
            mine = pending_sign_ins.c.account_id == campus.account.id
            connection.execute(
                sa.update(pending_sign_ins).where(mine).values(created_at=utc_now() - timedelta(minutes=11))
            )
        elif ended == "inactive":
            set_role(connection, campus.account, "administrator@example.org", Role.OWNER, by=OPERATOR)
            set_active(connection, campus.account, "owner@example.org", active=False, by=OPERATOR)
    if ended == "new password":
        give_password(campus, password="a newer password")
    stranger.post(CODE_PAGE, {"code": codes[0]})
    assert stranger.answer.headers["Location"].startswith("/console/sign-in?")
    assert not _is_in(stranger)


def test_confirming_without_a_secret_and_removing_without_a_factor_are_refused_by_name(owner: Visitor) -> None:
    proof = {"code": "123456", "password": PASSWORD}
    assert owner.post(PAGE, proof).status_code == 422
    assert "No second factor waits for its code." in owner.text()
    for path in ("remove", "codes"):
        assert owner.post(f"{PAGE}/{path}", proof).status_code == 422
        assert "You have no second factor." in owner.text()


def test_new_secret_does_not_replace_one_in_use(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    secret, _ = _set_up(owner)
    owner.post(f"{PAGE}/new", {})
    _begin(stranger, campus)
    stranger.submit(CODE_PAGE, code=_fresh_code(campus, secret))
    assert _is_in(stranger)
    with campus.database.read() as connection:
        query = sa.select(sa.func.count()).where(login_sessions.c.account_id == campus.account.id)
        assert connection.execute(query).scalar_one() == 2
