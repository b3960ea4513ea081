"""Messages as data: one tree of elements reads, checks, writes and documents a message, for server and client alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rollbook.errors import WRONG_STRUCTURE, WireCode

# The values of a message, by the fields of its elements.
Values = Mapping[str, Any]

ANY_NUMBER = 2**31


@dataclass(frozen=True)
class Kind:
    """A kind of value: its name in docs and logs, an example, and both directions. `read` raises ValueError.

    `read_all` does the same for many texts at once, where that is faster, and may refuse what `read` accepts.
    The value of a `markup` kind is the content of its element, whatever that holds, as XML text.
    """

    name: str
    example: str
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str
    markup: bool = False
    read_all: Callable[[Sequence[str]], list[Any]] | None = None


TEXT = Kind("text", "text")
# For a container whose content Rollbook does not interpret.
ANYTHING = Kind("any elements or text, as XML", "text", markup=True)


@dataclass(frozen=True)
class Choice:
    """Children of a record of which at most one has a value: an empty one beside it does not count.

    With `least` 1 one of them is present; if they are `filled`, exactly one has a value.
    """

    names: tuple[str, ...]
    least: int = 1
    filled: bool = False


@dataclass(frozen=True)
class Element:
    """An element, how often its parent holds it, and the field that holds it: a value of `kind`, or a record.

    A value without a field is checked and dropped; the values of a record without a field belong to its parent. The
    field of a repeatable element holds a list. An optional value without text is not given: None, or the code `empty`;
    neither is an optional record without content of which a child is required.
    Its kind reads every other text; `wrong` is the code for what the kind or `check` refuses.
    """

    name: str
    field: str = ""
    kind: Kind = TEXT
    least: int = 1
    most: int = 1
    children: tuple["Element", ...] = ()
    attributes: tuple["Element", ...] = ()
    choices: tuple[Choice, ...] = ()
    check: Callable[[Values], None] | None = None  # refuses a whole record by a ValueError
    wrong: WireCode = WRONG_STRUCTURE
    empty: WireCode | None = None
    as_sent: str = ""  # a second field: the text as it was sent
    is_item: bool = False  # its position among its siblings is the `block` of its errors
    help: str = ""

    @cached_property
    def by_name(self) -> Mapping[str, "Element"]:
        """The children by their names."""
        return {child.name: child for child in self.children}

    @property
    def repeats(self) -> bool:
        """Whether the parent can hold more than one."""
        return self.most > 1


def optional(name: str, field: str = "", kind: Kind = TEXT, **more: Any) -> Element:
    """A value that may be missing."""
    return Element(name, field, kind, least=0, **more)


def record(name: str, *children: Element, field: str = "", **more: Any) -> Element:
    """An element that holds other elements."""
    return Element(name, field, children=children, **more)


def parameters(*children: Element, **more: Any) -> Element:
    """What a method takes."""
    return record("Parameters", *children, field="parameters", **more)


def info(*children: Element) -> Element:
    """What a method gives."""
    return record("Info", *children)
