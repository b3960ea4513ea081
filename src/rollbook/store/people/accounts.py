"""Accounts, their users and their keys: the only SQL about them. What a user may do is decided in methods/.

Every change goes into the audit here, in the name of `by`.
"""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Action, Actor, Caller, Change, Policies, Role, suggest, utc_now
from rollbook.store.database.execute import run
from rollbook.store.database.sql import statement
from rollbook.store.database.tables import accounts, groups, keys, memberships, users
from rollbook.store.operations.audit import compare, record_change
from rollbook.store.people.emails import find_by_email, folded

Rows = list[dict[str, object]]

TEXT_LIMIT = 255
SUGGESTED_FROM = 2000  # names that are looked through for one like an unknown one
# What the column can hold; a century, because far beyond it the calendar has no date left.
POLICY_LIMITS = {"hold_seconds": 2**31 - 1, "retention_days": 36_500}

# A row of whom the account's key belongs to, with the user when both keys belong together.
_FIND_CALLER = """
    SELECT a.id AS account_id, a.name AS account, a.protect_completed, a.hold_seconds, a.retention_days,
           u.id AS user_id, COALESCE(u.email, '') AS email, u.role
    FROM keys AS account_key
    JOIN accounts AS a ON a.id = account_key.account_id
    JOIN keys AS user_key
        ON user_key.digest = :user_digest AND user_key.account_id = a.id AND user_key.revoked_at IS NULL
    JOIN users AS u ON u.id = user_key.user_id AND u.account_id = user_key.account_id AND u.active
    WHERE account_key.digest = :account_digest AND account_key.user_id IS NULL AND account_key.revoked_at IS NULL
"""

# A permission that is not named stays as it is.
_GRANT = """
    INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
    VALUES (:account_id, :group_id, :user_id, COALESCE(:group_manager, false), COALESCE(:manage_group_users, false))
    ON CONFLICT (group_id, user_id) DO UPDATE
    SET group_manager = COALESCE(:group_manager, memberships.group_manager),
        manage_group_users = COALESCE(:manage_group_users, memberships.manage_group_users)
"""

_POLICIES = (accounts.c.protect_completed, accounts.c.hold_seconds, accounts.c.retention_days)


@dataclass(frozen=True)
class Account:
    """An account and what it has decided about its unenrollments."""

    id: int
    name: str
    policies: Policies


def find_caller(connection: sa.Connection, account_key: str, user_key: str) -> Caller | None:
    """Find the caller that both keys belong to.

    None when one is unknown or revoked, when they are of two accounts, or when the user is inactive.
    """
    digests = {"account_digest": _digest(account_key), "user_digest": _digest(user_key)}
    found = run(connection, _FIND_CALLER, digests)
    if not found:
        return None
    [(account_id, account, protect_completed, hold_seconds, retention_days, user_id, email, role)] = found
    policies = Policies(bool(protect_completed), hold_seconds, retention_days)
    return Caller(account_id, account, user_id, email, Role(role), policies)


def find_account(connection: sa.Connection, name: str | None) -> Account:
    """Find an account by its name, or with None the only one; errors: UserError when that is not exactly one."""
    query = sa.select(accounts.c.id, accounts.c.name, *_POLICIES).order_by(accounts.c.name)
    if name is not None:
        query = query.where(accounts.c.name == _clean("account name", name))
    found = connection.execute(query).all()
    if len(found) == 1:
        number, its_name, *policies = found[0]
        return Account(number, its_name, Policies(*policies))
    if found:
        raise UserError(f"Choose an account with --account: {', '.join(row.name for row in found)}")
    if name is not None:
        names = connection.execute(sa.select(accounts.c.name)).scalars()
        raise UserError(f"There is no account {name!r}.{suggest(name, names)} See: rollbook account list")
    raise UserError("There is no account yet. Run: rollbook init --account NAME --owner EMAIL")


def list_accounts(connection: sa.Connection) -> Rows:
    """List every account with its policies, by name."""
    query = sa.select(accounts.c.id, accounts.c.name, *_POLICIES, accounts.c.created_at)
    return [row._asdict() for row in connection.execute(query.order_by(accounts.c.name))]


def add_account(connection: sa.Connection, name: str, owner: str, *, by: Actor) -> tuple[str, str]:
    """Add an account and its owner, given by e-mail; return the key of the account and the key of the owner."""
    name = _clean("account name", name)
    taken = f"There is an account {name!r} already. For more keys of it: rollbook key new --help"
    number = _insert(
        connection, accounts, taken, name=name, created_at=utc_now(), counted_change=0, **asdict(Policies())
    )
    account = Account(number, name, Policies())
    record_change(connection, number, by, Change(Action.ADD_ACCOUNT, name))
    add_user(connection, account, owner, Role.OWNER, by=by)
    return new_key(connection, account, None, by=by), new_key(connection, account, owner, by=by)


def check_policies(changes: Mapping[str, bool | int | None]) -> None:
    """Raise UserError for a policy that is out of its limits."""
    for policy, limit in POLICY_LIMITS.items():
        if not 0 <= (changes.get(policy) or 0) <= limit:
            raise UserError(f"{policy} is a number from 0 to {limit}.")


def set_policies(
    connection: sa.Connection, account: Account, changes: Mapping[str, bool | int | None], *, by: Actor
) -> None:
    """Change the policies that are named, and leave the others as they are."""
    check_policies(changes)
    before = connection.execute(sa.select(*_POLICIES).where(accounts.c.id == account.id).with_for_update()).one()
    connection.execute(sa.update(accounts).where(accounts.c.id == account.id).values(**changes))
    if details := compare(before._asdict(), changes):
        record_change(connection, account.id, by, Change(Action.SET_POLICIES, details=details))


def list_users(connection: sa.Connection, account: Account) -> Rows:
    """List the users of an account, in the order in which they were added."""
    query = sa.select(users).where(users.c.account_id == account.id)
    return [row._asdict() for row in connection.execute(query.order_by(users.c.id))]


def add_user(connection: sa.Connection, account: Account, email: str, role: Role, *, by: Actor, **details: str) -> None:
    """Add an active user; `details` are given_name, family_name, employee_id, and an empty one is none.

    Errors: UserError when the account has the e-mail, in any case of its letters, or the employee id already.
    """
    values: dict[str, object] = {"given_name": "", "family_name": ""}
    values |= {name: _clean(name.replace("_", " "), text) for name, text in details.items() if text}
    email, now = _clean_email(email), utc_now()
    values |= {"email": email, **folded(email), "role": role, "active": True, "created_at": now, "modified_at": now}
    taken = f"The account {account.name!r} has a user with the e-mail {email} already, or with that employee id."
    _insert(connection, users, taken, account_id=account.id, **values)
    record_change(connection, account.id, by, Change(Action.ADD_USER, email, {"role": role.value}))


def set_role(connection: sa.Connection, account: Account, email: str, role: Role, *, by: Actor) -> None:
    """Give a user another role; errors: UserError when the account would be left without an active owner."""
    # Two owners who demote each other at the same time wait here, one for the other.
    connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account.id).with_for_update())
    user = find_user(connection, account, email)
    owners = sa.select(users.c.id).where(users.c.account_id == account.id, users.c.role == Role.OWNER, users.c.active)
    if role is not Role.OWNER and connection.execute(owners).scalars().all() == [user.id]:
        raise UserError(f"{user.email} is the last owner of the account {account.name!r}. Make another owner first.")
    changed = sa.update(users).where(users.c.account_id == account.id, users.c.id == user.id)
    connection.execute(changed.values(role=role, modified_at=utc_now()))
    if details := compare({"role": user.role}, {"role": role.value}):
        record_change(connection, account.id, by, Change(Action.SET_ROLE, user.email, details))


def grant_permissions(
    connection: sa.Connection,
    account: Account,
    email: str,
    group: str,
    permissions: Mapping[str, bool | None],
    *,
    by: Actor,
) -> None:
    """Give a user group_manager and manage_group_users in an active group, or take them away; None leaves one.

    Who was no member of the group becomes one. Errors: UserError, also when several groups have the name.
    """
    user, name = find_user(connection, account, email), _clean("group name", group)
    named = sa.select(groups.c.id).where(groups.c.account_id == account.id, groups.c.name == name, groups.c.active)
    ids = connection.execute(named).scalars().all()
    if len(ids) != 1:
        count = f"{len(ids)} active groups" if ids else "no active group"
        active = sa.select(groups.c.name).where(groups.c.account_id == account.id, groups.c.active)
        near = "" if ids else suggest(name, connection.execute(active.limit(SUGGESTED_FROM)).scalars())
        raise UserError(f"The account {account.name!r} has {count} {name!r}; the name has to be that of one.{near}")
    membership = {"account_id": account.id, "group_id": ids[0], "user_id": user.id}
    held = sa.select(memberships.c.group_manager, memberships.c.manage_group_users)
    held = held.where(*(memberships.c[name] == number for name, number in membership.items()))
    before = connection.execute(held).one_or_none()
    connection.execute(statement(connection, _GRANT), {**membership, **permissions})
    given = {permission: has for permission, has in permissions.items() if has is not None}
    if details := compare(before._asdict() if before else {}, given):
        record_change(connection, account.id, by, Change(Action.GRANT, user.email, {"group": name, **details}))


def list_keys(connection: sa.Connection, account: Account) -> Rows:
    """List the keys of an account, revoked ones too, without anything of the keys themselves."""
    kind = sa.case((keys.c.user_id.is_(None), "account"), else_="user").label("kind")
    columns = (keys.c.id, kind, keys.c.user_id, users.c.email.label("user"), keys.c.created_at, keys.c.revoked_at)
    query = sa.select(*columns)
    query = query.outerjoin_from(keys, users, keys.c.user_id == users.c.id).where(keys.c.account_id == account.id)
    return [row._asdict() for row in connection.execute(query.order_by(keys.c.id))]


def new_key(connection: sa.Connection, account: Account, email: str | None, *, by: Actor) -> str:
    """Make a key of a user, or with None of the account, and return it: it can never be read again."""
    user = None if email is None else find_user(connection, account, email)
    if user and not user.active:
        raise UserError(f"{user.email} is not active, so a key would not work.")
    key = secrets.token_hex(32)
    values = {"account_id": account.id, "user_id": user and user.id, "digest": _digest(key), "created_at": utc_now()}
    number = connection.execute(sa.insert(keys).values(values).returning(keys.c.id)).scalar_one()
    of = {"user": user.email} if user else {}
    record_change(connection, account.id, by, Change(Action.NEW_KEY, f"key {number}", of))
    return key


def revoke_key(connection: sa.Connection, account: Account, key_id: int, *, by: Actor) -> None:
    """Let a key open nothing any more; one that was revoked before keeps the time of then."""
    mine = sa.and_(keys.c.account_id == account.id, keys.c.id == key_id)
    valid = sa.and_(mine, keys.c.revoked_at.is_(None))
    if connection.execute(sa.update(keys).where(valid).values(revoked_at=utc_now())).rowcount > 0:
        record_change(connection, account.id, by, Change(Action.REVOKE_KEY, f"key {key_id}"))
    elif connection.execute(sa.select(keys.c.id).where(mine)).first() is None:
        raise UserError(f"The account {account.name!r} has no key {key_id}. See: rollbook key list")


def find_user(connection: sa.Connection, account: Account, email: str) -> sa.Row[int, str, bool, str]:
    """Find a user of the account by e-mail, in any case of its letters; errors: UserError."""
    email = _clean_email(email)
    columns = (users.c.id, users.c.email, users.c.active, users.c.role)
    user = find_by_email(connection, sa.select(*columns).where(users.c.account_id == account.id), email)
    if user is None:
        alike = sa.select(users.c.email).where(users.c.account_id == account.id, users.c.email.startswith(email[0]))
        near = suggest(email, connection.execute(alike.limit(SUGGESTED_FROM)).scalars())
        raise UserError(f"The account {account.name!r} has no user {email}.{near} See: rollbook user list")
    return user


def _insert(connection: sa.Connection, table: sa.Table, taken: str, **values: object) -> int:
    try:
        number: int = connection.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one()
    except sa.exc.IntegrityError:
        raise UserError(taken) from None
    return number


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _clean_email(email: str) -> str:
    email = _clean("e-mail address", email)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise UserError(f"{email!r} is not an e-mail address.")
    return email


def _clean(what: str, text: str) -> str:
    text = text.strip()
    if not text:
        raise UserError(f"The {what} is empty.")
    # A control character (Cc), or a byte of the command line that is no text (Cs).
    if len(text) > TEXT_LIMIT or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise UserError(f"The {what} is text of at most {TEXT_LIMIT} characters, without control characters.")
    return text
