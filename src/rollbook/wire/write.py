"""Writes messages by their tree as XML text, compiled to closures; the only code that escapes and formats values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any, NewType
from xml.sax.saxutils import escape

from lxml import etree

from rollbook.wire.messages import Element, Values
from rollbook.wire.xml import UNWRITABLE, WHITE_SPACE, name_of

# Escaped XML text.
Markup = NewType("Markup", str)

# Answers drop a character that XML cannot hold. Calls replace it: an id with one in it is refused, while the id without
# it may be another learner's.
DROPPED, REPLACED = "", "\ufffd"

_IN_TEXT = {"\r": "&#13;"}
_IN_ATTRIBUTE = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;", '"': "&quot;"}

Write = Callable[[Any], str]


def compile_writer(tree: Element, unwritable: str = DROPPED) -> Callable[[Values], Markup]:
    """Compile the writer of the content of a tree's root.

    It omits optional elements without a value, and optional records without content.
    """
    write = _compile_content(tree, unwritable)
    return lambda values: Markup(write(values))


def _compile_content(record: Element, unwritable: str) -> Write:
    parts = [_compile_part(child, unwritable) for child in record.children]
    return lambda values: "".join([part(values) for part in parts])


def _compile_part(element: Element, unwritable: str) -> Write:
    """Compile the writer of an element, single or repeated, from the values of its parent."""
    key, is_optional = element.field, not element.least
    if element.repeats:
        write_all = _compile_rows(element, unwritable) or _write_each(_compile(element, unwritable))
        return lambda values: write_all(values.get(key) or ())
    if element.children and not key:
        return _compile(element, unwritable)
    write = _compile(replace(element, least=1), unwritable)  # a record that is given is written, even an empty one

    def write_one(values: Values) -> str:
        value = values.get(key)
        return "" if value is None and is_optional else write(value)

    return write_one


def _compile(element: Element, unwritable: str) -> Write:
    name = element.name
    if element.kind.markup:
        show_markup = element.kind.write
        return lambda value: f"<{name}>{'' if value is None else show_markup(value)}</{name}>"
    if not element.children:
        show = element.kind.write
        return lambda value: f"<{name}>{'' if value is None else _escape(show(value), unwritable)}</{name}>"
    content, attributes, is_optional = _compile_content(element, unwritable), element.attributes, not element.least

    def write(values: Values | None) -> str:
        given = values or {}
        marks = "".join(
            f' {each.name}="{_escape(each.kind.write(given[each.field]), unwritable, _IN_ATTRIBUTE)}"'
            for each in attributes
            if given.get(each.field) is not None
        )
        held = content(given)
        return f"<{name}{marks}>{held}</{name}>" if held or marks or not is_optional else ""

    return write


def _write_each(write: Write) -> Write:
    return lambda values: "".join(map(write, values))


def _compile_rows(element: Element, unwritable: str) -> Write | None:
    """Compile the writer of flat records: it formats values column by column, then joins them row by row."""
    if not element.children or any(
        child.children or child.repeats or child.kind.markup or not child.least for child in element.children
    ):
        return None
    marks = [(f' {each.name}="', each.field, each.kind.write) for each in element.attributes]
    values = [(f"<{child.name}>", f"</{child.name}>", child.field, child.kind.write) for child in element.children]

    def write(rows: Sequence[Values]) -> str:
        # Alternates between text common to all rows and a column of values.
        pieces: list[Iterable[str]] = []
        same = f"<{element.name}"
        for start, key, show in marks:
            column = [row.get(key) for row in rows]
            if None not in column:
                pieces += repeat(same + start), _show(column, show, unwritable, _IN_ATTRIBUTE)
                same = '"'
        same += ">"
        for start, end, key, show in values:
            pieces += repeat(same + start), _show([row.get(key) for row in rows], show, unwritable, _IN_TEXT)
            same = end
        return "".join(chain.from_iterable(zip(*pieces, repeat(f"{same}</{element.name}>"), strict=False)))

    return write


def _show(values: Sequence[Any], show: Write, unwritable: str, more: dict[str, str]) -> Sequence[str]:
    texts = ["" if value is None else show(value) for value in values] if None in values else list(map(show, values))
    return texts if "".join(texts).isalnum() else [_escape(text, unwritable, more) for text in texts]


def _escape(text: str, unwritable: str, more: dict[str, str] = _IN_TEXT) -> str:
    return text if text.isalnum() else escape(UNWRITABLE.sub(unwritable, text), more)


def markup_of(element: etree._Element) -> str:
    """Return the content of an element as XML text, without namespaces and without the white space around it.

    lxml would repeat the namespaces of all ancestors at every child, in quadratic time.
    """
    return _write_content(element).strip(WHITE_SPACE)


def _write_content(element: etree._Element) -> str:
    parts = [_escape(element.text or "", DROPPED)]
    for child in element:
        name, attributes = (
            name_of(child),
            {etree.QName(key).localname: str(value) for key, value in child.attrib.items()},
        )
        marks = "".join(f' {key}="{_escape(value, DROPPED, _IN_ATTRIBUTE)}"' for key, value in attributes.items())
        parts.append(f"<{name}{marks}>{_write_content(child)}</{name}>{_escape(child.tail or '', DROPPED)}")
    return "".join(parts)
