"""Keys: shown once when they are made, revocable. Owners have to do with all, administrators with their own."""

from collections.abc import Sequence

from starlette.responses import Response

from rollbook.console.request import PageError, Visit, redirect
from rollbook.console.views.account import account_of
from rollbook.errors import UserError
from rollbook.store.people.api_keys import list_keys, new_key, revoke_key
from rollbook.store.people.users import find_user

KEEP = "Keep it safe now: it is shown this once, and only a digest of it is stored."


def show_keys(visit: Visit, wrong: str | None = None) -> Response:
    """List the keys by their numbers."""
    return visit.render("keys.html", code=422 if wrong else 200, wrong=wrong, keys=_keys(visit))


def make_key(visit: Visit) -> Response:
    """Make a key of the account (for owners), of a user (for owners), or of oneself, and have it shown, once."""
    email = visit.text("email") or None
    if email is None:
        visit.require_owner()
    try:
        with visit.database.write() as connection:
            if email is not None and find_user(connection, account_of(visit), email).id != visit.caller.user_id:
                visit.require_owner()
            key = new_key(connection, account_of(visit), email, by=visit.actor)
            visit.tell(connection, "/account/keys", KEEP, f"The new key of {email or 'the account'}", key)
    except UserError as error:
        return show_keys(visit, str(error).split(" See: ", maxsplit=1)[0])
    return redirect("/account/keys")


def revoke(visit: Visit) -> Response:
    """Let a key open nothing any more."""
    number = visit.number("key")
    if number not in [row["id"] for row in _keys(visit)]:
        raise PageError(404, "There is no such key, or it is not yours to revoke.")
    with visit.database.write() as connection:
        revoke_key(connection, account_of(visit), int(number or 0), by=visit.actor)
        visit.tell(connection, "/account/keys", "The key is revoked. The very next call with it is refused.")
    return redirect("/account/keys")


def _keys(visit: Visit) -> Sequence[dict[str, object]]:
    with visit.database.read() as connection:
        rows = list_keys(connection, account_of(visit))
    mine = rows if visit.caller.role == "owner" else [row for row in rows if row["user_id"] == visit.caller.user_id]
    return mine[::-1]
