"""Signing in and out."""

from starlette.responses import RedirectResponse, Response

from rollbook.console.request import ConsoleRequest, redirect
from rollbook.console.security import TOLD, drop_cookie, safe_next, set_cookie, tell_stranger
from rollbook.model import Limit, fold_email, utc_now
from rollbook.store.people.login_sessions import begin_login_session, end_login_session
from rollbook.store.people.passwords import find_login, has_several_accounts, is_password_of


def show_sign_in(request: ConsoleRequest) -> Response:
    """Ask for e-mail and password."""
    return _form(request, 200, None, request.query.get("next", ""))


def sign_in(request: ConsoleRequest) -> Response:
    """Sign in with a new token, whatever token the browser came with, and lead on to a page of ours."""
    account, email = request.text("account"), request.text("email")
    user = try_password(request, account, email, str(request.form.get("password", "")))
    if user is None:
        wrong = "This e-mail and this password do not go together, or may not sign in here."
        return _form(request, 403, wrong, request.text("next"))
    account_id, user_id = user
    with request.database.write() as connection:
        end_login_session(connection, request.token)
        token = begin_login_session(connection, account_id, user_id, utc_now())
    return RedirectResponse(safe_next(request.text("next")), 303, set_cookie(token))


def try_password(request: ConsoleRequest, account: str, email: str, password: str) -> tuple[int, int] | None:
    """Check a password as the store does, and count a wrong one; errors: RateLimitError after too many of them."""
    request.attempts.check(Limit.SIGN_INS_PER_ADDRESS, request.address)
    login = find_login(request.database, account, email)
    # The user, however the e-mail is written.
    whose = f"user {login.user_id}" if login else fold_email(email)
    request.attempts.check(Limit.SIGN_INS_PER_EMAIL, whose)
    right = is_password_of(login, password)
    if right and login is not None:
        return login.account_id, login.user_id
    request.attempts.count(Limit.SIGN_INS_PER_ADDRESS, request.address)
    request.attempts.count(Limit.SIGN_INS_PER_EMAIL, whose)
    return None


def sign_out(request: ConsoleRequest) -> Response:
    """End this sign-in, here and in the database."""
    with request.database.write() as connection:
        end_login_session(connection, request.token)
    return leave("out")


def leave(told: str) -> Response:
    """Lead to the page to sign in, which says why: "out" or "changed"."""
    response = redirect("/sign-in")
    drop_cookie(response)
    tell_stranger(response, told)
    return response


def _form(request: ConsoleRequest, code: int, wrong: str | None, next_path: str) -> Response:
    with request.database.read() as connection:
        several = has_several_accounts(connection)
    fields = {"email": request.text("email"), "account": request.text("account"), "next": next_path}
    told = request.told if request.told in ("out", "changed") else "ended" if next_path else None
    page = request.render("sign_in.html", code=code, wrong=wrong, several=several, told=told, **fields)
    if request.told:
        drop_cookie(page, TOLD)
    return page
