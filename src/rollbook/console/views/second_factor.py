"""The second factor: its code at sign-in; setting it up, its recovery codes, removing it."""

from collections.abc import Callable
from urllib.parse import urlencode

import segno
import sqlalchemy as sa
from starlette.responses import RedirectResponse, Response

from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.security import safe_next
from rollbook.console.session_cookie import PENDING_COOKIE, delete_cookie, set_cookie
from rollbook.console.views.account import account_of
from rollbook.console.views.sign_in import check_password
from rollbook.errors import UserError
from rollbook.model import Actor, Limit, utc_now
from rollbook.store.people.login_sessions import begin_login_session
from rollbook.store.people.pending_sign_ins import PendingSignIn, end_pending, find_pending
from rollbook.store.people.second_factors import (
    CodeResult,
    begin_factor,
    confirm_factor,
    find_factor,
    remove_factor,
    renew_recovery_codes,
    take_code,
    take_recovery_code,
)

PATH = "/account/second-factor"
SENTENCES = {
    CodeResult.WRONG: "The code is wrong, too old, or has been used already. Wait for the next one.",
    CodeResult.TOO_MANY: "Too many wrong codes: none is accepted until 24 hours after the first of them. Use a "
    "recovery code, or let an owner of the account reset the second factor.",
}
KEEP = "Keep these recovery codes: they are shown only once, and each replaces a code one time, if you lose the device."


def show_code(request: ConsoleRequest, error: str | None = None) -> Response:
    """Ask for the code of a pending sign-in."""
    if _find_pending(request) is None:
        return _begin_again(request)
    return request.render("sign_in_code.html", code=403 if error else 200, error=error, next=request.text("next"))


def check_code(request: ConsoleRequest) -> Response:
    """Begin a session for a right code or recovery code, and redirect to a console page."""
    pending = _find_pending(request)
    if pending is None:
        return _begin_again(request)
    _check_limits(request, pending.user_id)
    result, token = request.database.transact(lambda connection: _sign_in(request, connection, pending))
    if token is None:
        if result is CodeResult.RIGHT:  # the same sign-in has ended meanwhile
            return _begin_again(request)
        _count(request, pending.user_id)
        return show_code(request, SENTENCES[result])
    response = RedirectResponse(safe_next(request.text("next")), 303, set_cookie(token))
    delete_cookie(response, PENDING_COOKIE)
    return response


def _sign_in(
    request: ConsoleRequest, connection: sa.Connection, pending: PendingSignIn
) -> tuple[CodeResult, str | None]:
    """Use up the code; the code, the pending sign-in and the session are one transaction."""
    user_id, code, now = pending.user_id, request.text("code")[:100], utc_now()
    by = Actor(pending.email or f"user {user_id}", user_id, request.address, request.request_id)
    if take_recovery_code(connection, pending.account_id, user_id, code, by):
        result = CodeResult.RIGHT
    else:
        result = take_code(connection, user_id, code, now)
    if result is CodeResult.RIGHT and end_pending(connection, request.pending):
        return result, begin_login_session(connection, pending.account_id, user_id, now, verified=True)
    return result, None


def show_factor(request: ConsoleRequest, error: str | None = None) -> Response:
    """Show the state of the second factor and, while it is set up, its secret."""
    caller = request.caller
    with request.database.read() as connection:
        factor = find_factor(connection, caller.user_id)
    unconfirmed = factor and not factor.confirmed_at
    address = factor.address(caller.account, caller.email) if factor and unconfirmed else ""
    return request.render(
        "second_factor.html",
        code=422 if error else 200,
        error=error,
        factor=factor,
        address=address,
        picture=segno.make(address, micro=False).svg_inline(scale=4, light="#fff") if address else "",
    )


def begin(request: ConsoleRequest) -> Response:
    """Make a secret, which a code then confirms."""
    caller = request.caller
    request.database.transact(lambda connection: begin_factor(connection, caller.account_id, caller.user_id, utc_now()))
    return redirect(PATH)


def confirm(request: ConsoleRequest) -> Response:
    """Put the new secret into use, and show the recovery codes once."""

    def work(connection: sa.Connection) -> CodeResult:
        account, user_id = account_of(request), request.caller.user_id
        result, codes = confirm_factor(
            connection, account, user_id, request.text("code"), utc_now(), token=request.token, by=request.actor
        )
        if codes:
            _show_once(request, connection, codes)
        return result

    return _change(request, work)


def renew_codes(request: ConsoleRequest) -> Response:
    """Replace the recovery codes, and show the new ones once."""
    _require_factor(request)

    def work(connection: sa.Connection) -> CodeResult:
        account_id, user_id, now = request.caller.account_id, request.caller.user_id, utc_now()
        result = take_code(connection, user_id, request.text("code"), now)
        if result is CodeResult.RIGHT:
            codes = renew_recovery_codes(connection, account_id, user_id, now, by=request.actor)
            _show_once(request, connection, codes)
        return result

    return _change(request, work)


def remove(request: ConsoleRequest) -> Response:
    """Remove the second factor."""
    _require_factor(request)

    def work(connection: sa.Connection) -> CodeResult:
        account_id, user_id = request.caller.account_id, request.caller.user_id
        result = take_code(connection, user_id, request.text("code"), utc_now())
        if result is CodeResult.RIGHT:
            remove_factor(connection, account_id, user_id, token=request.token, by=request.actor)
            request.notify(connection, PATH, "The second factor is removed. You are signed out everywhere else.")
        return result

    return _change(request, work)


def _change(request: ConsoleRequest, work: Callable[[sa.Connection], CodeResult]) -> Response:
    """Do the work, which takes a code, if the password is right too."""
    caller = request.caller
    _check_limits(request, caller.user_id)
    if check_password(request, caller.account, caller.email, str(request.form.get("password", ""))) is None:
        return show_factor(request, "The password is wrong.")
    result = request.database.transact(work)
    if result is CodeResult.RIGHT:
        return redirect(PATH)
    _count(request, caller.user_id)
    return show_factor(request, SENTENCES[result])


def _require_factor(request: ConsoleRequest) -> None:
    if not request.has_factor:
        raise UserError("You have no second factor.")


def _show_once(request: ConsoleRequest, connection: sa.Connection, codes: list[str]) -> None:
    request.notify(connection, PATH, KEEP, "Recovery codes", "\n".join(codes))


def _find_pending(request: ConsoleRequest) -> PendingSignIn | None:
    with request.database.read() as connection:
        return find_pending(connection, request.pending, utc_now())


def _begin_again(request: ConsoleRequest) -> Response:
    response = redirect(f"/sign-in?{urlencode({'next': safe_next(request.text('next'))})}")
    delete_cookie(response, PENDING_COOKIE)
    return response


def _check_limits(request: ConsoleRequest, user_id: int) -> None:
    """Limit codes as passwords; errors: RateLimitError."""
    request.attempts.check(Limit.SIGN_INS_PER_ADDRESS, request.address)
    request.attempts.check(Limit.SIGN_INS_PER_EMAIL, f"user {user_id}")


def _count(request: ConsoleRequest, user_id: int) -> None:
    request.attempts.count(Limit.SIGN_INS_PER_ADDRESS, request.address)
    request.attempts.count(Limit.SIGN_INS_PER_EMAIL, f"user {user_id}")
