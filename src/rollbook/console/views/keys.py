"""The page of API keys. Owners manage all keys, administrators their own; a new key is shown once."""

from collections.abc import Sequence

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.downloads import send_csv
from rollbook.console.request import ConsoleRequest, PageError, change, redirect
from rollbook.console.views.account import account_of
from rollbook.store.people.api_keys import list_keys, new_key, revoke_key
from rollbook.store.people.users import find_user

COLUMNS = ("Key", "Name", "Belongs to", "Created", "Last use", "Expires", "State", "Revoked")
KEEP = "Copy it now: it is shown only once, and only a digest of it is stored."


def show_keys(request: ConsoleRequest, error: str | None = None) -> Response:
    """List the keys, latest first."""
    return request.render("keys.html", code=422 if error else 200, error=error, keys=_keys(request))


def download_keys(request: ConsoleRequest) -> Response:
    """Send the keys of the page as CSV, without the keys themselves, which are not stored."""
    names = ("id", "name", "user", "created_at", "last_used_at", "expires_at", "state", "revoked_at")
    rows = (key | {"user": key["user"] or f"the {key['kind']}"} for key in _keys(request))
    return send_csv("keys", COLUMNS, [[[row[name] for name in names] for row in rows]])


def create_key(request: ConsoleRequest) -> Response:
    """Create a key of the account, of the user or, for owners, of another user; show it once."""
    email = request.text("email") or None
    if email is None:
        request.require_owner()

    def work(connection: sa.Connection) -> None:
        if email is not None and find_user(connection, account_of(request), email).id != request.caller.user_id:
            request.require_owner()
        name, expires_at = request.text("name"), request.day("expires")
        key = new_key(connection, account_of(request), email, by=request.actor, name=name, expires_at=expires_at)
        request.notify(connection, "/account/keys", KEEP, f"New key of {email or 'the account'}", key)

    return change(request, "/account/keys", work, show_keys)


def revoke(request: ConsoleRequest) -> Response:
    """Revoke a key."""
    number = request.number("key")
    if number not in [row["id"] for row in _keys(request)]:
        raise PageError(404, "There is no such key, or you may not revoke it.")

    def work(connection: sa.Connection) -> None:
        revoke_key(connection, account_of(request), int(number or 0), by=request.actor)
        request.notify(connection, "/account/keys", "The key is revoked. Calls with it are refused from now on.")

    request.database.transact(work)
    return redirect("/account/keys")


def _keys(request: ConsoleRequest) -> Sequence[dict[str, object]]:
    with request.database.read() as connection:
        rows = list_keys(connection, account_of(request))
    mine = rows if request.caller.role == "owner" else [row for row in rows if row["user_id"] == request.caller.user_id]
    return mine[::-1]
