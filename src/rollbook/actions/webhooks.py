"""Adds, enables and removes webhooks. Audit lines name number and host, because a URL can hold a secret."""

import base64
import secrets
from typing import TYPE_CHECKING

import httpx

from rollbook import store
from rollbook.actions.webhook_addresses import Networks, check_url
from rollbook.errors import UserError
from rollbook.model import Account, Action, Actor, Change, utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_WEBHOOKS = 20


def add_webhook(
    connection: "Connection", by: Actor, account: Account, url: str, *, items: bool, allowed: Networks
) -> tuple[int, str]:
    """Add a webhook, and return its number and its secret; errors: UserError."""
    host = check_url(url, allowed)
    if len(store.webhooks.list_webhooks(connection, account.id)) >= MAX_WEBHOOKS:
        raise UserError(f"An account has at most {MAX_WEBHOOKS} webhooks. Remove one first.")
    secret, now = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}", utc_now()
    number = store.webhooks.add_webhook(connection, account.id, url, items=items, secret=secret, now=now)
    store.webhook_feed.begin(connection, _find(connection, account, number), now)
    _record(connection, by, account, Action.ADD_WEBHOOK, number, {"host": host, "items": items})
    return number, secret


def enable_webhook(connection: "Connection", by: Actor, account: Account, number: int) -> None:
    """Enable a webhook, or let a failing one try again at once; errors: UserError."""
    webhook = _find(connection, account, number)
    store.webhooks.enable_webhook(connection, number)
    if webhook.disabled_at:
        _record(connection, by, account, Action.ENABLE_WEBHOOK, number, {})


def remove_webhook(connection: "Connection", by: Actor, account: Account, number: int) -> None:
    """Remove a webhook; errors: UserError."""
    host = httpx.URL(_find(connection, account, number).url).host
    store.webhooks.remove_webhook(connection, number)
    _record(connection, by, account, Action.REMOVE_WEBHOOK, number, {"host": host})


def test_webhook(connection: "Connection", account: Account, number: int) -> None:
    """Let a worker send a test event; errors: UserError."""
    _find(connection, account, number)
    store.webhooks.ask_test(connection, number, utc_now())


def _find(connection: "Connection", account: Account, number: int) -> "store.webhooks.Webhook":
    webhook = store.webhooks.find_webhook(connection, account.id, number)
    if webhook is None:
        raise UserError(f"The account {account.name!r} has no webhook {number}. See: rollbook webhook list")
    return webhook


def _record(
    connection: "Connection", by: Actor, account: Account, action: Action, number: int, details: dict[str, object]
) -> None:
    store.audit.record_change(connection, account.id, by, Change(action, f"webhook {number}", details))
