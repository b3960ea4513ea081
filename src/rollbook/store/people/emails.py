"""Finds users by e-mail in any letter case, by one rule for both databases."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rollbook.model import fold_email
from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import accounts, users

# Rows that an older release has added or changed.
_UNFOLDED = "users.email IS DISTINCT FROM users.email_folded_from"
_FOLDED = users.c.email_folded_from == users.c.email

_FOLD = """
    UPDATE users SET email_folded = item ->> 'folded', email_folded_from = item ->> 'email' FROM {rows} AS r
    WHERE users.id = CAST(item ->> 'id' AS BIGINT) AND users.email IS NOT DISTINCT FROM item ->> 'email'
"""

# The user of an item of :rows by its `email`, exactly or else in any letter case, or else by its `employee_id`.
# `(SELECT :account_id)` leads to the indexes of these (docs/decisions/0002).
_NAMED = """
    COALESCE((SELECT u.id FROM users AS u
              WHERE u.account_id = (SELECT :account_id) {which} AND lower(u.email) = lower(item ->> 'email')
                AND (u.email = item ->> 'email' OR u.email_folded_from IS DISTINCT FROM u.email)),
             (SELECT u.id FROM users AS u
              WHERE u.account_id = (SELECT :account_id) {which}
                AND u.email_folded = item ->> 'email_folded' AND u.email_folded_from = u.email),
             (SELECT u.id FROM users AS u
              WHERE u.account_id = (SELECT :account_id) {which} AND u.employee_id = item ->> 'employee_id'))
"""


def named_user(which: str = "") -> str:
    """Return the SQL for the user of an item of :rows that has `folded`; `which` is a further condition on `u`."""
    return _NAMED.format(which=which)


def folded(email: str | None) -> dict[str, str | None]:
    """Return the columns that belong to an e-mail in a row of users."""
    return {"email_folded": None if email is None else fold_email(email), "email_folded_from": email}


def exactly(emails: Sequence[str]) -> sa.ColumnElement[bool]:
    """Match users with exactly one of these e-mails, or with one in any letter case in a row that is not folded yet.

    The comparison of lower() leads to the index.
    """
    same = sa.func.lower(users.c.email).in_([sa.func.lower(email) for email in emails])
    return sa.and_(same, sa.or_(users.c.email.in_(emails), sa.text(_UNFOLDED)))


def alike(emails: Sequence[str]) -> sa.ColumnElement[bool]:
    """Match users with one of these e-mails in any letter case."""
    return sa.and_(_FOLDED, users.c.email_folded.in_([fold_email(email) for email in emails]))


def find_by_email(
    connection: sa.Connection, query: sa.Select[*tuple[Any, ...]], email: str
) -> sa.Row[*tuple[Any, ...]] | None:
    """Find the user of a query with exactly this e-mail, or else with this e-mail in any letter case."""
    for same in (exactly([email]), alike([email])):
        if (found := connection.execute(query.where(same)).one_or_none()) is not None:
            return found
    return None


def fold_emails(connection: sa.Connection, limit: int = 1000) -> int:
    """Fold up to `limit` e-mails and return how many; one that another user of the account has gets no folded form."""
    query = sa.select(users.c.id, users.c.account_id, users.c.email).where(sa.text(_UNFOLDED)).order_by(users.c.id)
    rows = connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all()
    forms = {row.id: row.email and fold_email(row.email) for row in rows}
    among = sa.and_(users.c.account_id.in_({row.account_id for row in rows}), users.c.email_folded.in_(forms.values()))
    kept = sa.select(users.c.account_id, users.c.email_folded).where(among, _FOLDED)
    taken = {tuple(row) for row in connection.execute(kept)}
    changes: list[dict[str, object]] = []
    for row in rows:
        key = (row.account_id, forms[row.id])
        changes.append({"id": row.id, "email": row.email, "folded": None if key in taken else forms[row.id]})
        taken.add(key)
    if changes:
        execute(connection, _FOLD, {"rows": changes})
    return len(rows)


def fold_all_emails(database: Database) -> None:
    """Fold every e-mail that is not folded yet, in short transactions."""
    while database.transact(fold_emails):
        pass


def list_collisions(connection: sa.Connection) -> list[tuple[str, str, str]]:
    """List the e-mails that differ only in letter case from that of another user: account, e-mail, other e-mail."""
    left = sa.select(accounts.c.name, users.c.account_id, users.c.email).join(accounts)
    left = left.where(users.c.email_folded.is_(None), _FOLDED).order_by(users.c.id)
    found = []
    for name, account_id, email in connection.execute(left).all():
        others = sa.select(users.c.email).where(users.c.account_id == account_id, alike([email]))
        found += [(name, email, other) for other in connection.execute(others).scalars()]
    return found
