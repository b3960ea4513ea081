"""`rollbook webhook`: webhooks of an account, which tell other systems about changes."""

import time
from typing import Annotated, Any

import typer

from rollbook.actions import webhooks as actions
from rollbook.actions.webhook_addresses import read_networks
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.output import Format, FormatOption, print_answer, print_json, print_rows
from rollbook.errors import UserError
from rollbook.model import utc_now
from rollbook.settings import load_settings
from rollbook.store.operations.webhooks import find_webhook, list_webhooks
from rollbook.store.people.accounts import find_account
from rollbook.store.queue.workers import find_last_seen, is_silent

COLUMNS = ("id", "url", "events", "state", "waiting", "delivered_at", "failed_at", "failure")
# How long a test may take: the next look of a worker, the delivery, and a worker that is busy with other webhooks.
TEST_SECONDS = 30
KEEP = "Give the secret to the receiver now: it is shown only this once."

NumberArgument = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="As `rollbook webhook list` shows it.")
]

app = typer.Typer(help="Webhooks: signed events about changes, for other systems.", no_args_is_help=True)


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent: https://…")],
    account: AccountOption = None,
    items: Annotated[
        bool, typer.Option("--items/--batches", help="Events about items and progress too, or about batches only.")
    ] = True,
    form: FormatOption = Format.TABLE,
) -> None:
    """Add a webhook, which begins with the next change, and show its secret, this once."""
    allowed = read_networks(load_settings().webhook_addresses)
    number, secret = change_account(
        account,
        lambda connection, owner: actions.add_webhook(connection, operator(), owner, url, items=items, allowed=allowed),
    )
    if form is Format.JSON:
        print_json({"id": number, "secret": secret})
    elif form is Format.CSV:
        print_rows([{"id": number, "secret": secret}], ("id", "secret"), form)
    else:
        typer.echo(f"webhook {number}\nsecret  {secret}\n\n{KEEP}\nTry it: rollbook webhook test {number}")


@app.command("list")
def list_(account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """List the webhooks: how many items wait for delivery, and what failed last."""
    with open_database() as database, database.read() as connection:
        rows = list_webhooks(connection, find_account(connection, account).id)
    shown = [row | {"events": "items" if row["items"] else "batches"} for row in rows]
    print_rows(shown, COLUMNS, form, shown=[name for name in COLUMNS if name != "failed_at"])


@app.command()
def remove(number: NumberArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Remove a webhook; what is not delivered yet is not sent any more."""
    change_account(account, lambda connection, owner: actions.remove_webhook(connection, operator(), owner, number))
    print_answer(form, f"Removed webhook {number}.", webhook=number, state="removed")


@app.command()
def enable(number: NumberArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Enable a disabled webhook, which continues where it stopped; a failing one tries again at once."""
    change_account(account, lambda connection, owner: actions.enable_webhook(connection, operator(), owner, number))
    print_answer(form, f"Enabled webhook {number}.", webhook=number, state="enabled")


@app.command("test")
def send_test(number: NumberArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Let the worker send a test event, and show how it ended. Exit code 1: it was not delivered."""
    change_account(account, lambda connection, owner: actions.test_webhook(connection, owner, number))
    webhook = _wait_for_test(account, number)
    failure = webhook.test_failure
    sentence = f"The test was not delivered. {failure}" if failure else "The test was delivered."
    print_answer(form, sentence, webhook=number, delivered=not failure, failure=failure)
    if failure:
        raise typer.Exit(1)


def _wait_for_test(account: str | None, number: int) -> Any:
    end = time.monotonic() + TEST_SECONDS
    with open_database() as database:
        while time.monotonic() < end:
            with database.read() as connection:
                webhook = find_webhook(connection, find_account(connection, account).id, number)
                silent = is_silent(find_last_seen(connection), utc_now())
            if webhook is None:
                raise UserError(f"Webhook {number} was removed meanwhile.")
            if webhook.tested_at:
                return webhook
            if silent:
                break
            time.sleep(0.1)
    raise UserError("No worker has sent the test; one that starts later sends it. See: rollbook doctor.")
