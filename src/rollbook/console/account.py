"""The account: its policies, and one's own password."""

from starlette.responses import Response

from rollbook.console.guard import drop_cookie
from rollbook.console.signing_in import try_password
from rollbook.console.visit import Visit, redirect
from rollbook.errors import UserError
from rollbook.store.accounts import Account, set_policies
from rollbook.store.passwords import SHORTEST, set_password


def account_of(visit: Visit) -> Account:
    """The account that is signed in to, as the store knows it."""
    return Account(visit.caller.account_id, visit.caller.account, visit.caller.policies)


def show_account(visit: Visit, wrong: str | None = None) -> Response:
    """Show the policies; owners can change them."""
    code = 422 if wrong else 200
    return visit.render("account.html", code=code, wrong=wrong, policies=visit.caller.policies, shortest=SHORTEST)


def change_policies(visit: Visit) -> Response:
    """Change the policies; for owners."""
    visit.require_owner()
    try:
        retention = visit.text("retention_days")
        changes = {
            "protect_completed": bool(visit.text("protect_completed")),
            "hold_seconds": _whole("hold", visit.text("hold_seconds")),
            "retention_days": _whole("retention", retention) if retention else None,
        }
        with visit.database.write() as connection:
            set_policies(connection, account_of(visit), changes, by=visit.actor)
    except UserError as error:
        return show_account(visit, str(error))
    return redirect("/account", done="saved")


def change_password(visit: Visit) -> Response:
    """Give oneself a new password; every sign-in with the old one ends, this one too."""
    caller = visit.caller
    old, new = str(visit.form.get("old", "")), str(visit.form.get("new", ""))
    if new != str(visit.form.get("again", "")):
        return show_account(visit, "The new password was not the same both times.")
    if try_password(visit, caller.account, caller.email, old) is None:
        return show_account(visit, "The present password is another one.")
    try:
        with visit.database.write() as connection:
            set_password(connection, account_of(visit), caller.email, new, by=visit.actor)
    except UserError as error:
        return show_account(visit, str(error))
    response = redirect("/sign-in", changed=1)
    response.headers.update(drop_cookie())
    return response


def _whole(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise UserError(f"The {what} is a whole number.")
    return int(text)
