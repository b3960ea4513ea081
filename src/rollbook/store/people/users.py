"""Users of an account and their roles. What a user may do is decided in methods/.

Every change goes into the audit here, in the name of `by`.
"""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, Role, suggest, utc_now
from rollbook.store.database.tables import accounts, users
from rollbook.store.operations.audit import compare, record_change
from rollbook.store.people.emails import find_by_email, folded
from rollbook.store.people.fields import check_email, check_text

# How many names are compared with an unknown one to suggest a known one.
MAX_SUGGESTIONS_READ = 2000


def list_users(connection: sa.Connection, account: Account) -> list[dict[str, object]]:
    """List the users of an account, oldest first."""
    query = sa.select(users).where(users.c.account_id == account.id)
    return [row._asdict() for row in connection.execute(query.order_by(users.c.id))]


def add_user(connection: sa.Connection, account: Account, email: str, role: Role, *, by: Actor, **details: str) -> None:
    """Add an active user; `details` are given_name, family_name and employee_id, where empty means none.

    Errors: UserError when the account has the e-mail, in any letter case, or the employee id already.
    """
    values: dict[str, object] = {"given_name": "", "family_name": ""}
    values |= {name: check_text(name.replace("_", " "), text) for name, text in details.items() if text}
    email, now = check_email(email), utc_now()
    values |= {"email": email, **folded(email), "role": role, "active": True, "created_at": now, "modified_at": now}
    try:
        connection.execute(sa.insert(users).values(account_id=account.id, **values))
    except IntegrityError:
        raise UserError(
            f"The account {account.name!r} has a user with the e-mail {email} already, or with that employee id."
        ) from None
    record_change(connection, account.id, by, Change(Action.ADD_USER, email, {"role": role.value}))


def set_role(connection: sa.Connection, account: Account, email: str, role: Role, *, by: Actor) -> None:
    """Change the role of a user; errors: UserError when the account would have no active owner."""
    # The lock makes two owners who demote each other at the same time take effect one after the other.
    connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account.id).with_for_update())
    user = find_user(connection, account, email)
    owners = sa.select(users.c.id).where(users.c.account_id == account.id, users.c.role == Role.OWNER, users.c.active)
    if role is not Role.OWNER and connection.execute(owners).scalars().all() == [user.id]:
        raise UserError(f"{user.email} is the last owner of the account {account.name!r}. Make another owner first.")
    changed = sa.update(users).where(users.c.account_id == account.id, users.c.id == user.id)
    connection.execute(changed.values(role=role, modified_at=utc_now()))
    if details := compare({"role": user.role}, {"role": role.value}):
        record_change(connection, account.id, by, Change(Action.SET_ROLE, user.email, details))


def find_user(connection: sa.Connection, account: Account, email: str) -> sa.Row[int, str, bool, str]:
    """Find a user of the account by e-mail, in any letter case; errors: UserError."""
    email = check_email(email)
    columns = (users.c.id, users.c.email, users.c.active, users.c.role)
    user = find_by_email(connection, sa.select(*columns).where(users.c.account_id == account.id), email)
    if user is None:
        alike = sa.select(users.c.email).where(users.c.account_id == account.id, users.c.email.startswith(email[0]))
        near = suggest(email, connection.execute(alike.limit(MAX_SUGGESTIONS_READ)).scalars())
        raise UserError(f"The account {account.name!r} has no user {email}.{near} See: rollbook user list")
    return user
