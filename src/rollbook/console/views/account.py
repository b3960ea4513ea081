"""The account page: policies, and the user's own password."""

from dataclasses import asdict
from datetime import timedelta

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.views.sign_in import check_password, redirect_to_sign_in
from rollbook.errors import UserError
from rollbook.model import Account, Policies, utc_now
from rollbook.store.learning.retention import count_lost_undos
from rollbook.store.people.accounts import check_policies, set_policies
from rollbook.store.people.passwords import MIN_LENGTH, set_password


def account_of(request: ConsoleRequest) -> Account:
    """Return the account of the session as the store's type."""
    return Account(request.caller.account_id, request.caller.account, request.caller.policies)


def show_account(
    request: ConsoleRequest, error: str | None = None, asked: Policies | None = None, lost: int = 0
) -> Response:
    """Show the policies. With `asked`, new policies that end `lost` undos, ask for a confirmation."""
    kept_after = utc_now() - timedelta(days=asked.retention_days or 0) if asked else None
    return request.render(
        "account.html",
        code=422 if error else 200,
        error=error,
        policies=request.caller.policies,
        asked=asked,
        lost=lost,
        kept_after=kept_after,
        min_length=MIN_LENGTH,
    )


def change_policies(request: ConsoleRequest) -> Response:
    """Change the policies, for owners; a retention that ends undos needs a confirmation of its number of days."""
    request.require_owner()
    try:
        asked = _read_policies(request)
        check_policies(asdict(asked))
    except UserError as error:
        return show_account(request, str(error))
    days = asked.retention_days

    def work(connection: sa.Connection) -> int:
        lost = count_lost_undos(connection, request.caller.account_id, days, utc_now())
        if lost and request.text("confirmed") != str(days):
            return lost
        set_policies(connection, account_of(request), asdict(asked), by=request.actor)
        request.notify(connection, "/account", "Saved.")
        return 0

    if lost := request.database.transact(work):
        return show_account(request, asked=asked, lost=lost)
    return redirect("/account")


def _read_policies(request: ConsoleRequest) -> Policies:
    retention = request.text("retention_days")
    return Policies(
        protect_completed=bool(request.text("protect_completed")),
        hold_seconds=_whole("hold", request.text("hold_seconds")),
        retention_days=_whole("retention", retention) if retention else None,
        require_second_factor=bool(request.text("require_second_factor")),
    )


def change_password(request: ConsoleRequest) -> Response:
    """Change the user's own password, which ends all their sessions, this one too."""
    caller = request.caller
    old, new = str(request.form.get("old", "")), str(request.form.get("new", ""))
    if new != str(request.form.get("again", "")):
        return show_account(request, "The two new passwords differ.")
    if check_password(request, caller.account, caller.email, old) is None:
        return show_account(request, "The current password is wrong.")
    try:
        request.database.transact(
            lambda connection: set_password(connection, account_of(request), caller.email, new, by=request.actor)
        )
    except UserError as error:
        return show_account(request, str(error))
    return redirect_to_sign_in("changed")


def _whole(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise UserError(f"The {what} must be a whole number of at most 11 digits.")
    return int(text)
