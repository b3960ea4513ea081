"""The content of a list of ids: each id once, rows without an id and why, and repeated ids."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from rollbook.wire.identifiers import read_identifier

SHOWN = 20  # of the rows without an id
SHOWN_REPEATS = 5
# The invisible characters that spreadsheets and web pages put around a number: blanks, and marks without a width.
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff\u200b\u200e\u200f\u2060\u202a\u202c"

_REASONS = (
    (r"[+-]?[0-9]{1,3}([.,'\u2019\s][0-9]{3})+([.,][0-9]*)?", "has a thousands separator: write it without"),
    (r"[+-]?[0-9]+[.,][0-9]*", "is a decimal number: format the column as text or whole numbers"),
    (r"[+-]?[0-9.,]+[eE][+-]?[0-9]+", "was rounded by a spreadsheet: format the column as text"),
    (r"[0-9]{19,}", "is larger than any id"),
    (r"-[0-9]+|0+", "is not an id: ids begin at 1"),
    (r"\d+", "is not in the digits 0 to 9"),
)


class BadRow(NamedTuple):
    """A row, or one value of it, that is not an id, and why."""

    place: str
    value: str
    why: str

    def __str__(self) -> str:
        value = repr(self.value[:40]) + ("…" if len(self.value) > 40 else "")
        return f"{self.place}: {value} {self.why}" if self.value else f"{self.place}: {self.why}"


@dataclass
class IdList:
    """Ids in their order, each with its first place, bad rows, and repetitions.

    `column` describes what was read; `left_out` counts the rows that `only` excluded; `fault` says what bad rows are.
    """

    ids: dict[int, str] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    repeats: list[tuple[int, str]] = field(default_factory=list)
    column: str = ""
    left_out: int = 0
    fault: str = "without an id"

    def add(self, place: str, value: str) -> None:
        """Add a value, as an id or as a bad row."""
        id_ = read_identifier(value)
        if id_ is None:
            self.bad.append(BadRow(place, value, _explain(value)))
        elif id_ in self.ids:
            self.repeats.append((id_, place))
        else:
            self.ids[id_] = place

    def complaints(self) -> list[str]:
        """Describe the first rows without an id, and count the others."""
        more = len(self.bad) - SHOWN
        return [*map(str, self.bad[:SHOWN]), *([f"and {more:,} more"] if more > 0 else [])]

    def describe_repeats(self) -> str:
        """Describe the first repeated ids and their places; empty without any."""
        named = [f"{id_} ({place})" for id_, place in self.repeats[:SHOWN_REPEATS]]
        return ", ".join([*named, "…"] if len(self.repeats) > SHOWN_REPEATS else named)


def is_number(value: str) -> bool:
    """Whether a value is an id, or would be one in another format."""
    return read_identifier(value) is not None or _find_reason(value) is not None


def _explain(value: str) -> str:
    return (_find_reason(value) or "is not an id") if value else "the id is missing"


def _find_reason(value: str) -> str | None:
    return next((why for form, why in _REASONS if re.fullmatch(form, value)), None)
