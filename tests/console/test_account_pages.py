"""Learners, policies, roles, passwords, keys, the audit and the last calls in the console."""

import re
import time
from datetime import timedelta

import sqlalchemy as sa

from campus import Campus, read_outcomes
from conftest import Served, Visitors
from rollbook.model import utc_now
from rollbook.store.database.tables import enrollments, keys, users
from visitor import PASSWORD, Visitor, give_password, shown_secret


def _administrator(campus: Campus, visitors: Visitors) -> Visitor:
    give_password(campus, "administrator@example.org")
    visitor = visitors()
    visitor.sign_in(campus, "administrator@example.org")
    return visitor


def test_learner_search_and_history(served: Served, campus: Campus, owner: Visitor) -> None:
    (id_,) = campus.enroll(1)
    served.server.post(campus.package([id_]), {"Rollbook-Reason": "Term over"})
    campus.drain()
    batch = max(int(link.rpartition("/")[2]) for link in _links(owner, "/console/batches"))
    owner.open(f"/console/batches/{batch}/undo")
    owner.submit(f"/console/batches/{batch}/undo", reason="A mistake")
    assert owner.open("/console/learners", q="SOME lear").status_code == 200
    with served.database.read() as connection:
        query = sa.select(enrollments.c.user_id).where(enrollments.c.id == id_)
        learner = connection.execute(query).scalar_one()
    assert owner.page().xpath(f"//a[@href='/console/learners/{learner}']")
    named = campus.add(users, given_name="Élan", family_name="vital", role="learner", active=True)
    owner.open("/console/learners", q="éLAN V")
    assert owner.page().xpath(f"//a[@href='/console/learners/{named}']")
    owner.open(f"/console/learners/{learner}")
    events = [re.sub(r"\s+", " ", row.text_content()) for row in owner.page().xpath("//section[2]//tbody/tr")]
    told = [
        ("Restored", "A mistake"),
        ("Unenrolled", "Term over"),
        ("Unenrollment requested", "Term over"),
        ("Enrolled", ""),
    ]
    assert len(events) == 4
    for event, (what, why) in zip(events, told, strict=True):
        assert what in event
        assert why in event
    other = Campus(served.database)
    other.enroll(1)
    assert owner.open(f"/console/learners/{learner + 10_000}").status_code == 404


def _links(visitor: Visitor, path: str) -> list[str]:
    visitor.open(path)
    return [str(link) for link in visitor.page().xpath("//tbody//th/a/@href")]


def test_owners_can_change_policies_and_administrators_cannot(
    campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    owner.open("/console/account")
    owner.submit("/console/account", protect_completed="1", hold_seconds="60", retention_days="")
    assert "Saved." in owner.text()
    owner.submit("/console/account", hold_seconds="soon")
    assert "The hold must be a whole number" in owner.text()
    administrator = _administrator(campus, visitors)
    administrator.open("/console/account")
    assert administrator.page().xpath("//input[@name='hold_seconds']/@value") == ["60"]
    for path in ("/console/account", "/console/account/users/new"):
        assert administrator.post(path, {"hold_seconds": "0"}).status_code == 403
        administrator.open("/console/account")
    administrator.open("/console/account")
    assert administrator.page().xpath("//input[@name='hold_seconds']/@value") == ["60"]


def test_user_changes_their_password(campus: Campus, owner: Visitor) -> None:
    def change(old: str, new: str, again: str) -> str:
        owner.open("/console/account")
        owner.submit("/console/account/password", old=old, new=new, again=again)
        return owner.text()

    assert "is wrong" in change("not this one", "a newer password", "a newer password")
    assert "new passwords differ" in change(PASSWORD, "a newer password", "another new one")
    assert "12 to 1000 characters" in change(PASSWORD, "short", "short")
    assert "The password is changed" in change(PASSWORD, "a newer password", "a newer password")
    assert owner.sign_in(campus).status_code == 403
    assert owner.sign_in(campus, password="a newer password").status_code == 200


def test_key_is_shown_once_works_and_can_be_revoked(served: Served, campus: Campus, owner: Visitor) -> None:
    (id_,) = campus.enroll(1)
    owner.open("/console/account/keys")
    owner.submit("/console/account/keys", email="administrator@example.org")
    key = shown_secret(owner)
    assert read_outcomes(served.server.post(campus.package([id_], key))) == ["accepted"]
    assert key not in owner.open("/console/account/keys").text
    owner.submit("/console/account/keys/revoke")
    assert "The key is revoked." in owner.text()
    assert read_outcomes(served.server.post(campus.package([id_], key))) == ["SU:10"]


def test_key_has_a_name_an_expiry_and_a_last_use(served: Served, campus: Campus, owner: Visitor) -> None:
    def cells(name: str) -> list[str]:
        [row] = [row for row in owner.page().xpath("//tbody/tr") if name in row.text_content()]
        return [re.sub(r"\s+", " ", str(cell.text_content())).strip() for cell in row]

    owner.open("/console/account/keys")
    fields = {"email": "administrator@example.org", "name": "Nightly sync <3", "expires": "2999-01-31"}
    owner.post("/console/account/keys", fields)
    owner.follow()
    key = shown_secret(owner)
    shown = cells("Nightly sync <3")
    assert [shown[2], *shown[4:7]] == ["administrator@example.org", "never", "2999-01-31 00:00", "active"]
    (id_,) = campus.enroll(1)
    assert read_outcomes(served.server.post(campus.package([id_], key))) == ["accepted"]
    deadline = time.monotonic() + 15  # the last use is written after the response
    while cells("Nightly sync <3")[4] == "never":
        assert time.monotonic() < deadline, "the use is not stored"
        time.sleep(0.05)
        owner.open("/console/account/keys")
    with served.database.write() as connection:
        mine = sa.and_(keys.c.account_id == campus.account.id, keys.c.name == "Nightly sync <3")
        connection.execute(keys.update().where(mine).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert read_outcomes(served.server.post(campus.package([id_], key))) == ["SU:10"]
    owner.open("/console/account/keys")
    assert cells("Nightly sync <3")[6:] == ["expired", ""]
    details = next(line for line in campus.audit() if line["action"] == "new-key")["details"]
    assert details == {
        "user": "administrator@example.org",
        "name": "Nightly sync <3",
        "expires": "2999-01-31T00:00:00+00:00",
    }


def test_key_with_a_past_or_unreadable_expiry_is_refused(campus: Campus, owner: Visitor) -> None:
    before = len(campus.audit())
    for day, said in (("2020-01-31", "cannot expire at 2020-01-31 00:00 UTC"), ("soon", "“soon” is not a day")):
        owner.post("/console/account/keys", {"email": "owner@example.org", "expires": day})
        assert owner.answer.status_code == 422
        assert said in owner.text()
    assert len(campus.audit()) == before


def test_idor_administrator_cannot_manage_keys_of_others(campus: Campus, owner: Visitor, visitors: Visitors) -> None:
    assert campus.administrator_key
    owner.open("/console/account/keys")
    numbers = [int(value) for value in owner.page().xpath("//input[@name='key']/@value")]
    administrator = _administrator(campus, visitors)
    administrator.open("/console/account/keys")
    mine = [int(value) for value in administrator.page().xpath("//input[@name='key']/@value")]
    assert len(mine) == 1
    for number in set(numbers) - set(mine):
        answer = administrator.post("/console/account/keys/revoke", {"key": number})
        assert answer.status_code == 404
    for email in ("owner@example.org", ""):
        answer = administrator.post("/console/account/keys", {"email": email})
        assert answer.status_code == 403
    owner.open("/console/account/keys")
    assert [int(value) for value in owner.page().xpath("//input[@name='key']/@value")] == numbers


def test_last_calls_show_the_error_of_a_call(served: Served, campus: Campus, owner: Visitor) -> None:
    answer = served.server.post(campus.package(["nonsense"]))
    deadline = time.monotonic() + 15  # calls are logged after their responses
    while answer.headers["X-Request-ID"] not in owner.open("/console/account/calls").text:
        assert time.monotonic() < deadline, "the call is not listed"
        time.sleep(0.05)
    assert "ULM:01" in owner.text()
    assert "Failed" in owner.text()


def test_audit_filter_of_an_unknown_action_is_an_error(owner: Visitor) -> None:
    assert owner.open("/console/account/audit", action="delete").status_code == 422
    assert "“delete” is not an action." in owner.text()
