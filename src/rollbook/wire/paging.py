"""Page and PageSize, which every method that lists something takes (protocol §6)."""

from dataclasses import dataclass

from lxml import etree

from rollbook.errors import WRONG_STRUCTURE, CallError
from rollbook.wire.identifiers import read_identifier
from rollbook.wire.shape import Shape
from rollbook.wire.xml import text_at

DEFAULT_SIZE = 50
LARGEST_SIZE = 1000
LARGEST_PAGE = 2**31

PAGING = {"Page": Shape(least=0), "PageSize": Shape(least=0)}


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted: pages count from 1."""

    number: int = 1
    size: int = DEFAULT_SIZE

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.number - 1) * self.size


def read_page(parent: etree._Element) -> Page:
    """Read Page and PageSize, either of which may be missing or empty; errors: SU:12."""
    number = _read_number(parent, "Page", 1)
    size = _read_number(parent, "PageSize", DEFAULT_SIZE)
    if size > LARGEST_SIZE or number > LARGEST_PAGE:
        raise CallError(WRONG_STRUCTURE, f"PageSize is at most {LARGEST_SIZE}, Page at most {LARGEST_PAGE}")
    return Page(number, size)


def _read_number(parent: etree._Element, name: str, default: int) -> int:
    text = text_at(parent, name)
    if text is None:
        return default
    number = read_identifier(text)
    if number is None:
        raise CallError(WRONG_STRUCTURE, f"{name} is not a number from 1")
    return number
