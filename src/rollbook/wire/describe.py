"""Describes a message for people: a line for each element, and an example of a call as XML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from rollbook.errors import WireCode
from rollbook.wire.call import call_of
from rollbook.wire.messages import ANY_NUMBER, TEXT, Choice, Element

# In examples, in place of keys.
ACCOUNT_KEY, USER_KEY = "ACCOUNT_KEY", "USER_KEY"


@dataclass(frozen=True)
class Line:
    """An element of a message or, with `is_attribute`, an attribute of the element before it.

    `holds` is its kind of value, or which of its children it has; code spans are in backticks. `wrong` is the code for
    a value that its kind refuses, None when it takes every text.
    """

    depth: int
    element: Element
    is_attribute: bool
    often: str
    holds: str

    @property
    def wrong(self) -> WireCode | None:
        refuses = not self.element.children and self.element.kind.read is not str
        return self.element.wrong if refuses else None


def describe(parent: Element, depth: int = 0) -> Iterator[Line]:
    """Describe what a message holds."""
    for element in parent.children:
        holds = "; ".join(map(_choice, element.choices)) if element.children else element.kind.name
        yield Line(depth, element, False, _often(element), holds)
        for each in element.attributes:
            yield Line(depth, each, True, _often(each), each.kind.name)
        yield from describe(element, depth + 1)


def _often(element: Element) -> str:
    if element.most == ANY_NUMBER:
        return "any number"
    if element.least == element.most:
        return str(element.least)
    return f"{element.least} {'or' if element.most == 1 else 'to'} {element.most}"


def _choice(choice: Choice) -> str:
    names = ", ".join(f"`{name}`" for name in choice.names)
    if choice.filled:
        return f"exactly one of {names}, with a value"
    return f"{'one' if choice.least else 'at most one'} of {names}"


def write_example(method: str, takes: Element, *, whole: bool) -> str:
    """Write an example of a call: with `whole` every element once, else only what is required; of a choice the first.

    In place of keys it has ACCOUNT_KEY and USER_KEY.
    """
    call = make_example(call_of(takes), whole=whole)
    for name, text in (("AccountAPI", ACCOUNT_KEY), ("UserAPI", USER_KEY), ("Method", method)):
        call.find(name).text = text  # type: ignore[union-attr]
    etree.indent(call)
    return etree.tostring(call, encoding="unicode")


def make_example(element: Element, *, whole: bool) -> etree._Element:
    """Make an element of an example."""
    made = etree.Element(element.name)
    if not element.children and not element.kind.markup:
        made.text = _text_of(element)
    firsts = {choice.names[0] for choice in element.choices if choice.least or whole}
    others = {name for choice in element.choices for name in choice.names} - firsts
    for child in element.children:
        if child.name in firsts or (child.name not in others and (child.least or whole)):
            made.append(make_example(child, whole=whole))
    return made


def _text_of(element: Element) -> str:
    """Give the example of its kind; of a text its name in words, such as "given name", and nothing if it is dropped."""
    if element.kind.example != TEXT.example:
        return element.kind.example
    if not element.field:
        return ""
    if element.name.endswith(("Email", "EmailAddress")):
        return "ada@example.org"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", element.name).lower()
