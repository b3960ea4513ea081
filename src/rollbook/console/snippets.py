"""Calls that can be copied: one method's example in several languages, from the templates in snippets/."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from rollbook.console.client_calls import CLIENT_CALLS
from rollbook.methods import Method
from rollbook.wire.describe import ACCOUNT_KEY, USER_KEY, write_example

LANGUAGES = {
    "curl": "curl.txt",
    "Python with Rollbook's client": "client.txt",
    "Python": "python.txt",
    "PHP": "php.txt",
    "C#": "csharp.txt",
    "JavaScript": "javascript.txt",
}


@dataclass(frozen=True)
class Snippet:
    """An example in one language."""

    language: str
    text: str


def write_snippets(method: Method, address: str, *, whole: bool) -> Iterator[Snippet]:
    """Write an example of a method for each language; placeholders stand for the keys."""
    call = CLIENT_CALLS[method.name]
    words = {*re.findall(r"\w+", call)}
    values = {
        "address": address,
        "package": write_example(method.name, method.takes, whole=whole),
        "account_key": ACCOUNT_KEY,
        "user_key": USER_KEY,
        "call": call,
        "classes": sorted({"Client", *re.findall(r"\b[A-Z]\w+(?=\()", call)}),
        "dates": sorted({"UTC", "date", "datetime"} & words),
    }
    for language, file in LANGUAGES.items():
        yield Snippet(language, _ENVIRONMENT.get_template(file).render(values))


def _literal(quote: str, escapes: Mapping[str, str]) -> Callable[[str], str]:
    """Return the filter that writes a string literal of one or more lines."""
    opening, closing = quote.split("…")
    return lambda text: opening + "".join(escapes.get(char, char) for char in text) + closing


QUOTES = {
    "shell": shlex.quote,
    "python": _literal('"""…"""', {"\\": "\\\\", '"': '\\"'}),
    "php": _literal("'…'", {"\\": "\\\\", "'": "\\'"}),
    "csharp": _literal('@"…"', {'"': '""'}),
    "javascript": _literal("`…`", {"\\": "\\\\", "`": "\\`", "$": "\\$"}),
}
_ENVIRONMENT = Environment(
    loader=PackageLoader("rollbook.console", "snippets"),
    autoescape=False,  # noqa: S701 program text, which the page escapes
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= QUOTES
