"""Reads elements by their tree: calls strictly, with SU:12 and SU:13, compiled to closures; answers leniently.

In a call SU:12 precedes SU:13 (D4), and both precede refused values, wherever they occur.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from rollbook.errors import UNEXPECTED_ELEMENT, WRONG_STRUCTURE, CallError, WireCode
from rollbook.wire.messages import Choice, Element, Values
from rollbook.wire.write import markup_of
from rollbook.wire.xml import WHITE_SPACE, name_of, text_of

Read = Callable[[etree._Element, dict[str, Any], "_Notes"], None]
# Its code, block and element, and what is wrong.
_Mistake = tuple[WireCode, int | None, etree._Element, str]


@dataclass(frozen=True)
class Reading:
    """The values of a call, and by block the first error code of each item with a wrong value."""

    values: Values
    wrong: dict[int, WireCode]


@dataclass
class _Notes:
    """The mistakes of a call, in document order."""

    unexpected: list[etree._Element] = field(default_factory=list)
    wrong: list[_Mistake] = field(default_factory=list)
    block: int | None = None

    def refuse(self, code: WireCode, element: etree._Element, why: str) -> None:
        self.wrong.append((code, self.block, element, why))


def compile_reader(tree: Element) -> Callable[[etree._Element], Reading]:
    """Compile the reader of a call; its errors: SU:12, SU:13, and the tree's codes that concern no item."""
    read_root = _compile(tree)

    def read(root: etree._Element) -> Reading:
        values: dict[str, Any] = {}
        notes = _Notes()
        read_root(root, values, notes)
        if notes.unexpected:
            first = notes.unexpected[0]
            raise CallError(UNEXPECTED_ELEMENT, place_of(first), tag=name_of(first))
        wrong: dict[int, WireCode] = {}
        for code, block, element, why in sorted(notes.wrong, key=_order):
            if block is None or code is WRONG_STRUCTURE:
                raise CallError(code, f"{place_of(element)}: {why}")
            wrong.setdefault(block, code)
        return Reading(values, wrong)

    return read


def _order(mistake: _Mistake) -> tuple[bool, bool, str]:
    """Order mistakes as they are checked: SU:12, those of the call, those of items, each by the number of its code."""
    code, block, *_ = mistake
    return code is not WRONG_STRUCTURE, block is not None, code.code


def _compile(record: Element) -> Read:
    """Compile the reader of a record."""
    read_any = _compile_any(record)
    row, *others = record.children
    if others or record.check or not row.field or not row.repeats or len(row.children) != 1 or row.check:
        return read_any
    [cell] = row.children
    if cell.children or not cell.field or cell.kind.markup or (cell.least, cell.most) != (1, 1):
        return read_any
    read_each = cell.kind.read
    read_all = cell.kind.read_all or (lambda texts: [*map(read_each, texts)])

    def read_rows(parent: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        # The fast path for lists of items with one value each and no mistake, which most calls are.
        rows = [*parent.iterchildren(row.name)]
        if row.least <= len(rows) <= row.most and len(rows) == len(parent) and {*map(len, rows)} == {1}:
            cells = [each[0] for each in rows]
            if {each.tag for each in cells} == {cell.name} and not any(map(len, cells)):
                texts = [(each.text or "").strip(WHITE_SPACE) for each in cells]
                with suppress(ValueError):
                    pairs = zip(texts, read_all(texts), strict=True)
                    held = [{cell.as_sent: text, cell.field: value} for text, value in pairs]
                    values.setdefault(row.field, []).extend(held)
                    return
        read_any(parent, values, notes)

    return read_rows


def _compile_any(record: Element) -> Read:
    """Compile the reader of any record: one pass over its children, then a check of their numbers."""
    find = {child.name: _unless_empty(child, _compile_child(child)) for child in record.children}.get
    limits = [(child.name, child.least, child.most) for child in record.children]
    choices, check = record.choices, record.check

    def read(parent: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        found: list[str] = []
        for child in parent:
            name = child.tag
            read_child = find(name)
            if read_child is None:
                notes.unexpected.append(child)
            else:
                found.append(name)
                read_child(child, values, notes)
        _count(parent, found, limits)
        for choice in choices:
            _choose(parent, found, choice, notes)
        if check is not None:
            try:
                check(values)
            except ValueError as error:
                notes.refuse(record.wrong, parent, str(error))

    return read


def _compile_child(element: Element) -> Read:
    if not element.children:
        return _compile_value(element)
    inner, key, is_item = _compile(element), element.field, element.is_item
    if not key:
        return inner

    def read_one(child: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        values[key] = held = dict[str, Any]()
        if is_item:
            notes.block = 1
        inner(child, held, notes)
        if is_item:
            notes.block = None

    def read_many(child: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        held: dict[str, Any] = {}
        records = values.get(key)
        if records is None:
            values[key] = records = []
        records.append(held)
        if is_item:
            notes.block = len(records)
        inner(child, held, notes)
        if is_item:
            notes.block = None

    return read_many if element.repeats else read_one


def _unless_empty(element: Element, read: Read) -> Read:
    """Skip an empty optional record; where nothing below is required, it is read: it says that a list is empty."""
    if element.least or element.repeats or not any(child.least for child in element.children):
        return read

    def read_filled(child: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        if len(child) or text_of(child):
            read(child, values, notes)

    return read_filled


def _compile_value(element: Element) -> Read:
    key, read_text, as_sent, repeats = element.field, element.kind.read, element.as_sent, element.repeats
    may_be_empty, is_markup = not element.least and not repeats, element.kind.markup

    def read(child: etree._Element, values: dict[str, Any], notes: _Notes) -> None:
        if is_markup:
            text = markup_of(child)
        else:
            if len(child):
                notes.unexpected.extend(child)
            text = child.text or ""
            text = text.strip(WHITE_SPACE)
        value = None
        if text or not may_be_empty:
            try:
                value = read_text(text)
            except ValueError:
                notes.refuse(element.wrong, child, f"expected {element.kind.name}")
        elif element.empty is not None:
            notes.refuse(element.empty, child, "empty")
        if as_sent:
            values[as_sent] = text
        if repeats:
            values.setdefault(key, []).append(value)
        elif key:
            values[key] = value

    return read


def _count(parent: etree._Element, found: list[str], limits: Iterable[tuple[str, int, int]]) -> None:
    if not found and text_of(parent):
        # Read as empty, a filter such as <GroupNames>North</GroupNames> would select everything.
        raise CallError(WRONG_STRUCTURE, f"{place_of(parent)}: text instead of elements")
    for name, least, most in limits:
        count = found.count(name)
        if not least <= count <= most:
            wrong = f"{count} {name}, and at most {most} allowed" if count else f"no {name}"
            raise CallError(WRONG_STRUCTURE, f"{place_of(parent)}: {wrong}")


def _choose(parent: etree._Element, found: list[str], choice: Choice, notes: _Notes) -> None:
    names = choice.names
    present = {name for name in found if name in names}
    if len(present) > 1 or choice.filled:
        filled = {child.tag for child in parent if child.tag in present and (len(child) or text_of(child))}
        if len(filled) > 1:
            notes.refuse(WRONG_STRUCTURE, parent, f"more than one of {', '.join(names)}")
        present = filled if choice.filled else present
    if len(present) < choice.least:
        notes.refuse(WRONG_STRUCTURE, parent, f"none of {', '.join(names)}")


def place_of(element: etree._Element) -> str:
    """Give the path and line of an element, for the log."""
    names = [name_of(ancestor) for ancestor in element.iterancestors()]
    return "/".join([*reversed(names), name_of(element)]) + f", line {element.sourceline}"


def compile_lenient(record: Element) -> Callable[[etree._Element], dict[str, Any]]:
    """Compile the reader of an answer, which skips unknown elements; its errors: ValueError for a wrong value."""
    # The contract's samples write both `block` and `Block` (protocol §4).
    attributes = [(each.name, each.name.title(), each.field, each.kind.read) for each in record.attributes]
    find = {child.name: _compile_lenient_child(child) for child in record.children}.get

    def read(parent: etree._Element) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, title, key, read_text in attributes:
            text = parent.get(name) or parent.get(title)
            try:
                values[key] = read_text(text) if text else None
            except ValueError:  # which then counts as missing
                continue
        for child in parent:
            read_child = find(child.tag)
            if read_child is not None:
                read_child(child, values)
        return values

    return read


def _compile_lenient_child(element: Element) -> Callable[[etree._Element, dict[str, Any]], None]:
    key, kind, repeats = element.field, element.kind, element.repeats
    read_record = compile_lenient(element) if element.children else None
    find_text, read_text = markup_of if kind.markup else text_of, kind.read

    def read(child: etree._Element, values: dict[str, Any]) -> None:
        if read_record is not None:
            value: Any = read_record(child)
            if not key:
                values |= value
                return
        else:
            text = find_text(child)
            value = read_text(text) if text else None
        if repeats:
            values.setdefault(key, []).append(value)
        else:
            values[key] = value

    return read


def read_rows(info: etree._Element, tree: Element, *needed: str) -> list[dict[str, str]]:
    """Read the rows of a list as texts by element name; errors: ValueError for a row without a needed element."""
    listing = tree.children[0]  # what follows it is about the whole list
    row = listing.children[0]
    if len(info) and info.find(listing.name) is None:
        raise ValueError(f"it holds no {listing.name}")
    rows = [{child.tag: text_of(child) for child in each} for each in info.iterfind(f"{listing.name}/{row.name}")]
    for name in needed:
        kind = row.by_name[name].kind
        for each in rows:
            if name not in each:
                raise ValueError(f"a {row.name} has no {name}")
            kind.read(each[name])
    return rows
