"""Accounts and their policies.

Every change goes into the audit here, in the name of `by`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, Policies, Role, suggest, utc_now
from rollbook.store.database.tables import accounts
from rollbook.store.operations.audit import compare, record_change
from rollbook.store.people.api_keys import new_key
from rollbook.store.people.fields import check_text
from rollbook.store.people.search import equals
from rollbook.store.people.users import add_user

# The column's maximum; a century, since the calendar ends not far beyond.
POLICY_LIMITS = {"hold_seconds": 2**31 - 1, "retention_days": 36_500}
# The advisory lock under which PostgreSQL adds accounts: no index makes names unique in any letter case.
NAMES_LOCK = 7_265_504

POLICIES = (
    *(accounts.c.protect_completed, accounts.c.hold_seconds, accounts.c.retention_days),
    accounts.c.require_second_factor,
)
_ADDRESSES = accounts.c.authorization_addresses


def named(connection: sa.Connection, name: str) -> sa.ColumnElement[bool]:
    """Match the account with exactly this name, or else every account with it in any letter case."""
    exact = accounts.c.name == name
    found = connection.execute(sa.select(accounts.c.id).where(exact)).first()
    return exact if found else equals(accounts.c.name, name)


def find_account(connection: sa.Connection, name: str | None) -> Account:
    """Find an account by name, also in another letter case, or with None the only one; errors: UserError."""
    query = sa.select(accounts.c.id, accounts.c.name, *POLICIES).order_by(accounts.c.name)
    if name is not None:
        query = query.where(named(connection, check_text("account name", name)))
    found = connection.execute(query).all()
    if len(found) == 1:
        number, its_name, *policies = found[0]
        return Account(number, its_name, Policies(*policies))
    if found and name is not None:
        alike = ", ".join(repr(row.name) for row in found)
        raise UserError(f"Several accounts have the name {name!r} in other letter cases. Name one exactly: {alike}")
    if found:
        raise UserError(f"Choose an account with --account: {', '.join(row.name for row in found)}")
    if name is not None:
        names = connection.execute(sa.select(accounts.c.name)).scalars()
        raise UserError(f"There is no account {name!r}.{suggest(name, names)} See: rollbook account list")
    raise UserError("There is no account yet. Run: rollbook init --account NAME --owner EMAIL")


def list_accounts(connection: sa.Connection) -> list[dict[str, object]]:
    """List every account with its policies, by name."""
    query = sa.select(accounts.c.id, accounts.c.name, *POLICIES, _ADDRESSES, accounts.c.created_at)
    return [_shown(row) for row in connection.execute(query.order_by(accounts.c.name))]


def add_account(connection: sa.Connection, name: str, owner: str, *, by: Actor) -> tuple[str, str]:
    """Add an account and its owner, given by e-mail; return the account's key and the owner's key.

    Errors: UserError when an account has the name, in any letter case.
    """
    name = check_text("account name", name)
    account = Account(_insert(connection, name), name, Policies())
    record_change(connection, account.id, by, Change(Action.ADD_ACCOUNT, name))
    add_user(connection, account, owner, Role.OWNER, by=by)
    return new_key(connection, account, None, by=by), new_key(connection, account, owner, by=by)


def check_policies(changes: Mapping[str, Any]) -> None:
    """Raise UserError for a policy outside its limits."""
    for policy, limit in POLICY_LIMITS.items():
        if not 0 <= (changes.get(policy) or 0) <= limit:
            raise UserError(f"{policy} is a number from 0 to {limit}.")


def set_policies(
    connection: sa.Connection, account: Account, changes: Mapping[str, bool | int | str | None], *, by: Actor
) -> None:
    """Change the given policies; the others stay as they are.

    `authorization_addresses` are addresses and networks, separated by commas; None: requestExternalAuthorization may be
    called from everywhere.
    """
    check_policies(changes)
    query = sa.select(*POLICIES, _ADDRESSES).where(accounts.c.id == account.id)
    before = _shown(connection.execute(query.with_for_update()).one())
    values = dict(changes)
    if isinstance(addresses := changes.get("authorization_addresses"), str):
        values["authorization_addresses"] = json.dumps(addresses.split(", "))
    connection.execute(sa.update(accounts).where(accounts.c.id == account.id).values(values))
    if details := compare(before, changes):
        record_change(connection, account.id, by, Change(Action.SET_POLICIES, details=details))


def _shown(row: sa.Row[*tuple[Any, ...]]) -> dict[str, object]:
    addresses = row.authorization_addresses
    return {**row._asdict(), "authorization_addresses": addresses and ", ".join(json.loads(addresses))}


def _insert(connection: sa.Connection, name: str) -> int:
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(NAMES_LOCK)))
    if taken := connection.execute(sa.select(accounts.c.name).where(named(connection, name))).scalars().first():
        alike = "" if taken == name else f" {name!r} differs from it only in letter case."
        raise UserError(f"There is an account {taken!r} already.{alike} For more keys of it: rollbook key new --help")
    row = {"name": name, "created_at": utc_now(), "counted_change": 0, **asdict(Policies())}
    account_id: int = connection.execute(sa.insert(accounts).values(row).returning(accounts.c.id)).scalar_one()
    return account_id
