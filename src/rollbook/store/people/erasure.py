"""Erases a user: removes the personal data and keeps the history under the id."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from rollbook.model import Account, Action, Actor, Change, Role, utc_now
from rollbook.store.database.tables import (
    answers,
    audit,
    calls,
    enrollments,
    external_authorizations,
    invitations,
    keys,
    learner_sessions,
    login_sessions,
    memberships,
    pending_sign_ins,
    recovery_codes,
    second_factors,
    user_teams,
    users,
)
from rollbook.store.operations.audit import record_change
from rollbook.store.people.users import find_named, keep_an_owner

# The rows about a user that are deleted, by what they are called in the summary.
DELETED = {
    "keys": (keys,),
    "login sessions": (login_sessions, pending_sign_ins, learner_sessions, external_authorizations, invitations),
    "teams": (user_teams,),
    "memberships of groups": (memberships,),
    "stored answers to calls": (answers,),
    "second factors": (second_factors, recovery_codes),
}
EMPTIED = (
    *("external_id", "email", "email_folded", "email_folded_from", "alternate_email", "employee_id", "title"),
    *("division", "password_hash", "timezone", "profile", "search_text", "search_from"),
)


@dataclass(frozen=True)
class Erasure:
    """What erasing a user does: how many rows of which kind are deleted or changed, and how many enrollments stay."""

    user_id: int
    name: str
    deleted: Mapping[str, int]
    audit_lines: int
    calls: int
    enrollments: int


def erase_user(connection: sa.Connection, account: Account, named: str, *, by: Actor) -> Erasure:
    """Erase a user named as for `find_named`, and tell what was done.

    Afterwards the user is called "User" and the number everywhere, is inactive and has no rights. Errors: UserError
    for the last owner.
    """
    user_id = find_named(connection, account, named).id
    keep_an_owner(connection, account, user_id)
    mine = users.c.id == user_id
    row = connection.execute(sa.select(users).where(mine).with_for_update()).one()
    name, now = f"User {user_id}", utc_now()
    deleted = {
        what: sum(connection.execute(sa.delete(table).where(table.c.user_id == user_id)).rowcount for table in tables)
        for what, tables in DELETED.items()
    }
    lines = _rename_in_audit(connection, account.id, user_id, [row.email] if row.email else [], name)
    seen = sa.update(calls).where(calls.c.account_id == account.id, calls.c.user_id == user_id)
    made = connection.execute(seen.values(address=None)).rowcount
    kept = sa.select(sa.func.count()).select_from(enrollments).where(enrollments.c.user_id == user_id)
    shown = {"given_name": "User", "family_name": str(user_id), "role": Role.LEARNER, "active": False}
    empty = dict.fromkeys(EMPTIED)
    connection.execute(sa.update(users).where(mine).values(**empty, **shown, erased_at=now, modified_at=now))
    record_change(connection, account.id, by, Change(Action.ERASE_USER, f"user {user_id}"))
    shown_name = row.email or f"{row.given_name} {row.family_name}".strip() or name
    return Erasure(user_id, shown_name, deleted, lines, made, connection.execute(kept).scalar_one())


def _rename_in_audit(
    connection: sa.Connection, account_id: int, user_id: int, emails: Collection[str], name: str
) -> int:
    """Write the number in place of the e-mails of a user into the audit, and remove the user's addresses.

    Earlier e-mails are known from the user's own lines, and from lines about changes of the e-mail.
    """
    mine = sa.and_(audit.c.account_id == account_id, audit.c.user_id == user_id)
    known = {*emails, *connection.execute(sa.select(audit.c.actor).where(mine).distinct()).scalars()}
    about = sa.and_(audit.c.account_id == account_id, audit.c.subject == f"user {user_id}")
    for details in connection.execute(sa.select(audit.c.details).where(about)).scalars():
        known |= {*json.loads(details or "{}").get("email", {}).values()}
    known -= {"", None, name}
    connection.execute(sa.update(audit).where(mine).values(actor=name, address=None))
    quoted = [json.dumps(email, ensure_ascii=False) for email in known]
    held = [audit.c.details.contains(text, autoescape=True) for text in quoted]
    found = sa.select(audit.c.id, audit.c.subject, audit.c.details)
    found = found.where(audit.c.account_id == account_id, sa.or_(audit.c.subject.in_(known), *held))
    rows = connection.execute(found).all()
    for row in rows:
        details = row.details
        for text in quoted:
            details = details and details.replace(text, json.dumps(name))
        subject = name if row.subject in known else row.subject
        connection.execute(sa.update(audit).where(audit.c.id == row.id).values(subject=subject, details=details))
    return len(rows)
