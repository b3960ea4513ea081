"""What elements a call may hold, and the check of it: missing or repeated is SU:12, unexpected is SU:13."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from rollbook.errors import UNEXPECTED_ELEMENT, WRONG_STRUCTURE, CallError
from rollbook.wire.xml import name_of, text_of


@dataclass(frozen=True)
class Shape:
    """An element: how often it may stand in its parent, and its children by name. Without children it holds text."""

    children: Mapping[str, "Shape"] = field(default_factory=dict)
    least: int = 1
    most: int = 1


TEXT = Shape()


def check_shape(element: etree._Element, shape: Shape) -> None:
    """Check an element and all below it; what is missing anywhere comes before what is too much (D4).

    Errors: SU:12, and SU:13 that names the first unexpected element.
    """
    unexpected: list[etree._Element] = []
    _walk(element, shape, unexpected)
    if unexpected:
        first = unexpected[0]
        raise CallError(UNEXPECTED_ELEMENT, _place(first), tag=name_of(first))


def _walk(element: etree._Element, shape: Shape, unexpected: list[etree._Element]) -> None:
    shapes = shape.children
    if shapes and not len(element) and text_of(element):
        # Read as empty, a filter such as <GroupNames>North</GroupNames> would choose everything.
        raise CallError(WRONG_STRUCTURE, f"{_place(element)}: a text, where elements may stand")
    found: list[str] = []
    for child in element:
        name = child.tag
        child_shape = shapes.get(name)
        if child_shape is None:
            unexpected.append(child)
            continue
        found.append(name)
        if child_shape.children or len(child):
            _walk(child, child_shape, unexpected)
    for name, child_shape in shapes.items():
        count = found.count(name)
        if not child_shape.least <= count <= child_shape.most:
            wrong = f"{name} stands {count} times, and may at most {child_shape.most}" if count else f"no {name}"
            raise CallError(WRONG_STRUCTURE, f"{_place(element)}: {wrong}")


def _place(element: etree._Element) -> str:
    names = [name_of(ancestor) for ancestor in element.iterancestors()]
    return "/".join([*reversed(names), name_of(element)]) + f", line {element.sourceline}"
