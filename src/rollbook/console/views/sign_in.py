"""Sign-in and sign-out."""

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from rollbook.console.request import BASE, ConsoleRequest, redirect
from rollbook.console.security import safe_next
from rollbook.console.session_cookie import (
    PENDING_COOKIE,
    SIGN_IN_NOTICE,
    delete_cookie,
    set_cookie,
    set_sign_in_notice,
)
from rollbook.model import Limit, fold_email, utc_now
from rollbook.store.people.login_sessions import begin_login_session, end_login_session
from rollbook.store.people.passwords import find_login, has_several_accounts, is_password_of
from rollbook.store.people.pending_sign_ins import begin_pending
from rollbook.store.people.second_factors import find_factor


def show_sign_in(request: ConsoleRequest) -> Response:
    """Show the sign-in form."""
    return _form(request, 200, None, request.query.get("next", ""))


def sign_in(request: ConsoleRequest) -> Response:
    """Begin a session with a new token, never with the one that the browser sent, and redirect to a console page.

    A user with a second factor is asked for its code first.
    """
    account, email = request.text("account"), request.text("email")
    user = check_password(request, account, email, str(request.form.get("password", "")))
    if user is None:
        error = "The e-mail or the password is wrong, or this user may not sign in here."
        return _form(request, 403, error, request.text("next"))
    account_id, user_id = user
    to = safe_next(request.text("next"))
    with request.database.write() as connection:
        end_login_session(connection, request.token)
        factor = find_factor(connection, user_id)
        if factor and factor.confirmed_at:
            token = begin_pending(connection, account_id, user_id, utc_now())
            to = f"{BASE}/sign-in/code?{urlencode({'next': to})}"
            return RedirectResponse(to, 303, set_cookie(token, PENDING_COOKIE))
        token = begin_login_session(connection, account_id, user_id, utc_now())
    return RedirectResponse(to, 303, set_cookie(token))


def check_password(request: ConsoleRequest, account: str, email: str, password: str) -> tuple[int, int] | None:
    """Return the account's and the user's id for a right password, and count a wrong one; errors: RateLimitError."""
    request.attempts.check(Limit.SIGN_INS_PER_ADDRESS, request.address)
    login = find_login(request.database, account, email)
    # One count for a user, however the e-mail is written.
    whose = f"user {login.user_id}" if login else fold_email(email)
    request.attempts.check(Limit.SIGN_INS_PER_EMAIL, whose)
    right = is_password_of(login, password)
    if right and login is not None:
        return login.account_id, login.user_id
    request.attempts.count(Limit.SIGN_INS_PER_ADDRESS, request.address)
    request.attempts.count(Limit.SIGN_INS_PER_EMAIL, whose)
    return None


def sign_out(request: ConsoleRequest) -> Response:
    """End the session."""
    with request.database.write() as connection:
        end_login_session(connection, request.token)
    return redirect_to_sign_in("out")


def redirect_to_sign_in(notice: str) -> Response:
    """Delete the cookie and redirect to the sign-in page, which shows the notice "out" or "changed"."""
    response = redirect("/sign-in")
    delete_cookie(response)
    set_sign_in_notice(response, notice)
    return response


def _form(request: ConsoleRequest, code: int, error: str | None, next_path: str) -> Response:
    with request.database.read() as connection:
        several = has_several_accounts(connection)
    fields = {"email": request.text("email"), "account": request.text("account"), "next": next_path}
    kept = request.sign_in_notice
    notice = kept if kept in ("out", "changed", "chosen") else "ended" if next_path else None
    page = request.render("sign_in.html", code=code, error=error, several=several, notice=notice, **fields)
    if kept:
        delete_cookie(page, SIGN_IN_NOTICE)
    return page
