"""The account: its policies, and one's own password."""

from dataclasses import asdict
from datetime import timedelta

from starlette.responses import Response

from rollbook.console.request import Visit, redirect
from rollbook.console.views.sign_in import leave, try_password
from rollbook.errors import UserError
from rollbook.model import Account, Policies, utc_now
from rollbook.store.learning.retention import count_lost_undos
from rollbook.store.people.accounts import check_policies, set_policies
from rollbook.store.people.passwords import SHORTEST, set_password


def account_of(visit: Visit) -> Account:
    """The account that is signed in to, as the store knows it."""
    return Account(visit.caller.account_id, visit.caller.account, visit.caller.policies)


def show_account(visit: Visit, wrong: str | None = None, asked: Policies | None = None, lost: int = 0) -> Response:
    """Show the policies; owners can change them. With `asked` these take so many undos away: ask whether to go on."""
    kept_after = utc_now() - timedelta(days=asked.retention_days or 0) if asked else None
    return visit.render(
        "account.html",
        code=422 if wrong else 200,
        wrong=wrong,
        policies=visit.caller.policies,
        asked=asked,
        lost=lost,
        kept_after=kept_after,
        shortest=SHORTEST,
    )


def change_policies(visit: Visit) -> Response:
    """Change the policies; for owners. A retention that takes undos away has to be confirmed as it stands."""
    visit.require_owner()
    try:
        asked = _read_policies(visit)
        check_policies(asdict(asked))
    except UserError as error:
        return show_account(visit, str(error))
    days = asked.retention_days
    with visit.database.write() as connection:
        lost = count_lost_undos(connection, visit.caller.account_id, days, utc_now())
        if lost and visit.text("confirmed") != str(days):
            return show_account(visit, asked=asked, lost=lost)
        set_policies(connection, account_of(visit), asdict(asked), by=visit.actor)
        visit.tell(connection, "/account", "Saved.")
    return redirect("/account")


def _read_policies(visit: Visit) -> Policies:
    retention = visit.text("retention_days")
    return Policies(
        protect_completed=bool(visit.text("protect_completed")),
        hold_seconds=_whole("hold", visit.text("hold_seconds")),
        retention_days=_whole("retention", retention) if retention else None,
    )


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
    return leave("changed")


def _whole(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise UserError(f"The {what} is a whole number.")
    return int(text)
