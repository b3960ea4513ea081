"""Who can sign in to the console, and when a session ends."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from conftest import Served, Visitors
from rollbook.model import Role, utc_now
from rollbook.store.database.tables import accounts, login_sessions, users
from rollbook.store.people.users import set_role
from visitor import COOKIE, PASSWORD, Visitor, give_password


def _is_in(visitor: Visitor) -> bool:
    return visitor.open("/console/queue").status_code == 200


def test_administrator_signs_in_and_out(visitors: Visitors, campus: Campus) -> None:
    give_password(campus, "administrator@example.org")
    visitor = visitors()
    visitor.sign_in(campus, "Administrator@Example.org")
    assert _is_in(visitor)
    kept = visitor.client.cookies[COOKIE]
    visitor.submit("/console/sign-out")
    assert "You are signed out" in visitor.text()
    assert not _is_in(visitor)
    visitor.client.cookies.set(COOKIE, kept)
    assert not _is_in(visitor)


def test_account_name_can_be_in_any_letter_case(served: Served, campus: Campus, stranger: Visitor) -> None:
    give_password(campus)

    def sign_in_as(name: str) -> bool:
        form = {"account": name, "email": "Owner@Example.org", "password": PASSWORD}
        stranger.client.cookies.clear()
        return stranger.post("/console/sign-in", form).status_code == 303

    assert sign_in_as(campus.name.swapcase())
    other = Campus(served.database)
    renamed = accounts.update().where(accounts.c.id == other.account.id).values(name=campus.name.upper())
    with served.database.write() as connection:
        connection.execute(renamed)
    assert sign_in_as(campus.name)
    assert not sign_in_as(campus.name.upper())  # it is exactly the other account, whose owner has no password
    assert not sign_in_as(campus.name.lower()) or campus.name.islower()


def test_address_of_the_server_leads_to_the_console(stranger: Visitor, owner: Visitor) -> None:
    for visitor, end in ((owner, "/console/queue"), (stranger, "/console/sign-in")):
        visitor.open("/")
        while visitor.answer.is_redirect:
            visitor.follow()
        assert (visitor.answer.status_code, visitor.answer.url.path) == (200, end)
    assert owner.client.head(f"{owner.origin}/").status_code == 303
    assert owner.post("/", {}).status_code == 405


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("owner@example.org", "another password"),
        ("owner@example.org", ""),
        ("nobody@example.org", "correct horse battery"),
        ("administrator@example.org", "correct horse battery"),
        ("learner@example.org", "correct horse battery"),
    ],
    ids=["wrong_password", "empty_password", "unknown_email", "no_password_set", "learner"],
)
def test_every_failed_sign_in_gets_the_same_answer(
    campus: Campus, stranger: Visitor, email: str, password: str
) -> None:
    give_password(campus)
    answer = stranger.sign_in(campus, email, password)
    assert answer.status_code == 403
    assert "The e-mail or the password is wrong" in stranger.text()
    assert not _is_in(stranger)


def test_same_email_in_another_account_is_another_user(served: Served, campus: Campus, stranger: Visitor) -> None:
    give_password(campus)
    other = Campus(served.database)
    give_password(other, password="another password")
    assert stranger.sign_in(campus, password="another password").status_code == 403
    assert stranger.sign_in(other, password="another password").status_code == 200
    assert other.name in stranger.answer.text


def test_new_password_ends_all_sessions_of_the_user(campus: Campus, owner: Visitor) -> None:
    assert _is_in(owner)
    give_password(campus, password="a newer password")
    assert not _is_in(owner)


def test_losing_the_role_ends_all_sessions_of_the_user(served: Served, visitors: Visitors, campus: Campus) -> None:
    give_password(campus, "administrator@example.org")
    visitor = visitors()
    visitor.sign_in(campus, "administrator@example.org")
    assert _is_in(visitor)
    with served.database.write() as connection:
        set_role(connection, campus.account, "administrator@example.org", Role.LEARNER, by=OPERATOR)
    assert not _is_in(visitor)


def test_inactive_user_cannot_use_the_session(served: Served, campus: Campus, owner: Visitor) -> None:
    with served.database.write() as connection:
        mine = users.c.account_id == campus.account.id
        connection.execute(sa.update(users).where(mine, users.c.email == "owner@example.org").values(active=False))
    assert not _is_in(owner)


@pytest.mark.parametrize(("column", "ago"), [("seen_at", timedelta(minutes=31)), ("created_at", timedelta(hours=13))])
def test_session_ends_when_idle_and_after_its_maximum(
    served: Served, campus: Campus, owner: Visitor, column: str, ago: timedelta
) -> None:
    def set_time(back: timedelta) -> None:
        with served.database.write() as connection:
            mine = login_sessions.c.account_id == campus.account.id
            connection.execute(sa.update(login_sessions).where(mine).values({column: utc_now() - back}))

    set_time(ago - timedelta(hours=1) if column == "created_at" else ago - timedelta(minutes=2))
    assert _is_in(owner) or column == "created_at"
    set_time(ago)
    assert not _is_in(owner)


def test_automatic_refresh_does_not_extend_the_session(served: Served, campus: Campus, owner: Visitor) -> None:
    def seen_ago() -> timedelta:
        with served.database.read() as connection:
            query = sa.select(login_sessions.c.seen_at).where(login_sessions.c.account_id == campus.account.id)
            seen_at: datetime = connection.execute(query).scalar_one()
        return utc_now() - seen_at

    with served.database.write() as connection:
        mine = login_sessions.c.account_id == campus.account.id
        connection.execute(sa.update(login_sessions).where(mine).values(seen_at=utc_now() - timedelta(minutes=20)))
    owner.client.get(f"{owner.origin}/console/queue", headers={"Rollbook-Live": "1"})
    assert seen_ago() > timedelta(minutes=19)
    assert _is_in(owner)
    assert seen_ago() < timedelta(minutes=1)
