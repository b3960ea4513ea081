"""Two spellings of an e-mail address are equal by one rule: on both databases, in the API, console and commands."""

import re

import pytest
import sqlalchemy as sa

from campus import OPERATOR, Campus
from commands import Run
from conftest import Served, Visitors
from rollbook.model import Role
from rollbook.store.database.database import Database
from rollbook.store.database.tables import memberships, users
from rollbook.store.people.accounts import find_account
from rollbook.store.people.emails import fold_emails
from rollbook.store.people.users import add_user
from visitor import give_password

# One address in each line: composed and decomposed, the Kelvin sign, a capital sharp s.
SAME = [("jörg@example.org", "JÖRG@example.org"), ("jörg@example.org", "jo\u0308rg@example.org")]
SAME += [("kelvin@example.org", "\u212aelvin@example.org"), ("groß@example.org", "GROẞ@EXAMPLE.ORG")]
# Two addresses in each: a dotted capital I differs from i.
OTHER = [("admin@example.org", "adm\u0130n@example.org"), ("admin@example.org", "adm\u0131n@example.org")]


@pytest.mark.parametrize(("stored", "given"), SAME)
def test_command_line_finds_the_user_by_another_spelling_of_the_address(rollbook: Run, stored: str, given: str) -> None:
    assert rollbook("init", "--account", "A", "--owner", stored).code == 0
    assert rollbook("user", "add", given).code == 2
    assert rollbook("key", "new", "--user", given).code == 0


@pytest.mark.parametrize(("stored", "given"), OTHER)
def test_address_with_another_letter_is_another_user(rollbook: Run, stored: str, given: str) -> None:
    assert rollbook("init", "--account", "A", "--owner", stored).code == 0
    assert rollbook("key", "new", "--user", given).code == 2


def test_administrator_creates_no_key_for_an_owner_with_a_similar_address(
    served: Served, campus: Campus, visitors: Visitors
) -> None:
    with served.database.write() as connection:
        add_user(connection, campus.account, "jörg@example.org", Role.OWNER, by=OPERATOR)
        # As added by an older release, beside the owner.
        row = {"email": "JÖRG@example.org", "role": "administrator", "active": True}
        names = {"given_name": "", "family_name": "", "account_id": campus.account.id}
        times = dict.fromkeys(("created_at", "modified_at"), sa.func.current_timestamp())
        other = connection.execute(users.insert().values(**row, **names, **times).returning(users.c.id)).scalar_one()
    give_password(campus, "JÖRG@example.org")
    visitor = visitors()
    visitor.sign_in(campus, "JÖRG@example.org")
    visitor.open("/console/account/keys")
    visitor.submit("/console/account/keys", email="jörg@example.org")
    assert visitor.answer.status_code == 403
    visitor.open("/console/account/keys")
    visitor.submit("/console/account/keys", email="JÖRG@example.org")
    assert visitor.answer.status_code == 200
    assert other


def test_failed_sign_ins_count_per_user_for_every_spelling_of_the_address(served: Served, visitors: Visitors) -> None:
    campus = Campus(served.database)
    with served.database.write() as connection:
        add_user(connection, campus.account, "kirk@example.org", Role.OWNER, by=OPERATOR)
    give_password(campus, "kirk@example.org")
    visitor = visitors()
    spellings = ["kirk@example.org", "KIRK@example.org", "\u212aIR\u212a@example.org", "KIR\u212a@example.org"]
    for spelling in [*spellings * 3][:10]:
        visitor.sign_in(campus, spelling, "a wrong password")
        assert visitor.answer.status_code == 403
    visitor.sign_in(campus, "kir\u212a@example.org")
    assert visitor.answer.status_code == 429


@pytest.mark.parametrize(("stored", "given"), SAME)
def test_api_finds_a_learner_by_every_spelling_of_the_address(
    served: Served, campus: Campus, stored: str, given: str
) -> None:
    with served.database.write() as connection:
        add_user(connection, campus.account, stored, Role.LEARNER, by=OPERATOR)
        mine = sa.and_(users.c.account_id == campus.account.id, users.c.email == stored)
        user_id = connection.execute(sa.select(users.c.id).where(mine)).scalar_one()
    campus.add(memberships, user_id=user_id, group_id=campus.group_id, group_manager=False, manage_group_users=False)
    item = (
        f"<Enrollment><User><Email>{given}</Email></User><GroupName>North</GroupName>"
        f"<LearningModuleID>{campus.course_id}</LearningModuleID></Enrollment>"
    )
    call = campus.call("enrollLearningModules", f"<LearningModuleEnrollment>{item}</LearningModuleEnrollment>")
    answer = served.server.post(call)
    assert "<User>" in answer.text, answer.text
    users_filter = f"<Users><UserIdentifier><EmailAddress>{given}</EmailAddress></UserIdentifier></Users>"
    report = campus.call("getLearnerReport", f"<Report><Filters>{users_filter}</Filters></Report>")
    assert 'rows="1"' in served.server.post(report).text


def _add_as_an_older_release(database: Database, account_id: int, *emails: str) -> None:
    row = {"given_name": "", "family_name": "", "role": "learner", "active": True, "account_id": account_id}
    times = dict.fromkeys(("created_at", "modified_at"), sa.func.current_timestamp())
    with database.write() as connection:
        for email in emails:
            connection.execute(users.insert().values(**row, **times, email=email))


def test_addresses_added_by_an_older_release_are_folded_and_doctor_names_collisions(
    rollbook: Run, database: Database
) -> None:
    assert rollbook("init", "--account", "A", "--owner", "owner@example.org").code == 0
    with database.read() as connection:
        account = find_account(connection, "A")
    _add_as_an_older_release(database, account.id, "Ann@example.org", "STRASSE@example.org", "straße@example.org")
    assert rollbook("key", "new", "--user", "ann@EXAMPLE.org").code == 0  # at once
    assert rollbook("migrate").code == 0
    with database.write() as connection:
        assert fold_emails(connection) == 0
        kept = sa.select(users.c.email, users.c.email_folded).order_by(users.c.id)
        assert [tuple(row) for row in connection.execute(kept)][1:] == [
            ("Ann@example.org", "ann@example.org"),
            ("STRASSE@example.org", "strasse@example.org"),
            ("straße@example.org", None),
        ]
    found = rollbook("doctor").out
    assert re.search(r"straße@example\.org and STRASSE@example\.org in A", found)
    for exactly in ("STRASSE@example.org", "straße@example.org"):
        assert rollbook("key", "new", "--user", exactly).code == 0
    keys = rollbook("key", "list", "--format", "json").json
    assert [row["user"] for row in keys][-2:] == ["STRASSE@example.org", "straße@example.org"]
    with database.write() as connection:  # an older release changes the address
        connection.execute(users.update().where(users.c.email == "Ann@example.org").values(email="Bea@example.org"))
    assert rollbook("user", "add", "ANN@example.org").code == 0
    assert rollbook("key", "new", "--user", "bea@example.org").code == 0
