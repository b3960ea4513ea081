"""Owners add, invite, deactivate and erase users; invited users choose a password."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus, read_outcomes
from conftest import Served, Visitors
from rollbook.model import Role, utc_now
from rollbook.store.database.tables import invitations, login_sessions, users
from rollbook.store.people.erasure import erase_user
from rollbook.store.people.users import add_user, set_active, set_role
from visitor import PASSWORD, Visitor, give_password, shown_secret

NEW = "new@example.org"
CHOSEN = "a password of my own"


def _number(campus: Campus, email: str) -> int:
    query = sa.select(users.c.id).where(users.c.account_id == campus.account.id, users.c.email == email)
    with campus.database.read() as connection:
        number: int = connection.execute(query).scalar_one()
    return number


def _page(campus: Campus, email: str) -> str:
    return f"/console/account/users/{_number(campus, email)}"


def _invite(owner: Visitor, **fields: str) -> str:
    """Add and invite a user, and give the address of the link."""
    owner.open("/console/account/users")
    owner.submit("/console/account/users/new", email=NEW, **fields)
    link = urlsplit(shown_secret(owner))
    assert f"{link.scheme}://{link.netloc}" == owner.origin
    return f"{link.path}?{link.query}"


def _accept(visitor: Visitor, link: str, password: str = CHOSEN, again: str = CHOSEN) -> str:
    visitor.post(
        "/console/invitation", {"key": parse_qs(urlsplit(link).query)["key"][0], "new": password, "again": again}
    )
    return visitor.follow().text


def test_invited_administrator_chooses_a_password_and_signs_in(
    campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    link = _invite(owner, given_name="New", role="administrator")
    key = link.partition("key=")[2]
    assert key not in owner.open(_page(campus, NEW)).text
    assert "invited until" in owner.text()
    for _ in range(2):  # a program that previews links uses nothing up
        assert stranger.open(link).status_code == 200
    assert campus.name in stranger.text()
    assert "The two passwords differ." in _accept(stranger, link, again="another password")
    assert "12 to 1000 characters" in _accept(stranger, link, "short", "short")
    assert "The password is set. Sign in with it." in _accept(stranger, link)
    assert stranger.sign_in(campus, NEW, CHOSEN).status_code == 200
    assert stranger.answer.url.path == "/console/queue"
    set_line, invited = campus.audit()[0], campus.audit()[1]
    assert (set_line["action"], set_line["actor"], set_line["address"]) == ("set-password", NEW, stranger.address)
    assert (invited["action"], invited["actor"], invited["subject"]) == ("invite-user", "owner@example.org", NEW)
    assert key not in str(campus.audit())


def test_invitation_works_once_and_not_after_it_was_replaced_or_has_expired(
    served: Served, campus: Campus, owner: Visitor, stranger: Visitor
) -> None:
    first = _invite(owner, role="administrator")
    page = _page(campus, NEW)
    owner.open(page)
    owner.submit(f"{page}/invitation")
    second = "/" + shown_secret(owner).split("/", 3)[3]
    assert stranger.open(first).status_code == 404
    assert "was replaced by a newer one" in stranger.text()
    with served.database.write() as connection:
        over = {"expires_at": utc_now() - timedelta(seconds=1)}
        connection.execute(invitations.update().where(invitations.c.account_id == campus.account.id).values(over))
    assert "has expired" in _accept(stranger, second)
    owner.submit(f"{page}/invitation")
    third = "/" + shown_secret(owner).split("/", 3)[3]
    assert "The password is set." in _accept(stranger, third)
    assert "was used" in _accept(stranger, third, "an attacker's one", "an attacker's one")
    assert stranger.sign_in(campus, NEW, CHOSEN).status_code == 200


@pytest.mark.parametrize("ended", ["deactivated", "demoted", "erased", "given a password"])
def test_invitation_ends_with_the_right_to_sign_in(
    served: Served, campus: Campus, owner: Visitor, stranger: Visitor, ended: str
) -> None:
    link = _invite(owner, role="administrator")
    number = str(_number(campus, NEW))
    with served.database.write() as connection:
        if ended == "deactivated":
            set_active(connection, campus.account, number, active=False, by=OPERATOR)
            set_active(connection, campus.account, number, active=True, by=OPERATOR)
        elif ended == "demoted":
            set_role(connection, campus.account, NEW, Role.LEARNER, by=OPERATOR)
            set_role(connection, campus.account, NEW, Role.ADMINISTRATOR, by=OPERATOR)
        elif ended == "erased":
            erase_user(connection, campus.account, number, by=OPERATOR)
    if ended == "given a password":
        give_password(campus, NEW, "another password")
    assert stranger.open(link).status_code == 404
    assert "was used, was replaced" in _accept(stranger, link)


def test_session_fixation_invitation_signs_no_one_in(campus: Campus, owner: Visitor, stranger: Visitor) -> None:
    link = _invite(owner, role="administrator")
    _accept(stranger, link)
    assert stranger.open("/console/queue").status_code == 303
    assert owner.open("/console/queue").status_code == 200


def test_link_of_an_invitation_is_neither_stored_nor_logged(served: Served, campus: Campus, owner: Visitor) -> None:
    key = _invite(owner, role="administrator").partition("key=")[2]
    with served.database.read() as connection:
        query = sa.select(invitations.c.digest).where(invitations.c.account_id == campus.account.id)
        digest = connection.execute(query).scalar_one()
    assert key.encode() not in digest
    assert owner.open("/console/invitation", key=digest.hex()).status_code == 404
    assert owner.open("/console/invitation", key=key).status_code == 200
    assert key not in served.server.log.read_text()


def test_password_that_an_owner_creates_is_shown_once(campus: Campus, owner: Visitor, visitors: Visitors) -> None:
    page = _page(campus, "administrator@example.org")
    owner.open(page)
    owner.submit(f"{page}/password")
    password = shown_secret(owner)
    assert visitors().sign_in(campus, "administrator@example.org", password).status_code == 200
    assert password not in owner.open(page).text
    owner.open("/console/account/audit", action="set-password")
    assert "administrator@example.org" in owner.text()
    assert password not in owner.answer.text


def test_learner_becomes_administrator_and_is_found_by_email_or_number(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    owner.open("/console/account/users")
    owner.submit("/console/account/users/new", email=NEW, role="learner")
    assert "Added." in owner.text()
    page = _page(campus, NEW)
    assert not [form for form in owner.page().forms if form.action == f"{page}/invitation"]
    for named in (NEW.upper(), page.rpartition("/")[2]):
        assert owner.open("/console/account/users/find", user=named).headers["Location"] == page
    assert owner.open("/console/account/users/find", user="who@example.org").status_code == 422
    assert "has no user who@example.org." in owner.text()
    owner.open(page)
    owner.submit(f"{page}/role", role="administrator")
    assert "Saved." in owner.text()
    owner.submit(f"{page}/role", role="king")
    assert "The role must be one of" in owner.text()
    foreign = Campus(served.database)
    assert owner.open(_page(foreign, "owner@example.org")).status_code == 404
    assert owner.post(f"{_page(foreign, 'administrator@example.org')}/role", {"role": "owner"}).status_code in (
        404,
        422,
    )
    with served.database.read() as connection:
        query = sa.select(users.c.role).where(users.c.id == _number(foreign, "administrator@example.org"))
        assert connection.execute(query).scalar_one() == "administrator"


def test_inactive_user_is_signed_out_and_keys_stop_working(
    served: Served, campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    give_password(campus, "administrator@example.org")
    administrator = visitors()
    administrator.sign_in(campus, "administrator@example.org")
    package = campus.package(campus.enroll(1), campus.administrator_key)
    page = _page(campus, "administrator@example.org")
    owner.open(page)
    owner.submit(f"{page}/state")
    assert "The user is inactive." in owner.text()
    assert administrator.open("/console/queue").status_code == 303
    assert administrator.sign_in(campus, "administrator@example.org").status_code == 403
    assert read_outcomes(served.server.post(package)) == ["SU:10"]
    owner.submit(f"{page}/state")
    assert "The user is active." in owner.text()
    assert administrator.sign_in(campus, "administrator@example.org").status_code == 200
    assert read_outcomes(served.server.post(package)) == ["accepted"]


def test_user_is_erased_after_a_preview(served: Served, campus: Campus, owner: Visitor) -> None:
    assert campus.administrator_key
    page = _page(campus, "administrator@example.org")
    number = page.rpartition("/")[2]
    owner.open(f"{page}/erase")
    assert "Erase administrator@example.org?" in owner.text()
    assert "keys (1)" in owner.text()
    assert _number(campus, "administrator@example.org") == int(number)
    owner.submit(f"{page}/erase")
    assert f"Erased administrator@example.org, who is User {number} from now on." in owner.text()
    assert owner.open(page).status_code == 404
    assert owner.open(f"{page}/erase").status_code == 422
    assert f"User {number} has been erased." in owner.text()
    with served.database.read() as connection:
        row = connection.execute(sa.select(users).where(users.c.id == int(number))).one()
    assert (row.email, row.role, row.active) == (None, "learner", False)


def test_no_owner_locks_themself_out(served: Served, campus: Campus, owner: Visitor) -> None:
    page = _page(campus, "owner@example.org")
    owner.open(page)
    owner.submit(f"{page}/role", role="administrator")
    assert "is the last owner" in owner.text()
    with served.database.write() as connection:  # even with another owner
        add_user(connection, campus.account, "second@example.org", Role.OWNER, by=OPERATOR)
    for action, fields in (
        ("role", {"role": "learner"}),
        ("state", {"active": "0"}),
        ("password", {}),
        ("invitation", {}),
        ("erase", {}),
    ):
        assert owner.post(f"{page}/{action}", fields).status_code == 422, action
        assert "You cannot lock yourself out" in owner.text()
        assert owner.open(page).status_code == 200
    with served.database.read() as connection:
        mine = sa.select(login_sessions.c.digest).where(login_sessions.c.account_id == campus.account.id)
        assert len(connection.execute(mine).all()) == 1
    owner.open(page)
    owner.submit(f"{page}/role", role="administrator")
    assert owner.open("/console/queue").status_code == 200


def test_only_owners_change_users(campus: Campus, visitors: Visitors, stranger: Visitor) -> None:
    give_password(campus, "administrator@example.org")
    administrator = visitors()
    administrator.sign_in(campus, "administrator@example.org")
    before = len(campus.audit())
    for email in ("owner@example.org", "administrator@example.org", "learner@example.org"):
        page = _page(campus, email)
        for path in (page, f"{page}/erase", f"/console/account/users/find?user={email}"):
            assert administrator.open(path).status_code == 403, path
            assert stranger.open(path).headers["Location"].startswith("/console/sign-in"), path
        for action in ("role", "invitation", "password", "state", "erase"):
            fields = {"role": "owner", "active": "0"}
            assert administrator.post(f"{page}/{action}", fields).status_code == 403, action
            assert stranger.post(f"{page}/{action}", fields).headers["Location"].startswith("/console/sign-in")
    assert administrator.post("/console/account/users/new", {"email": NEW, "role": "owner"}).status_code == 403
    assert len(campus.audit()) == before
    assert PASSWORD not in administrator.answer.text
