"""The page of webhooks, for owners and administrators; a new secret is shown once."""

from collections.abc import Callable

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.actions import webhooks as actions
from rollbook.console.downloads import send_csv
from rollbook.console.request import ConsoleRequest, change
from rollbook.console.views.account import account_of
from rollbook.store.operations.webhooks import MAX_WAITING, list_webhooks

COLUMNS = (
    *("Webhook", "URL", "Events", "State", "Waiting", "Last delivery", "Last failure", "Failure"),
    *("Tested", "Test failure"),
)
PATH = "/account/webhooks"
KEEP = "Give it to the receiver now: it is shown only once. The receiver checks the signature of every event with it."


def show_webhooks(request: ConsoleRequest, error: str | None = None) -> Response:
    """List the webhooks with their states."""
    with request.database.read() as connection:
        rows = list_webhooks(connection, request.caller.account_id)
    code = 422 if error else 200
    return request.render("webhooks.html", code=code, error=error, webhooks=rows, most=MAX_WAITING)


def download_webhooks(request: ConsoleRequest) -> Response:
    """Send the webhooks as CSV, without their secrets."""
    with request.database.read() as connection:
        rows = list_webhooks(connection, request.caller.account_id)
    names = ("state", "waiting", "delivered_at", "failed_at", "failure", "tested_at", "test_failure")
    kinds = {True: "items and progress", False: "batches"}
    cells = ((row["id"], row["url"], kinds[row["items"]], *(row[name] for name in names)) for row in rows)
    return send_csv("webhooks", COLUMNS, [cells])


def add(request: ConsoleRequest) -> Response:
    """Add a webhook and show its secret once."""

    def work(connection: sa.Connection) -> None:
        number, secret = actions.add_webhook(
            connection,
            request.actor,
            account_of(request),
            request.text("url"),
            items=request.text("events") != "batches",
            allowed=request.webhook_addresses,
        )
        request.notify(connection, PATH, KEEP, f"Secret of webhook {number}", secret)

    return change(request, PATH, work, show_webhooks)


def enable(request: ConsoleRequest) -> Response:
    """Enable a disabled webhook, or let a failing one try again at once."""
    return _change(
        request,
        lambda connection, number: actions.enable_webhook(connection, request.actor, account_of(request), number),
        "The webhook is enabled and continues where it stopped.",
    )


def test(request: ConsoleRequest) -> Response:
    """Let a worker send a test event: a page does not wait for a receiver."""
    return _change(
        request,
        lambda connection, number: actions.test_webhook(connection, account_of(request), number),
        "A worker sends the test now. Reload the page to see how it ended.",
    )


def remove(request: ConsoleRequest) -> Response:
    """Remove a webhook."""
    return _change(
        request,
        lambda connection, number: actions.remove_webhook(connection, request.actor, account_of(request), number),
        "The webhook is removed.",
    )


def _change(request: ConsoleRequest, act: Callable[[sa.Connection, int], None], sentence: str) -> Response:
    number = request.number("webhook") or 0

    def work(connection: sa.Connection) -> None:
        act(connection, number)
        request.notify(connection, PATH, sentence)

    return change(request, PATH, work, show_webhooks)
