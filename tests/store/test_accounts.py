"""Keys, users and owners: two keys authenticate one user of one account."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
import sqlalchemy as sa

from campus import OPERATOR
from rollbook.errors import UserError
from rollbook.model import Caller, Policies, Role, utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import accounts, keys
from rollbook.store.operations.audit import list_changes
from rollbook.store.people.accounts import add_account, find_account, set_policies
from rollbook.store.people.api_keys import expire_keys, find_caller, list_keys, new_key, revoke_key, use_keys
from rollbook.store.people.users import add_user, list_users, set_role

Pair = tuple[str, str]


@pytest.fixture
def acme(database: Database) -> Pair:
    """The keys of the account Acme and of its owner, beside another account."""
    with database.write() as connection:
        add_account(connection, "Beta", "bea@beta.example", by=OPERATOR)
        return add_account(connection, "Acme", "ann@acme.example", by=OPERATOR)


def find(database: Database, account_key: str, user_key: str) -> Caller | None:
    """Authenticate a call with these keys."""
    with database.read() as connection:
        return find_caller(connection, account_key, user_key)


def test_pair_of_keys_identifies_user_role_and_policies(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        account = find_account(connection, "Acme")
        set_policies(connection, account, {"protect_completed": True, "retention_days": 7}, by=OPERATOR)
        add_user(connection, account, "Bo@acme.example", Role.LEARNER, by=OPERATOR)
        key = new_key(connection, account, "bo@acme.example", by=OPERATOR)
        user_id = list_users(connection, account)[1]["id"]
    expected = Policies(protect_completed=True, hold_seconds=0, retention_days=7)
    assert isinstance(user_id, int)
    assert find(database, acme[0], key) == Caller(
        account.id, "Acme", user_id, "Bo@acme.example", Role.LEARNER, expected
    )


def test_wrong_pair_of_keys_does_not_authenticate(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        gamma = add_account(connection, "Gamma", "ann@acme.example", by=OPERATOR)
    account_key, user_key = acme
    assert find(database, account_key, user_key) is not None
    wrong = "0" * 64
    for pair in [
        (wrong, user_key),
        (account_key, wrong),
        (user_key, account_key),
        (account_key, account_key),
        (user_key, user_key),
        (account_key, gamma[1]),
        (gamma[0], user_key),
        (account_key.upper(), user_key),
        (account_key[:-1], user_key),
        ("", ""),
        (account_key, ""),
        ("é", user_key),
        ("' OR 1=1 --", user_key),
    ]:
        assert find(database, *pair) is None, pair


@pytest.mark.parametrize("kind", ["account", "user"])
def test_revoked_key_does_not_authenticate(database: Database, acme: Pair, kind: str) -> None:
    with database.write() as connection:
        account = find_account(connection, "Acme")
        (key_id,) = (row["id"] for row in list_keys(connection, account) if row["kind"] == kind)
        assert isinstance(key_id, int)
        revoke_key(connection, account, key_id, by=OPERATOR)
    assert find(database, *acme) is None


@pytest.mark.parametrize("kind", ["account", "user"])
def test_expired_key_does_not_authenticate_and_a_worker_ends_it(database: Database, acme: Pair, kind: str) -> None:
    with database.read() as connection:
        account = find_account(connection, "Acme")
        (number,) = (row["id"] for row in list_keys(connection, account) if row["kind"] == kind)

    def expire_in(seconds: float) -> None:
        with database.write() as connection:
            at = utc_now() + timedelta(seconds=seconds)
            connection.execute(keys.update().where(keys.c.id == number).values(expires_at=at))

    expire_in(3600)
    assert find(database, *acme) is not None
    assert expire_keys(database, 10) == 0
    expire_in(-1)
    assert find(database, *acme) is None
    assert [expire_keys(database, 10), expire_keys(database, 10)] == [1, 0]
    with database.read() as connection:
        line = list_changes(connection, account.id)[0]
        (key,) = (row for row in list_keys(connection, account) if row["id"] == number)
    assert (line["action"], line["actor"], line["subject"]) == ("expire-key", "worker", f"key {number}")
    assert key["state"] == "expired"
    assert key["revoked_at"] == key["expires_at"]  # for servers that do not know expiry


def test_last_use_of_a_key_is_stored_once_a_minute(database: Database, acme: Pair) -> None:
    caller = find(database, *acme)
    assert caller is not None

    def use() -> set[object]:
        with database.write() as connection:
            use_keys(connection, caller.key_ids)
        with database.read() as connection:
            used = sa.select(keys.c.last_used_at).where(keys.c.id.in_(caller.key_ids))
            return {*connection.execute(used).scalars()}

    assert len(caller.key_ids) == 2
    first = use()
    assert use() == first != {None}
    with database.write() as connection:
        connection.execute(keys.update().values(last_used_at=utc_now() - timedelta(seconds=61)))
    assert use().isdisjoint(first)


def test_inactive_user_cannot_authenticate(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE users SET active = FALSE WHERE email = 'ann@acme.example'"))
    assert find(database, *acme) is None


def test_concurrent_demotions_leave_one_owner(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        account = find_account(connection, "Acme")
        add_user(connection, account, "bo@acme.example", Role.OWNER, by=OPERATOR)
    start, refused = threading.Barrier(2), []

    def demote(email: str) -> None:
        start.wait()
        try:
            with database.write() as connection:
                set_role(connection, account, email, Role.LEARNER, by=OPERATOR)
        except UserError as error:
            refused.append(error)

    for _ in range(20):
        threads = [threading.Thread(target=demote, args=[name]) for name in ("ann@acme.example", "bo@acme.example")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.write() as connection:
            assert [row["role"] for row in list_users(connection, account)].count("owner") == 1
            for email in ("ann@acme.example", "bo@acme.example"):
                set_role(connection, account, email, Role.OWNER, by=OPERATOR)
    assert len(refused) == 20


def test_email_is_unique_in_an_account(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        add_user(connection, find_account(connection, "Beta"), "ann@acme.example", Role.LEARNER, by=OPERATOR)
    with pytest.raises(UserError, match=r"ann@ACME\.example already"), database.write() as connection:
        add_user(connection, find_account(connection, "Acme"), "ann@ACME.example", Role.LEARNER, by=OPERATOR)


def test_account_is_found_in_any_letter_case_and_exactly_first(database: Database, acme: Pair) -> None:
    with database.write() as connection:
        assert find_account(connection, "aCME").name == "Acme"
        add_account(connection, "ÉCOLE [1]", "eva@ecole.example", by=OPERATOR)
        assert find_account(connection, "école [1]").name == "ÉCOLE [1]"
        # As an earlier release has added it.
        row = connection.execute(sa.select(accounts).where(accounts.c.name == "Acme")).mappings().one()
        connection.execute(sa.insert(accounts).values({**row, "id": 99, "name": "ACME"}))
        assert [find_account(connection, name).name for name in ("Acme", "ACME")] == ["Acme", "ACME"]
        with pytest.raises(UserError, match=r"Several accounts.*'ACME', 'Acme'|Several accounts.*'Acme', 'ACME'"):
            find_account(connection, "acme")
        for taken in ("Acme", "acmE"):
            with pytest.raises(UserError, match=r"There is an account '(Acme|ACME)' already"):
                add_account(connection, taken, "ann@acme.example", by=OPERATOR)


def test_of_two_names_added_at_once_that_differ_in_letter_case_one_is_refused(database: Database) -> None:
    def add(name: str) -> str:
        try:
            database.transact(lambda connection: add_account(connection, name, "ann@acme.example", by=OPERATOR))
        except UserError as error:
            return str(error)
        return "added"

    with ThreadPoolExecutor() as pool:
        with database.write() as connection:
            add_account(connection, "ÉCOLE", "eva@ecole.example", by=OPERATOR)
            second = pool.submit(add, "école")
            wait([second], timeout=0.3)
        said = second.result()
    assert said.startswith("There is an account 'ÉCOLE' already. 'école' differs from it only in letter case.")
