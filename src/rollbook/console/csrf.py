"""The CSRF check: a form is accepted from a page of this server only (decision 0032)."""

from starlette.datastructures import Headers

from rollbook.console.request import PageError


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
