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


def _fold(text: str) -> str:
    return normalize("NFC", normalize("NFC", text).casefold())
