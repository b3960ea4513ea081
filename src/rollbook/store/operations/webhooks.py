"""Webhooks: adds, lists and removes them, claims them for one worker at a time, and stores how deliveries end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rollbook.model import MAX_ID
from rollbook.store.database.execute import execute
from rollbook.store.database.tables import accounts, webhook_passed, webhooks

Webhook = sa.Row[tuple[Any, ...]]

# How long a claim holds without a delivery: a webhook of a worker that dies waits so long for another one.
CLAIM = timedelta(seconds=30)
FIRST_PAUSE, MAX_PAUSE = timedelta(seconds=5), timedelta(hours=1)
DISABLED_AFTER = timedelta(days=1)
# How many undelivered items are counted.
MAX_WAITING = 10_000

_w = webhooks.c

# The items behind each webhook of an account, up to :most.
_WAITING = """
    SELECT w.id, (SELECT COUNT(*) FROM (
        SELECT 1 FROM unenrollments AS u
        WHERE u.account_id = w.account_id AND u.change >= w.change
          AND (u.change, u.batch_id, u.block) > (w.change, w.batch_id, w.block) LIMIT :most) AS behind)
    FROM webhooks AS w WHERE w.account_id = :account_id
"""


def add_webhook(
    connection: sa.Connection, account_id: int, url: str, *, items: bool, secret: str, now: datetime
) -> int:
    """Add a webhook that begins with the next change, and return its number."""
    last = sa.select(accounts.c.last_change).where(accounts.c.id == account_id).with_for_update()
    place = {"change": connection.execute(last).scalar_one(), "batch_id": MAX_ID, "block": MAX_ID}
    row = {"account_id": account_id, "url": url, "items": items, "secret": secret, "created_at": now}
    begun = {"batches_through": 0, "audit_through": 0, "failures": 0}
    return int(connection.execute(webhooks.insert().returning(_w.id), row | place | begun).scalar_one())


def list_webhooks(connection: sa.Connection, account_id: int) -> list[dict[str, Any]]:
    """List the webhooks of an account, each with its `state` and the number of items `waiting` for it."""
    waiting = dict(execute(connection, _WAITING, {"account_id": account_id, "most": MAX_WAITING}))
    rows = connection.execute(sa.select(webhooks).where(_w.account_id == account_id).order_by(_w.id))
    return [row._asdict() | {"state": _state(row), "waiting": waiting[row.id]} for row in rows]


def _state(row: Any) -> str:
    return "disabled" if row.disabled_at else "failing" if row.failing_since else "enabled"


def count_states(connection: sa.Connection) -> dict[str, int]:
    """Count the webhooks of all accounts by state."""
    counts = {"enabled": 0, "failing": 0, "disabled": 0}
    for row in connection.execute(sa.select(_w.disabled_at, _w.failing_since)):
        counts[_state(row)] += 1
    return counts


def find_webhook(connection: sa.Connection, account_id: int, number: int) -> Webhook | None:
    """Read a webhook of an account."""
    mine = sa.and_(_w.account_id == account_id, _w.id == number)
    return connection.execute(sa.select(webhooks).where(mine)).first()


def remove_webhook(connection: sa.Connection, number: int) -> None:
    """Remove a webhook; a delivery that is under way is its last."""
    connection.execute(sa.select(_w.id).where(_w.id == number).with_for_update())
    connection.execute(webhook_passed.delete().where(webhook_passed.c.webhook_id == number))
    connection.execute(webhooks.delete().where(_w.id == number))


def enable_webhook(connection: sa.Connection, number: int) -> None:
    """Enable a webhook; it continues where it stopped, at once."""
    cleared = {"disabled_at": None, "failing_since": None, "next_attempt_at": None, "failures": 0}
    connection.execute(webhooks.update().where(_w.id == number).values(cleared))


def ask_test(connection: sa.Connection, number: int, now: datetime) -> None:
    """Let a worker send a test event."""
    asked = {"test_asked_at": now, "tested_at": None, "test_failure": None}
    connection.execute(webhooks.update().where(_w.id == number).values(asked))


def find_ready(connection: sa.Connection, now: datetime) -> list[int]:
    """Return the webhooks that no worker serves and that are to be served, the one served longest ago first."""
    ready = sa.or_(_delivers(now), _tests())
    order = (sa.func.coalesce(_w.claimed_until, _w.created_at), _w.id)
    return list(connection.execute(sa.select(_w.id).where(_is_free(now), ready).order_by(*order)).scalars())


# A time that is much further ahead than any is set was set before the clock went back. Clocks of workers may differ.


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(_w.claimed_by.is_(None), _w.claimed_until <= now, _w.claimed_until > now + 2 * CLAIM)


def _delivers(now: datetime) -> sa.ColumnElement[bool]:
    due = sa.or_(_w.next_attempt_at.is_(None), _w.next_attempt_at <= now, _w.next_attempt_at > now + 2 * MAX_PAUSE)
    return sa.and_(_w.disabled_at.is_(None), due)


def _tests() -> sa.ColumnElement[bool]:
    return sa.and_(_w.test_asked_at.is_not(None), _w.tested_at.is_(None))


def read_webhook(connection: sa.Connection, number: int, now: datetime) -> Webhook | None:
    """Read a webhook with the name of its account, and whether it `delivers` and `tests` now."""
    flags = (_delivers(now).label("delivers"), _tests().label("tests"))
    query = sa.select(webhooks, accounts.c.name.label("account"), *flags).join(accounts)
    return connection.execute(query.where(_w.id == number)).first()


def claim(connection: sa.Connection, number: int, holder: str, now: datetime) -> bool:
    """Claim a webhook for CLAIM, or hold it longer; False when another worker has it, or it is removed."""
    free = sa.or_(_is_free(now), _w.claimed_by == holder)
    claimed = {"claimed_by": holder, "claimed_until": now + CLAIM}
    return connection.execute(webhooks.update().where(_w.id == number, free).values(claimed)).rowcount > 0


def release(connection: sa.Connection, number: int, holder: str, now: datetime) -> None:
    """End a claim."""
    connection.execute(_held(number, holder).values(claimed_by=None, claimed_until=now))


def _held(number: int, holder: str) -> sa.Update:
    return webhooks.update().where(_w.id == number, _w.claimed_by == holder)


def note_delivery(
    connection: sa.Connection,
    number: int,
    holder: str,
    place: tuple[int, int, int] | None,
    passed: Sequence[tuple[str, int]],
    now: datetime,
) -> bool:
    """Store what is delivered: items up to a place, and batches and audit lines; False when the claim is lost."""
    succeeded = {"delivered_at": now, "failing_since": None, "failures": 0, "next_attempt_at": None}
    values = succeeded | {"claimed_until": now + CLAIM}
    if place is not None:
        values |= dict(zip(("change", "batch_id", "block"), place, strict=True))
    held = connection.execute(_held(number, holder).values(values)).rowcount > 0
    if held and passed:
        rows = [{"webhook_id": number, "kind": kind, "number": each} for kind, each in passed]
        connection.execute(webhook_passed.insert(), rows)
    return held


def note_failure(
    connection: sa.Connection, number: int, holder: str, sentence: str, *, gone: bool, now: datetime
) -> bool:
    """Store a failed delivery and when to try again; return whether the webhook is disabled instead.

    It is, when its receiver is `gone`, or every delivery has failed for DISABLED_AFTER.
    """
    before = connection.execute(sa.select(_w.failing_since, _w.failures).where(_w.id == number)).first()
    if before is None:
        return False
    since = before.failing_since or now
    disabled = gone or now - since >= DISABLED_AFTER
    pause = min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(before.failures, 20))
    failed = {"failing_since": since, "failures": before.failures + 1, "failed_at": now, "failure": sentence}
    then = {"disabled_at": now} if disabled else {"next_attempt_at": now + pause}
    return connection.execute(_held(number, holder).values(failed | then)).rowcount > 0 and disabled


def note_test(connection: sa.Connection, number: int, holder: str, failure: str | None, now: datetime) -> None:
    """Store how a test ended."""
    connection.execute(_held(number, holder).values(tested_at=now, test_failure=failure))
