"""The pages of users for owners: administrators and owners, adding users, and what can be changed of one."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rollbook.console.downloads import CHUNK, in_chunks, send_csv
from rollbook.console.render import person
from rollbook.console.request import ConsoleRequest, PageError, change, redirect, say
from rollbook.console.views.account import account_of
from rollbook.console.views.learners import describe_state
from rollbook.errors import UserError
from rollbook.model import Role, utc_now
from rollbook.store.people.erasure import erase_user
from rollbook.store.people.invitations import invite
from rollbook.store.people.passwords import ADMINISTERING, generate_password, set_password
from rollbook.store.people.search import find_access, find_staff
from rollbook.store.people.second_factors import reset_factor
from rollbook.store.people.users import add_user, find_named, set_active, set_role

PATH = "/account/users"
PER_PAGE = 80
COLUMNS = ("User", "E-mail", "Name", "Role", "State", "Password", "Second factor since", "Invited until")
HAND_OVER = "Hand it over now: it is shown only once. The user can change it after signing in."
SEND = "Send it to the user now: it is shown only once. The user chooses a password with it, once, within 7 days."
OWN = "You cannot lock yourself out: another owner can do this. Your own password is under Policies and password."


def show_users(request: ConsoleRequest, error: str | None = None) -> Response:
    """List administrators and owners."""
    page = request.page()
    with request.database.read() as connection:
        found = find_staff(connection, request.caller.account_id, PER_PAGE + 1, (page - 1) * PER_PAGE)
    shown = {"staff": found[:PER_PAGE], "page": page, "more": len(found) > PER_PAGE, "roles": [*Role]}
    return request.render("users.html", code=422 if error else 200, error=error, **shown)


def download_users(request: ConsoleRequest) -> Response:
    """Send the administrators and owners as CSV."""
    account_id, now = request.caller.account_id, utc_now()

    def cells(user: Any) -> Sequence[object]:
        password, until = "set" if user.has_password else "none", user.invited_until
        named = (user.id, user.email, person(user), user.role, describe_state(user), password, user.factor_since)
        return (*named, until if until and until > now else None)

    chunks = in_chunks(request, lambda connection, offset: find_staff(connection, account_id, CHUNK, offset))
    return send_csv("users", COLUMNS, (map(cells, rows) for rows in chunks))


def find(request: ConsoleRequest) -> Response:
    """Lead to the page of a user named by e-mail or number."""
    request.require_owner()
    try:
        with request.database.read() as connection:
            number = find_named(connection, account_of(request), request.text("user")).id
    except UserError as error:
        return show_users(request, say(error))
    return redirect(f"{PATH}/{number}")


def add(request: ConsoleRequest) -> Response:
    """Add a user to the account; an administrator or owner is invited."""
    request.require_owner()
    names = {name: request.text(name) for name in ("given_name", "family_name")}

    def work(connection: sa.Connection) -> int:
        role = _role(request)
        number = add_user(connection, account_of(request), request.text("email"), role, by=request.actor, **names)
        if role in ADMINISTERING:
            _invite(request, connection, number)
        else:
            request.notify(connection, f"{PATH}/{number}", "Added.")
        return number

    try:
        return redirect(f"{PATH}/{request.database.transact(work)}")
    except UserError as error:
        return show_users(request, say(error))


def show_user(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show what owners can change of a user."""
    request.require_owner()
    with request.database.read() as connection:
        user = find_access(connection, request.caller.account_id, request.numbers["user"])
    if user is None:
        raise PageError(404, "This account has no such user, or the user has been erased.")
    own, may_enter = user.id == request.caller.user_id, user.active and user.email and user.role in ADMINISTERING
    context = {"user": user, "own": own, "may_enter": may_enter, "roles": [*Role]}
    return request.render("user.html", code=422 if error else 200, error=error, **context)


def change_role(request: ConsoleRequest) -> Response:
    """Change the role of a user."""

    def work(connection: sa.Connection) -> None:
        role = _role(request)
        set_role(connection, account_of(request), str(request.numbers["user"]), role, by=request.actor)
        request.notify(connection, f"{PATH}/{request.numbers['user']}", "Saved.")

    return _change(request, work, own=request.text("role") != Role.LEARNER)


def create_invitation(request: ConsoleRequest) -> Response:
    """Invite an administrator or owner by a link that is shown once."""
    return _change(request, lambda connection: _invite(request, connection, request.numbers["user"]))


def create_password(request: ConsoleRequest) -> Response:
    """Create a password for an administrator or owner, show it once, and end their sessions."""
    number, password = request.numbers["user"], generate_password()

    def work(connection: sa.Connection) -> None:
        set_password(connection, account_of(request), str(number), password, by=request.actor)
        request.notify(connection, f"{PATH}/{number}", HAND_OVER, "New password", password)

    return _change(request, work)


def reset_second_factor(request: ConsoleRequest) -> Response:
    """Remove the second factor of a user whose device is lost, and end their sessions."""
    number = request.numbers["user"]

    def work(connection: sa.Connection) -> None:
        reset_factor(connection, account_of(request), str(number), by=request.actor)
        request.notify(connection, f"{PATH}/{number}", "The second factor is reset. The user is signed out.")

    return _change(request, work)


def change_state(request: ConsoleRequest) -> Response:
    """Activate or deactivate a user."""
    number, active = request.numbers["user"], request.text("active") == "1"

    def work(connection: sa.Connection) -> None:
        set_active(connection, account_of(request), str(number), active=active, by=request.actor)
        told = "Keys that are not revoked work again." if active else "Keys and sign-ins have stopped working."
        request.notify(connection, f"{PATH}/{number}", f"The user is {'active' if active else 'inactive'}. {told}")

    return _change(request, work)


def preview_erasure(request: ConsoleRequest) -> Response:
    """Show what erasing a user removes and keeps."""
    request.require_owner()
    planned = request.database.transact(
        lambda connection: erase_user(connection, account_of(request), str(request.numbers["user"]), by=request.actor),
        rollback=True,
    )
    return request.render("erase.html", planned=planned, own=planned.user_id == request.caller.user_id)


def erase(request: ConsoleRequest) -> Response:
    """Erase a user."""

    def work(connection: sa.Connection) -> None:
        done = erase_user(connection, account_of(request), str(request.numbers["user"]), by=request.actor)
        request.notify(connection, PATH, f"Erased {done.name}, who is User {done.user_id} from now on.")

    return _change(request, work, then=PATH)


def _change(
    request: ConsoleRequest, work: Callable[[sa.Connection], None], *, own: bool = False, then: str = ""
) -> Response:
    """Change a user as an owner, or with `own` oneself too, and redirect to the user's page, or `then`."""
    request.require_owner()
    if request.numbers["user"] == request.caller.user_id and not own:
        return show_user(request, OWN)
    return change(request, then or f"{PATH}/{request.numbers['user']}", work, show_user)


def _invite(request: ConsoleRequest, connection: sa.Connection, number: int) -> None:
    key = invite(connection, account_of(request), str(number), utc_now(), by=request.actor)
    link = f"{request.origin}/console/invitation?key={key}"
    request.notify(connection, f"{PATH}/{number}", SEND, "Invitation link", link)


def _role(request: ConsoleRequest) -> Role:
    try:
        return Role(request.text("role"))
    except ValueError:
        raise UserError(f"The role must be one of {', '.join(Role)}.") from None
