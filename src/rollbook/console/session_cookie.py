"""The cookies of the console and of the learner's page: session cookies, and the notice of the sign-in page."""

import re

from starlette.responses import Response

# With this prefix a browser accepts the cookie over HTTPS only, for this host only, and from no other site.
COOKIE = "__Host-rollbook"
# Of a user with the right password, before the second factor: it opens no page but the one for the code.
PENDING_COOKIE = "__Host-rollbook-code"
LEARNER_COOKIE = "__Host-rollbook-learner"
COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax"
# What the sign-in page shows once, to a browser without a session.
SIGN_IN_NOTICE = "__Host-rollbook-told"


def read_cookie(header: str, name: str) -> str:
    """Return the value of a cookie; empty when it is absent or malformed.

    http.cookies takes quadratic time for a value full of backslashes.
    """
    found = re.search(rf"(?:^|;) *{name}=([\w-]{{1,43}}) *(?:;|$)", header, re.ASCII)
    return found[1] if found else ""


def set_cookie(token: str, name: str = COOKIE) -> dict[str, str]:
    """Return the header that sets a session cookie; it lasts until the browser is closed."""
    return {"Set-Cookie": f"{name}={token}; {COOKIE_RULES}"}


def delete_cookie(response: Response, name: str = COOKIE) -> None:
    """Let the browser delete a cookie."""
    response.headers.append("Set-Cookie", f"{name}=; {COOKIE_RULES}; Max-Age=0")


def set_sign_in_notice(response: Response, notice: str) -> None:
    """Let the sign-in page show a notice once."""
    response.headers.append("Set-Cookie", f"{SIGN_IN_NOTICE}={notice}; {COOKIE_RULES}; Max-Age=60")
