"""Lists the learners of an account by filters and pages.

Pages of the second half are read from the end, so that late pages cost no more than early ones.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rollbook.model import Caller, Permission, Role
from rollbook.store.database.sql import unindexed
from rollbook.store.database.tables import groups, memberships, user_teams, users
from rollbook.store.people.emails import alike, exactly
from rollbook.store.people.permissions import managed_groups
from rollbook.store.people.profiles import HOME_GROUP
from rollbook.store.people.search import contains, equals

Row = sa.Row[*tuple[Any, ...]]
Condition = sa.ColumnElement[bool]
# From the first time, before the second one.
Span = tuple[datetime | None, datetime | None]

_u = users.c
_EMPLOYEE_ID = sa.func.coalesce(_u.employee_id, sa.literal_column("''"))
# The columns of the indexes.
ORDERS = {
    "NAME": (sa.func.lower(_u.given_name), sa.func.lower(_u.family_name), _u.id),
    "EMPLOYEE_ID": (sa.func.lower(_EMPLOYEE_ID), _u.id),
}
# The predicate of the indexes.
_LEARNER = _u.role == sa.literal_column(f"'{Role.LEARNER}'")


@dataclass(frozen=True)
class Match:
    """A text in any letter case: exactly this one, or one that contains it."""

    text: str
    exact: bool

    @property
    def is_indexed(self) -> bool:
        """Whether an index in lower case finds it: not every database lowers letters beyond ASCII."""
        return self.exact and self.text.isascii()

    def of(self, column: sa.ColumnElement[Any]) -> Condition:
        """Match a column."""
        return equals(column, self.text) if self.exact else contains(column, self.text)


def _is_named(account_id: int, name: Match) -> Condition:
    """Match given name, blank, surname; an exact name is split at each of its blanks, so that an index finds it."""
    if not name.is_indexed:
        return name.of(sa.func.trim(_u.given_name + " " + _u.family_name))
    words = name.text.split(" ")
    parted = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(len(words) + 1)]
    learners = sa.select(_u.id).where(_u.account_id == account_id, _LEARNER)
    parts = [learners.where(equals(_u.given_name, given), equals(_u.family_name, family)) for given, family in parted]
    return _u.id.in_(sa.union_all(*parts))


@dataclass(frozen=True)
class UserFilter:
    """Filters of users that are all applied; None or an empty one filters nothing."""

    email: Match | None = None
    employee_id: Match | None = None
    name: Match | None = None
    home_group: str | None = None
    group: str | None = None
    active: bool | None = None
    created: Span = (None, None)
    modified: Span = (None, None)
    teams: Sequence[str] = ()

    @property
    def has_text(self) -> bool:
        """Whether e-mail, employee id or name is compared."""
        return any((self.email, self.employee_id, self.name))

    @property
    def needs_every_text(self) -> bool:
        """Whether a text of every user is compared, which takes most of the time."""
        texts = [match for match in (self.employee_id, self.name) if match]
        return any(not match.is_indexed for match in texts) or (self.email is not None and not self.email.exact)

    def conditions(self, connection: sa.Connection, account_id: int) -> list[Condition]:
        """Return the conditions of the filters."""
        found: list[Condition] = []
        if self.email:
            of_email = self.email.of(_u.email)
            found.append(sa.or_(exactly([self.email.text]), alike([self.email.text])) if self.email.exact else of_email)
        if self.employee_id and self.employee_id.text and self.employee_id.is_indexed:
            # Found first: PostgreSQL would expect many, and read all users in their order.
            same = sa.select(_u.id).where(_u.account_id == account_id, _LEARNER, self.employee_id.of(_EMPLOYEE_ID))
            found.append(_u.id.in_(connection.execute(same).scalars().all()))
        elif self.employee_id:
            found.append(self.employee_id.of(_EMPLOYEE_ID))
        if self.name:
            found.append(_is_named(account_id, self.name))
        if self.group is not None:
            found.append(_u.id.in_(_members(_named(connection, account_id, self.group))))
        if self.home_group is not None:
            found.append(_u.id.in_(_members(_named(connection, account_id, self.home_group)).where(_is_home())))
        if self.active is not None:
            found.append(_u.active == self.active)
        if self.teams:
            t = user_teams.c
            of_teams = sa.select(t.user_id).where(t.account_id == account_id, t.name.in_(self.teams))
            found.append(_u.id.in_(of_teams))
        for column, (first, before) in ((_u.created_at, self.created), (_u.modified_at, self.modified)):
            found += ([column >= first] if first else []) + ([column < before] if before else [])
        return found


def list_profiles(
    connection: sa.Connection,
    caller: Caller,
    chosen: UserFilter,
    permissions: Collection[Permission],
    *,
    order: str,
    descending: bool,
    limit: int,
    offset: int,
) -> tuple[Sequence[Row], int]:
    """Read a page of the learners whom the caller may see, with their home groups, and count all of them."""
    # Both databases like the index of the order, which is the slower way to every user.
    is_scan = chosen.needs_every_text
    if connection.dialect.name == "sqlite" and not chosen.has_text:
        is_scan = not caller.administers or chosen != UserFilter(active=chosen.active)
    account = unindexed(_u.account_id) if is_scan else _u.account_id
    mine = [account == caller.account_id, _LEARNER, *chosen.conditions(connection, caller.account_id)]
    if not caller.administers:
        mine.append(_u.id.in_(_members(managed_groups(connection, caller, permissions))))
    pick = _pick_in_one_pass if chosen.has_text else _pick_from_the_nearer_end
    ids, total = pick(connection, mine, ORDERS[order], descending=descending, limit=limit, offset=offset)
    shown = [_u[name] for name in ("id", "email", "employee_id", "given_name", "family_name", "active", "title")]
    shown += [_u[name] for name in ("division", "created_at", "modified_at")]
    rows = {row.id: row for row in connection.execute(sa.select(*shown, HOME_GROUP).where(_u.id.in_(ids)))}
    return [rows[id_] for id_ in ids], total


Order = Sequence[sa.ColumnElement[Any]]


def _pick_from_the_nearer_end(
    connection: sa.Connection, mine: list[Condition], order: Order, *, descending: bool, limit: int, offset: int
) -> tuple[Sequence[int], int]:
    """Read the ids of a page from the nearer end of the list, and count all users."""
    total = connection.execute(sa.select(sa.func.count()).select_from(users).where(*mine)).scalar_one()
    limit = max(0, min(limit, total - offset))
    backwards = offset > total // 2
    start = total - offset - limit if backwards else offset
    columns = [column.desc() if descending is not backwards else column for column in order]
    query = sa.select(_u.id).where(*mine).order_by(*columns).limit(limit).offset(start)
    ids = connection.execute(query).scalars().all() if limit else []
    return ids[::-1] if backwards else ids, total


def _pick_in_one_pass(
    connection: sa.Connection, mine: list[Condition], order: Order, *, descending: bool, limit: int, offset: int
) -> tuple[Sequence[int], int]:
    """Read the ids of a page and count all users in one pass."""
    columns = [column.desc() if descending else column for column in order]
    query = sa.select(_u.id, sa.func.count().over()).where(*mine).order_by(*columns)
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    if rows or not offset:
        return [row[0] for row in rows], rows[0][1] if rows else 0
    return [], connection.execute(sa.select(sa.func.count()).select_from(users).where(*mine)).scalar_one()


def _named(connection: sa.Connection, account_id: int, group: str) -> Sequence[int]:
    named = sa.select(groups.c.id).where(groups.c.account_id == account_id, groups.c.name == group)
    return connection.execute(named).scalars().all()


def _members(group_ids: Sequence[int]) -> sa.Select[tuple[int]]:
    """Select the members of groups; with ids as values PostgreSQL estimates their number."""
    return sa.select(memberships.c.user_id).where(memberships.c.group_id.in_(group_ids))


def _is_home() -> Condition:
    """Match memberships in the home group, or in the first group of users without one."""
    other = memberships.alias()
    earlier = sa.or_(other.c.is_home, other.c.group_id < memberships.c.group_id)
    return sa.or_(memberships.c.is_home, ~sa.exists().where(other.c.user_id == memberships.c.user_id, earlier))
