"""MatchType and Value, by which methods choose what they list: without regard to case (protocol-neighbours §9)."""

from collections.abc import Callable
from unicodedata import normalize

from rollbook.wire.messages import Element, Values, record
from rollbook.wire.values import one_of


def matching(name: str, field: str) -> Element:
    """A filter by text; its values are `match_type` and `value`."""
    return record(
        name,
        Element("MatchType", "match_type", one_of("EXACT", "CONTAINS", any_case=True), help="in any case"),
        Element("Value", "value", help="in any case of its letters; nothing is in every text"),
        field=field,
        least=0,
    )


def match(values: Values) -> Callable[[str], bool]:
    """Make the function that tells of a text whether it matches."""
    wanted = _fold(values["value"])
    if values["match_type"] == "EXACT":
        return lambda text: _fold(text) == wanted
    return lambda text: wanted in _fold(text)


def matching_of(name: str | None, contains: str | None) -> Values | None:
    """The values of a filter by exactly a name, or by a text in it; errors: ValueError for both."""
    if name is not None and contains is not None:
        raise ValueError("either name or contains, not both")
    if name is None and contains is None:
        return None
    return {"match_type": "EXACT" if contains is None else "CONTAINS", "value": name if contains is None else contains}


def _fold(text: str) -> str:
    return normalize("NFC", normalize("NFC", text).casefold())
