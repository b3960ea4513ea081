"""Session cookie, CSRF check, security headers, and which redirects after sign-in are allowed."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from rollbook.console.request import BASE, PageError

# With this prefix a browser accepts the cookie over HTTPS only, for this host only, and from no other site.
COOKIE = "__Host-rollbook"
LEARNER_COOKIE = "__Host-rollbook-learner"
COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax"
# What the sign-in page shows once, to a browser without a session.
SIGN_IN_NOTICE = "__Host-rollbook-told"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# For what answers an address that holds keys.
NO_REFERRER = {"Referrer-Policy": "no-referrer"}


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


def check_form(headers: Headers) -> None:
    """Check by the browser's headers that a page of this server sent the form (CSRF); errors: PageError 403."""
    if not _same_origin(headers):
        raise PageError(403, "This form was not sent from a page of the console. Open the page and try again.")


def _same_origin(headers: Headers) -> bool:
    # Sec-Fetch-Site also holds behind a proxy that changes Host. Browsers from before 2023 send Origin alone.
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if sites:
        return sites == ["same-origin"]
    return origins == [f"https://{headers.get('host')}"]


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def safe_next(path: str) -> str:
    """Return the address to go to after signing in: a page of the console, never another site."""
    if _netloc(path) != "":
        return f"{BASE}/queue"
    parts = urlsplit(path)
    plain = path.isprintable() and "\\" not in path and not parts.scheme
    inside = parts.path.startswith(f"{BASE}/") and ".." not in parts.path and "//" not in parts.path
    return path if plain and inside else f"{BASE}/queue"
