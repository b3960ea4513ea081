"""Page and PageSize, the parameters of every method that lists records (protocol §6)."""

from dataclasses import dataclass

from rollbook.wire.messages import Values, optional
from rollbook.wire.values import number

DEFAULT_SIZE = 50
MAX_SIZE = 1000
MAX_PAGE = 2**31

PAGING = (
    optional("Page", "page", number(1, MAX_PAGE, example=1), help="default 1"),
    optional("PageSize", "page_size", number(1, MAX_SIZE, example=50), help=f"default {DEFAULT_SIZE}"),
)


@dataclass(frozen=True)
class Pagination:
    """The page of a list that a call asks for: pages count from 1."""

    number: int
    size: int

    @classmethod
    def of(cls, values: Values) -> "Pagination":
        """Take it from the values of a call; either element may be missing or empty."""
        return cls(values.get("page") or 1, values.get("page_size") or DEFAULT_SIZE)

    @property
    def offset(self) -> int:
        """The number of rows before this page."""
        return (self.number - 1) * self.size
