"""Signing in and out."""

from starlette.responses import RedirectResponse, Response

from rollbook.console.request import Visit, redirect
from rollbook.console.security import TOLD, drop_cookie, safe_next, set_cookie, tell_stranger
from rollbook.model import Limit, fold_email, utc_now
from rollbook.store.people.login_sessions import begin_sign_in, end_sign_in
from rollbook.store.people.passwords import find_login, has_several_accounts, is_password_of


def show_sign_in(visit: Visit) -> Response:
    """Ask for e-mail and password."""
    return _form(visit, 200, None, visit.query.get("next", ""))


def sign_in(visit: Visit) -> Response:
    """Sign in with a new token, whatever token the browser came with, and lead on to a page of ours."""
    account, email = visit.text("account"), visit.text("email")
    user = try_password(visit, account, email, str(visit.form.get("password", "")))
    if user is None:
        wrong = "This e-mail and this password do not go together, or may not sign in here."
        return _form(visit, 403, wrong, visit.text("next"))
    account_id, user_id = user
    with visit.database.write() as connection:
        end_sign_in(connection, visit.token)
        token = begin_sign_in(connection, account_id, user_id, utc_now())
    return RedirectResponse(safe_next(visit.text("next")), 303, set_cookie(token))


def try_password(visit: Visit, account: str, email: str, password: str) -> tuple[int, int] | None:
    """Check a password as the store does, and count a wrong one; errors: ThrottledError after too many of them."""
    visit.throttle.check(Limit.SIGN_INS_PER_ADDRESS, visit.address)
    login = find_login(visit.database, account, email)
    # The user, however the e-mail is written.
    whose = f"user {login.user_id}" if login else fold_email(email)
    visit.throttle.check(Limit.SIGN_INS_PER_EMAIL, whose)
    right = is_password_of(login, password)
    if right and login is not None:
        return login.account_id, login.user_id
    visit.throttle.count(Limit.SIGN_INS_PER_ADDRESS, visit.address)
    visit.throttle.count(Limit.SIGN_INS_PER_EMAIL, whose)
    return None


def sign_out(visit: Visit) -> Response:
    """End this sign-in, here and in the database."""
    with visit.database.write() as connection:
        end_sign_in(connection, visit.token)
    return leave("out")


def leave(told: str) -> Response:
    """Lead to the page to sign in, which says why: "out" or "changed"."""
    response = redirect("/sign-in")
    drop_cookie(response)
    tell_stranger(response, told)
    return response


def _form(visit: Visit, code: int, wrong: str | None, next_path: str) -> Response:
    with visit.database.read() as connection:
        several = has_several_accounts(connection)
    fields = {"email": visit.text("email"), "account": visit.text("account"), "next": next_path}
    told = visit.told if visit.told in ("out", "changed") else "ended" if next_path else None
    page = visit.render("sign_in.html", code=code, wrong=wrong, several=several, told=told, **fields)
    if visit.told:
        drop_cookie(page, TOLD)
    return page
