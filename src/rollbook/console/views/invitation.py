"""The page of an invitation: the invited user chooses a password."""

from starlette.responses import Response

from rollbook.console.request import ConsoleRequest, PageError, redirect
from rollbook.console.session_cookie import set_sign_in_notice
from rollbook.errors import UserError
from rollbook.model import utc_now
from rollbook.store.people.invitations import accept, find_invitation
from rollbook.store.people.passwords import MIN_LENGTH

OVER = "This invitation was used, was replaced by a newer one, or has expired. Ask an owner of the account for another."


def show_invitation(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the form; opening the link does not use it up."""
    key = request.text("key")
    with request.database.read() as connection:
        found = find_invitation(connection, key, utc_now())
    if found is None:
        raise PageError(404, OVER)
    context = {"invitation": found, "key": key, "min_length": MIN_LENGTH}
    return request.render("invitation.html", code=422 if error else 200, error=error, **context)


def accept_invitation(request: ConsoleRequest) -> Response:
    """Set the password and redirect to the sign-in page."""
    password = str(request.form.get("new", ""))
    if password != str(request.form.get("again", "")):
        return show_invitation(request, "The two passwords differ.")
    key, address, request_id = request.text("key"), request.address, request.request_id
    try:
        done = request.database.transact(
            lambda connection: accept(connection, key, password, utc_now(), address=address, request_id=request_id)
        )
    except UserError as error:
        return show_invitation(request, str(error))
    if not done:
        raise PageError(404, OVER)
    response = redirect("/sign-in")
    set_sign_in_notice(response, "chosen")
    return response
