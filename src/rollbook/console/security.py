"""What keeps other sites out: the headers of every page, the cookie, where a form came from, where a link may lead."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from rollbook.console.request import BASE, PageError

# With this prefix a browser takes the cookie over HTTPS only, for this host only, and lets nobody else set it.
COOKIE = "__Host-rollbook"
COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax"
# What the page to sign in has to say, for a browser that is not signed in; no other site can set it.
TOLD = "__Host-rollbook-told"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def read_cookie(header: str, name: str) -> str:
    """Find one of our cookies in a Cookie header; empty when there is none that a page of ours has made.

    The standard library takes quadratic time for a value full of backslashes.
    """
    found = re.search(rf"(?:^|;) *{name}=([\w-]{{1,43}}) *(?:;|$)", header, re.ASCII)
    return found[1] if found else ""


def set_cookie(token: str) -> dict[str, str]:
    """The header that gives the browser its token; it is forgotten when the browser ends."""
    return {"Set-Cookie": f"{COOKIE}={token}; {COOKIE_RULES}"}


def drop_cookie(response: Response, name: str = COOKIE) -> None:
    """Take a cookie away."""
    response.headers.append("Set-Cookie", f"{name}=; {COOKIE_RULES}; Max-Age=0")


def tell_stranger(response: Response, what: str) -> None:
    """Let the page to sign in, where the answer leads, say something once."""
    response.headers.append("Set-Cookie", f"{TOLD}={what}; {COOKIE_RULES}; Max-Age=60")


def check_form(headers: Headers) -> None:
    """Let a form through only when the browser says that a page of this console sent it; errors: PageError 403."""
    if not _same_origin(headers):
        raise PageError(403, "This form was not sent from a page of the console. Open the page here and try again.")


def _same_origin(headers: Headers) -> bool:
    # Browsers say it themselves, and then it holds behind a proxy that changes Host as well. Older ones send Origin.
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
    """Where to go after signing in: a page of ours, never another site."""
    if _netloc(path) != "":
        return f"{BASE}/queue"
    parts = urlsplit(path)
    plain = path.isprintable() and "\\" not in path and not parts.scheme
    inside = parts.path.startswith(f"{BASE}/") and ".." not in parts.path and "//" not in parts.path
    return path if plain and inside else f"{BASE}/queue"
