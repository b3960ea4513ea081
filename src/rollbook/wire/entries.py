"""An entry of a list as updates send it: its text, or elements among which one says to add or to remove it."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from lxml import etree

from rollbook.wire.messages import Kind
from rollbook.wire.xml import text_of


class Entry(NamedTuple):
    """A text, and whether it is added to the list or removed from it; None for an entry of a list sent as a whole."""

    text: str
    is_added: bool | None = None


def entry_kind(action: str, most: int) -> Kind:
    """Text of at most so many characters, or elements with the text and the action of this name, Add or Remove."""

    def read(markup: str) -> Entry:
        entry = etree.fromstring(f"<Entry>{markup}</Entry>")
        words = [text_of(element).lower() for element in entry.iter(action)]
        text = " ".join(part for element in entry.iter() if element.tag != action and (part := text_of(element)))
        if len(text) > most or len(words) > 1 or not {*words} <= {"add", "remove"}:
            raise ValueError("too long, or neither Add nor Remove")
        return Entry(text, words[0] == "add" if words else None)

    name = f"text of at most {most} characters, or elements with it and `{action}`, `Add` or `Remove`"
    return Kind(name, "text", read, escape, markup=True)


def change_list(before: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    """Apply entries to a list: those without an action replace it as a whole."""
    whole = [entry.text for entry in entries if entry.is_added is None]
    after = whole if whole or not entries else [*before]
    for entry in entries:
        if entry.is_added and entry.text not in after:
            after.append(entry.text)
        elif entry.is_added is False:
            after = [text for text in after if text != entry.text]
    return [text for text in after if text]
