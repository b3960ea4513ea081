"""Adds and changes learners, and finds the groups that a call names for them."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.model import Caller, Permission, Role
from rollbook.store.database.tables import groups, memberships, user_teams, users
from rollbook.store.people.emails import alike, exactly, folded
from rollbook.store.people.group_search import GROUP_ID
from rollbook.store.people.permissions import COLUMNS, holds
from rollbook.store.people.profiles import list_teams

DIGITS_OF_AN_ID = 19
Row = sa.Row[*tuple[Any, ...]]


def find_taken(
    connection: sa.Connection, account_id: int, email: str | None, employee_id: str | None, *, user_id: int | None
) -> list[str]:
    """Return which of `email` and `employee_id` another user than `user_id` has."""
    found = []
    # lower() too, as in the index: some users are not folded yet, or share a folded form.
    emails = [exactly([email]), alike([email]), sa.func.lower(users.c.email) == sa.func.lower(email)] if email else []
    ids = [users.c.employee_id == employee_id] if employee_id else []
    for name, same in (("email", emails), ("employee_id", ids)):
        query = sa.select(users.c.id).where(users.c.account_id == account_id, users.c.id.is_distinct_from(user_id))
        if same and connection.execute(query.where(sa.or_(*same)).limit(1)).first():
            found.append(name)
    return found


def find_named_groups(
    connection: sa.Connection,
    caller: Caller,
    names: Collection[str],
    group_ids: Collection[str],
    permissions: Collection[Permission],
) -> Sequence[Row]:
    """Find the named groups, oldest active ones first, with the permissions of the caller in each.

    A learner finds only groups in which the learner has one of the permissions.
    """
    g = groups.c
    numbers = [int(text) for text in group_ids if text.isascii() and text.isdigit() and len(text) < DIGITS_OF_AN_ID]
    named = sa.or_(g.name.in_(names), g.identifier.in_(group_ids), sa.and_(g.identifier.is_(None), g.id.in_(numbers)))
    mine = sa.and_(memberships.c.group_id == g.id, memberships.c.user_id == caller.user_id)
    query = sa.select(
        g.id, g.name, g.active, g.user_limit, GROUP_ID.label("group_id"), *COLUMNS.values()
    ).outerjoin_from(groups, memberships, mine)
    query = query.where(g.account_id == caller.account_id, named)
    if not caller.administers:
        query = query.where(holds(permissions))
    return connection.execute(query.order_by(g.active.desc(), g.id)).all()


def add_learner(
    connection: sa.Connection,
    account_id: int,
    columns: Mapping[str, Any],
    kept: Mapping[str, Any],
    teams: Collection[str],
    now: datetime,
) -> int:
    """Add a learner and return the id; errors: IntegrityError when another call has taken e-mail or employee id."""
    row = {"active": True, **columns, **folded(columns.get("email")), "role": Role.LEARNER, "profile": _write(kept)}
    added = sa.insert(users).values(account_id=account_id, created_at=now, modified_at=now, **row)
    user_id: int = connection.execute(added.returning(users.c.id)).scalar_one()
    set_teams(connection, account_id, user_id, teams)
    return user_id


def change_learner(
    connection: sa.Connection,
    account_id: int,
    user_id: int,
    columns: Mapping[str, Any],
    kept: Mapping[str, Any],
    teams: Collection[str] | None,
    now: datetime,
) -> list[str]:
    """Change the given columns of a learner, and return the names of those that differ.

    Errors: IntegrityError as for add_learner.
    """
    mine = users.c.id == user_id
    # The lock makes two concurrent calls change only the columns that each of them names.
    before = connection.execute(sa.select(users).where(mine).with_for_update()).one()._asdict()
    changes = {name: value for name, value in columns.items() if before[name] != value}
    profile = json.loads(before["profile"] or "{}")
    after = _given(profile | kept)
    changed = [*changes, *(name for name in kept if profile.get(name) != after.get(name))]
    if "email" in changes:
        changes |= folded(changes["email"])
    if after != profile:
        changes["profile"] = _write(after)
    if teams is not None and {*list_teams(connection, [user_id]).get(user_id, ())} != {*teams}:
        set_teams(connection, account_id, user_id, teams)
        changed.append("teams")
    if changed:
        connection.execute(sa.update(users).where(mine).values(**changes, modified_at=now))
    return changed


def touch(connection: sa.Connection, user_id: int, now: datetime) -> None:
    """Store the time of a change of a user."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(modified_at=now))


def set_teams(connection: sa.Connection, account_id: int, user_id: int, teams: Collection[str]) -> None:
    """Replace the teams of a user."""
    connection.execute(sa.delete(user_teams).where(user_teams.c.user_id == user_id))
    rows = [{"account_id": account_id, "user_id": user_id, "name": name} for name in sorted({*teams})]
    if rows:
        connection.execute(sa.insert(user_teams), rows)


def _given(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if value not in (None, [])}


def _write(kept: Mapping[str, Any]) -> str | None:
    return json.dumps(given, ensure_ascii=False) if (given := _given(kept)) else None
