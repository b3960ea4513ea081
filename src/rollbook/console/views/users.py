"""The page of administrators and owners; owners change roles, add users and create passwords."""

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.views.account import account_of
from rollbook.errors import UserError
from rollbook.model import Role
from rollbook.store.people.passwords import generate_password, set_password
from rollbook.store.people.search import find_staff
from rollbook.store.people.users import add_user, set_role

STAFF_SHOWN = 200
HAND_OVER = "Hand it over now: it is shown only once. The user can change it after signing in."


def show_users(request: ConsoleRequest, error: str | None = None) -> Response:
    """List administrators and owners."""
    with request.database.read() as connection:
        staff = find_staff(connection, request.caller.account_id, STAFF_SHOWN)
    return request.render("users.html", code=422 if error else 200, error=error, staff=staff, roles=[*Role])


def change_role(request: ConsoleRequest) -> Response:
    """Change the role of a user."""
    request.require_owner()
    try:

        def work(connection: sa.Connection) -> None:
            set_role(connection, account_of(request), request.text("email"), _role(request), by=request.actor)
            request.notify(connection, "/account/users", "Saved.")

        request.database.transact(work)
    except UserError as error:
        return show_users(request, _plain(error))
    return redirect("/account/users")


def add(request: ConsoleRequest) -> Response:
    """Add a user to the account."""
    request.require_owner()
    names = {name: request.text(name) for name in ("given_name", "family_name")}
    try:

        def work(connection: sa.Connection) -> None:
            add_user(connection, account_of(request), request.text("email"), _role(request), by=request.actor, **names)
            request.notify(connection, "/account/users", "Saved.")

        request.database.transact(work)
    except UserError as error:
        return show_users(request, _plain(error))
    return redirect("/account/users")


def create_password(request: ConsoleRequest) -> Response:
    """Create a password for an administrator or owner, show it once, and end their sessions."""
    request.require_owner()
    email, password = request.text("email"), generate_password()
    try:

        def work(connection: sa.Connection) -> None:
            set_password(connection, account_of(request), email, password, by=request.actor)
            request.notify(connection, "/account/users", HAND_OVER, f"Password of {email}", password)

        request.database.transact(work)
    except UserError as error:
        return show_users(request, _plain(error))
    return redirect("/account/users")


def _role(request: ConsoleRequest) -> Role:
    try:
        return Role(request.text("role"))
    except ValueError:
        raise UserError(f"The role must be one of {', '.join(Role)}.") from None


def _plain(error: UserError) -> str:
    """Leave out the command that the sentence recommends: the page itself does the same."""
    return str(error).split(" See: ", maxsplit=1)[0]
