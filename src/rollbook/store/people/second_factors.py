"""The second factor of a user for the console: codes by time (TOTP), and recovery codes that each work once.

A code is accepted in one step before and after its own, and each step only once. The secret is stored as it is: there
is no key outside the database to encrypt it with (docs/decisions/0038).
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

import pyotp
import sqlalchemy as sa

from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change
from rollbook.store.database.tables import login_sessions, pending_sign_ins, recovery_codes, second_factors
from rollbook.store.operations.audit import record_change
from rollbook.store.people.api_keys import digest
from rollbook.store.people.users import find_named

STEP_SECONDS = 30
STEPS_AROUND = 1
RECOVERY_CODES = 10
MAX_NAME = 60
# Of a million codes three are right at any moment: with so many guesses a day, one in 6,600 is.
MAX_WRONG_CODES = 50
WRONG_CODES_PERIOD = timedelta(days=1)


@dataclass(frozen=True)
class SecondFactor:
    """A secret, in use from `confirmed_at` on, and how many recovery codes are left."""

    secret: str
    confirmed_at: datetime | None
    recovery_codes: int

    def address(self, account: str, email: str) -> str:
        """Return the otpauth: address, which authenticator apps read; names are cut, since a QR code holds 2.9 kB."""
        name, issuer = email[:MAX_NAME], f"Rollbook {account}"[:MAX_NAME]
        return pyotp.TOTP(self.secret).provisioning_uri(name=name, issuer_name=issuer)


class CodeResult(Enum):
    """What became of a code."""

    RIGHT = auto()
    WRONG = auto()
    TOO_MANY = auto()


def find_factor(connection: sa.Connection, user_id: int) -> SecondFactor | None:
    """Find the second factor of a user, confirmed or not."""
    left = sa.select(sa.func.count()).where(recovery_codes.c.user_id == user_id).scalar_subquery()
    query = sa.select(second_factors.c.secret, second_factors.c.confirmed_at, left)
    found = connection.execute(query.where(second_factors.c.user_id == user_id)).one_or_none()
    return SecondFactor(*found) if found else None


def begin_factor(connection: sa.Connection, account_id: int, user_id: int, now: datetime) -> None:
    """Make a new secret in place of an unconfirmed one; a confirmed one stays."""
    unconfirmed = sa.and_(second_factors.c.user_id == user_id, second_factors.c.confirmed_at.is_(None))
    connection.execute(sa.delete(second_factors).where(unconfirmed))
    factor = find_factor(connection, user_id)
    if factor is None:
        row = {"user_id": user_id, "account_id": account_id, "secret": pyotp.random_base32(), "created_at": now}
        connection.execute(sa.insert(second_factors).values(**row, last_step=0, wrong_codes=0))


def confirm_factor(
    connection: sa.Connection, account: Account, user_id: int, code: str, now: datetime, *, token: str, by: Actor
) -> tuple[CodeResult, list[str]]:
    """Put the secret into use with a code of it; return the recovery codes.

    Other sessions of the user end; the one of the cookie `token` has shown the second factor.
    """
    unconfirmed = sa.and_(second_factors.c.user_id == user_id, second_factors.c.confirmed_at.is_(None))
    if connection.execute(sa.select(second_factors.c.user_id).where(unconfirmed).with_for_update()).first() is None:
        raise UserError("No second factor waits for its code. Set one up again.")
    result = take_code(connection, user_id, code, now)
    if result is not CodeResult.RIGHT:
        return result, []
    connection.execute(sa.update(second_factors).where(unconfirmed).values(confirmed_at=now))
    end_other_sessions(connection, user_id, token)
    mine = login_sessions.c.digest == digest(token)
    connection.execute(sa.update(login_sessions).where(mine).values(verified_at=now))
    record_change(connection, account.id, by, Change(Action.ADD_SECOND_FACTOR, f"user {user_id}"))
    return result, _make_recovery_codes(connection, account.id, user_id, now)


def take_code(connection: sa.Connection, user_id: int, code: str, now: datetime) -> CodeResult:
    """Accept a code of the user's secret, which no later call accepts again; a wrong one is counted."""
    day_ago = now - WRONG_CODES_PERIOD
    begun = sa.func.coalesce(second_factors.c.wrong_since > day_ago, sa.false())
    spent = (
        sa.update(second_factors)
        .where(second_factors.c.user_id == user_id, sa.or_(~begun, second_factors.c.wrong_codes < MAX_WRONG_CODES))
        .values(
            wrong_codes=sa.case((begun, second_factors.c.wrong_codes + 1), else_=1),
            wrong_since=sa.case((begun, second_factors.c.wrong_since), else_=now),
        )
        .returning(second_factors.c.secret)
    )
    # Counted before it is compared, so that guesses at the same time are all counted.
    secret = connection.execute(spent).scalar_one_or_none()
    if secret is None:
        return CodeResult.TOO_MANY
    step = _step_of(secret, code, now)
    unused = sa.and_(second_factors.c.user_id == user_id, second_factors.c.last_step < step)
    taken = sa.update(second_factors).where(unused).values(last_step=step, wrong_codes=0, wrong_since=None)
    return CodeResult.RIGHT if connection.execute(taken).rowcount else CodeResult.WRONG


def _step_of(secret: str, code: str, now: datetime) -> int:
    """Return the time step whose code this is; 0 for a wrong one."""
    present, totp = int(now.timestamp()) // STEP_SECONDS, pyotp.TOTP(secret)
    steps = range(present - STEPS_AROUND, present + STEPS_AROUND + 1)
    given = re.sub(r"\s", "", code).encode()
    return max((step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), given)), default=0)


def take_recovery_code(connection: sa.Connection, account_id: int, user_id: int, code: str, by: Actor) -> bool:
    """Use up a recovery code of the user."""
    mine = sa.and_(recovery_codes.c.user_id == user_id, recovery_codes.c.digest == _digest(code))
    if connection.execute(sa.delete(recovery_codes).where(mine)).rowcount == 0:
        return False
    factor = find_factor(connection, user_id)
    left = {"left": factor.recovery_codes if factor else 0}
    record_change(connection, account_id, by, Change(Action.USE_RECOVERY_CODE, f"user {user_id}", left))
    return True


def renew_recovery_codes(
    connection: sa.Connection, account_id: int, user_id: int, now: datetime, *, by: Actor
) -> list[str]:
    """Replace the recovery codes of a user and return the new ones."""
    record_change(connection, account_id, by, Change(Action.NEW_RECOVERY_CODES, f"user {user_id}"))
    return _make_recovery_codes(connection, account_id, user_id, now)


def _make_recovery_codes(connection: sa.Connection, account_id: int, user_id: int, now: datetime) -> list[str]:
    texts = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    codes = ["-".join(re.findall(".{4}", text)) for text in texts]
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    same = {"account_id": account_id, "user_id": user_id, "created_at": now}
    connection.execute(sa.insert(recovery_codes), [{"digest": _digest(code), **same} for code in codes])
    return codes


def remove_factor(connection: sa.Connection, account_id: int, user_id: int, *, token: str, by: Actor) -> None:
    """Remove the user's own second factor; other sessions than that of the cookie `token` end."""
    _delete(connection, user_id)
    end_other_sessions(connection, user_id, token)
    record_change(connection, account_id, by, Change(Action.REMOVE_SECOND_FACTOR, f"user {user_id}"))


def reset_factor(connection: sa.Connection, account: Account, named: str, *, by: Actor) -> str:
    """Remove the second factor of a user named as for `find_named`, end all sessions, and return the name.

    Errors: UserError, also when there is none.
    """
    user = find_named(connection, account, named)
    name = user.email or f"User {user.id}"
    if not _delete(connection, user.id):
        raise UserError(f"{name} has no second factor.")
    end_other_sessions(connection, user.id, "")
    record_change(connection, account.id, by, Change(Action.RESET_SECOND_FACTOR, f"user {user.id}"))
    return name


def _delete(connection: sa.Connection, user_id: int) -> bool:
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    return connection.execute(sa.delete(second_factors).where(second_factors.c.user_id == user_id)).rowcount > 0


def end_other_sessions(connection: sa.Connection, user_id: int, token: str) -> None:
    """End the sessions and pending sign-ins of a user, except for the session of this cookie."""
    others = sa.and_(login_sessions.c.user_id == user_id, login_sessions.c.digest != digest(token))
    connection.execute(sa.delete(login_sessions).where(others))
    connection.execute(sa.delete(pending_sign_ins).where(pending_sign_ins.c.user_id == user_id))


def _digest(code: str) -> bytes:
    return digest(re.sub(r"[\s-]", "", code).lower())
