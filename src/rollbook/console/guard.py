"""What keeps other sites out: the headers of every page, the cookie, where a form came from, where a link may lead."""

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from rollbook.console.visit import BASE, PageError, csrf_of

# With this prefix a browser takes the cookie over HTTPS only, for this host only, and lets nobody else set it.
COOKIE = "__Host-rollbook"
COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def set_cookie(token: str) -> dict[str, str]:
    """The header that gives the browser its token; it is forgotten when the browser ends."""
    return {"Set-Cookie": f"{COOKIE}={token}; {COOKIE_RULES}"}


def drop_cookie() -> dict[str, str]:
    """The header that takes the token away."""
    return {"Set-Cookie": f"{COOKIE}=; {COOKIE_RULES}; Max-Age=0"}


def check_form(headers: Mapping[str, str], csrf: str, token: str) -> None:
    """Let a form through only from a page of ours, made for this very sign-in; errors: PageError 403."""
    if not _same_site(headers) or not hmac.compare_digest(csrf.encode(), csrf_of(token).encode()):
        raise PageError(403, "This form was not sent from a page of your sign-in. Go back, reload the page, try again.")


def _same_site(headers: Mapping[str, str]) -> bool:
    # Browsers say it themselves, and then it holds behind a proxy that changes Host as well.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def safe_next(path: str) -> str:
    """Where to go after signing in: a page of ours, never another site."""
    parts = urlsplit(path)
    plain = path.isprintable() and "\\" not in path and not parts.scheme and not parts.netloc
    inside = parts.path.startswith(f"{BASE}/") and ".." not in parts.path and "//" not in parts.path
    return path if plain and inside else f"{BASE}/queue"
