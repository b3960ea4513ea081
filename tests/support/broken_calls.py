"""Calls generated from the messages of the methods: valid ones, and every structural error."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from rollbook.errors import EMPTY_PARAMETERS, UNEXPECTED_ELEMENT, WRONG_STRUCTURE, WireCode
from rollbook.methods import Method
from rollbook.wire.describe import make_example
from rollbook.wire.messages import Element

SNOWMAN = "\N{SNOWMAN}"  # what no kind of value but text is
Path = Sequence[int]  # the places of an element and of those around it


@dataclass(frozen=True)
class Broken:
    """A call with one change, and the code of the expected error; None if it is still valid."""

    what: str
    parameters: etree._Element
    code: WireCode | None


def whole(element: Element) -> etree._Element:
    """Make an element with every child once; of a choice the first."""
    return make_example(element, whole=True)


def break_call(method: Method) -> Iterator[Broken]:
    """Change the parameters of a valid call in every way that its tree describes."""
    return break_tree(method.takes)


def break_tree(tree: Element) -> Iterator[Broken]:
    """Change the parameters in every way that their tree describes."""
    yield Broken("nothing", whole(tree), None)
    yield from _with_more(tree, tree, ())
    yield from _break_below(tree, tree, ())


def _break_below(tree: Element, parent: Element, path: Path) -> Iterator[Broken]:
    made = _at(whole(tree), path)
    for place, child in enumerate(made):
        element, here = parent.by_name[str(child.tag)], (*path, place)
        yield from _without(tree, parent, element, here)
        yield from _repeated(tree, element, here)
        yield from _with_more(tree, element, here)
        if element.children:
            yield from _break_below(tree, element, here)
        else:
            yield from _with_other_text(tree, parent, element, here)
    for choice in parent.choices:
        more = [whole(parent.by_name[name]) for name in choice.names[1:]]
        yield Broken(f"all of {choice.names}", _changed(tree, path, more), WRONG_STRUCTURE)


def _without(tree: Element, parent: Element, element: Element, path: Path) -> Iterator[Broken]:
    parameters = whole(tree)
    holder = _at(parameters, path[:-1])
    holder.remove(holder[path[-1]])
    chosen = any(choice.least and choice.names[0] == element.name for choice in parent.choices)
    needed = element.least > 0 or chosen
    missing = EMPTY_PARAMETERS if len(parameters) == 0 else WRONG_STRUCTURE
    yield Broken(f"no {element.name}", parameters, missing if needed else None)


def _repeated(tree: Element, element: Element, path: Path) -> Iterator[Broken]:
    """Repeat the element up to its limit, and once more."""
    if element.most <= 1000:
        for count, code in ((element.most, None), (element.most + 1, WRONG_STRUCTURE)):
            copies = [whole(element) for _ in range(count - 1)]
            yield Broken(f"{count} {element.name}", _changed(tree, path[:-1], copies), code)


def _with_more(tree: Element, element: Element, path: Path) -> Iterator[Broken]:
    nonsense = etree.Element("Nonsense")
    code = None if element.kind.markup else UNEXPECTED_ELEMENT
    yield Broken(f"Nonsense in {element.name}", _changed(tree, path, [nonsense]), code)
    if element.children and path:
        parameters = whole(tree)
        record = _at(parameters, path)
        del record[:]
        record.text = SNOWMAN
        yield Broken(f"text in {element.name}", parameters, WRONG_STRUCTURE)
    if element.children and path and not element.least and not element.repeats:
        parameters = whole(tree)
        del _at(parameters, path)[:]
        yield Broken(f"empty {element.name}", parameters, None)


def _with_other_text(tree: Element, parent: Element, element: Element, path: Path) -> Iterator[Broken]:
    needed = any(choice.filled and choice.names[0] == element.name for choice in parent.choices)
    for text in ("", SNOWMAN):
        parameters = whole(tree)
        _at(parameters, path).text = text
        code = WRONG_STRUCTURE if needed and not text else _code_of(element, text)
        yield Broken(f"{element.name} is {text!r}", parameters, code)


def _code_of(element: Element, text: str) -> WireCode | None:
    if not text and not element.least and not element.repeats:
        return element.empty
    try:
        element.kind.read(text)
    except ValueError:
        return element.wrong
    return None


def _changed(tree: Element, path: Path, more: Sequence[etree._Element]) -> etree._Element:
    parameters = whole(tree)
    _at(parameters, path).extend(more)
    return parameters


def _at(root: etree._Element, path: Path) -> etree._Element:
    for place in path:
        root = root[place]
    return root
