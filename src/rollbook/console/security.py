"""Security headers of the pages, and which redirects after sign-in are allowed."""

from urllib.parse import urlsplit

from rollbook.console.request import BASE

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
