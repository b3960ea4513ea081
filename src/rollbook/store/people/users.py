"""Users of an account and their roles. What a user may do is decided in methods/.

Every change goes into the audit here, in the name of `by`.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, Role, suggest, utc_now
from rollbook.store.database.tables import (
    accounts,
    external_authorizations,
    invitations,
    learner_sessions,
    login_sessions,
    pending_sign_ins,
    users,
)
from rollbook.store.operations.audit import compare, record_change
from rollbook.store.people.emails import find_by_email, folded
from rollbook.store.people.fields import check_email, check_text
from rollbook.store.people.learners import DIGITS_OF_AN_ID, change_learner, find_taken
from rollbook.store.people.search_text import search_text

# How many names are compared with an unknown one to suggest a known one.
MAX_SUGGESTIONS_READ = 2000
_COLUMNS = (users.c.id, users.c.email, users.c.active, users.c.role)


def list_users(connection: sa.Connection, account: Account) -> list[dict[str, object]]:
    """List the users of an account, oldest first."""
    query = sa.select(users).where(users.c.account_id == account.id)
    return [row._asdict() for row in connection.execute(query.order_by(users.c.id))]


def add_user(connection: sa.Connection, account: Account, email: str, role: Role, *, by: Actor, **details: str) -> int:
    """Add an active user, and return the number; `details` are given_name, family_name and employee_id.

    An empty one means none. Errors: UserError when the account has the e-mail, in any letter case, or the employee id
    already.
    """
    values: dict[str, Any] = {"given_name": "", "family_name": ""}
    values |= {name: check_text(name.replace("_", " "), text) for name, text in details.items() if text}
    email, now = check_email(email), utc_now()
    values |= {"email": email, **folded(email), "role": role, "active": True, "created_at": now, "modified_at": now}
    values |= search_text(values["given_name"], values["family_name"], email, values.get("employee_id"))
    try:
        adding = sa.insert(users).values(account_id=account.id, **values).returning(users.c.id)
        number: int = connection.execute(adding).scalar_one()
    except IntegrityError:
        raise UserError(
            f"The account {account.name!r} has a user with the e-mail {email} already, or with that employee id."
        ) from None
    record_change(connection, account.id, by, Change(Action.ADD_USER, email, {"role": role.value}))
    return number


def set_role(connection: sa.Connection, account: Account, named: str, role: Role, *, by: Actor) -> None:
    """Change the role of a user named as for `find_named`; errors: UserError when no active owner would be left."""
    user = find_named(connection, account, named)
    if role is not Role.OWNER:
        keep_an_owner(connection, account, user.id)
    if role is Role.LEARNER:
        connection.execute(sa.delete(invitations).where(invitations.c.user_id == user.id))
    changed = sa.update(users).where(users.c.account_id == account.id, users.c.id == user.id)
    connection.execute(changed.values(role=role, modified_at=utc_now()))
    if details := compare({"role": user.role}, {"role": role.value}):
        record_change(connection, account.id, by, Change(Action.SET_ROLE, user.email or f"User {user.id}", details))


def keep_an_owner(connection: sa.Connection, account: Account, user_id: int) -> None:
    """Raise UserError when the user is the only active owner of the account."""
    # The lock makes two owners who demote each other at the same time take effect one after the other.
    connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account.id).with_for_update())
    owners = sa.select(users.c.id, users.c.email).where(users.c.account_id == account.id, users.c.active)
    found = connection.execute(owners.where(users.c.role == Role.OWNER)).all()
    if [row.id for row in found] == [user_id]:
        name = found[0].email or f"User {user_id}"
        raise UserError(f"{name} is the last owner of the account {account.name!r}. Make another owner first.")


def set_active(connection: sa.Connection, account: Account, named: str, *, active: bool, by: Actor) -> str:
    """Activate or deactivate a user named as for `find_named`; return the name.

    Login sessions end; keys stay, and open nothing while the user is inactive. Errors: UserError for the last owner.
    """
    user = find_named(connection, account, named)
    if not active:
        keep_an_owner(connection, account, user.id)
        end_sessions(connection, user.id)
    if user.active != active:
        changed = sa.update(users).where(users.c.id == user.id).values(active=active, modified_at=utc_now())
        connection.execute(changed)
        action = Action.ACTIVATE_USER if active else Action.DEACTIVATE_USER
        record_change(connection, account.id, by, Change(action, f"user {user.id}"))
    return user.email or f"User {user.id}"


def rename_user(
    connection: sa.Connection, account: Account, named: str, changes: Mapping[str, str], *, by: Actor
) -> int:
    """Change email, employee_id, given_name or family_name of a user named as for `find_named`; return the number.

    Errors: UserError, also when another user has the e-mail or the employee id.
    """
    user = find_named(connection, account, named)
    values: dict[str, Any] = {
        name: check_email(text) if name == "email" else check_text(name.replace("_", " "), text)
        for name, text in changes.items()
    }
    wanted = (values.get("email"), values.get("employee_id"))
    for taken in find_taken(connection, account.id, *wanted, user_id=user.id):
        what = "e-mail" if taken == "email" else "employee id"
        raise UserError(f"Another user of the account {account.name!r} has the {what} {values[taken]!r}.")
    if changed := change_learner(connection, account.id, user.id, values, {}, None, utc_now()):
        details = {"values": changed, **compare({"email": user.email}, {"email": values.get("email", user.email)})}
        change = Change(Action.UPDATE_USER, f"user {user.id}", details)
        record_change(connection, account.id, by, change)
    number: int = user.id
    return number


def end_sessions(connection: sa.Connection, user_id: int) -> None:
    """End the login sessions, pending sign-ins and invitation of a user, also the sessions of the learner's page."""
    for table in (login_sessions, pending_sign_ins, invitations, learner_sessions, external_authorizations):
        connection.execute(sa.delete(table).where(table.c.user_id == user_id))


def find_named(connection: sa.Connection, account: Account, named: str) -> sa.Row[int, str, bool, str]:
    """Find a user of the account by number or by e-mail; errors: UserError, also for an erased one."""
    if not (named.isascii() and named.isdigit()):
        return find_user(connection, account, named)
    number = int(named) if len(named) < DIGITS_OF_AN_ID else 0
    mine = sa.and_(users.c.account_id == account.id, users.c.id == number)
    user = connection.execute(sa.select(*_COLUMNS).where(mine)).one_or_none()
    if user is None:
        raise UserError(f"The account {account.name!r} has no user {named}. See: rollbook user list")
    if connection.execute(sa.select(users.c.erased_at).where(mine)).scalar_one() is not None:
        raise UserError(f"User {number} has been erased.")
    return user


def find_user(connection: sa.Connection, account: Account, email: str) -> sa.Row[int, str, bool, str]:
    """Find a user of the account by e-mail, in any letter case; errors: UserError."""
    email = check_email(email)
    user = find_by_email(connection, sa.select(*_COLUMNS).where(users.c.account_id == account.id), email)
    if user is None:
        alike = sa.select(users.c.email).where(users.c.account_id == account.id, users.c.email.startswith(email[0]))
        near = suggest(email, connection.execute(alike.limit(MAX_SUGGESTIONS_READ)).scalars())
        raise UserError(f"The account {account.name!r} has no user {email}.{near} See: rollbook user list")
    return user
