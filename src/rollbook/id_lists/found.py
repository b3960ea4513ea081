"""What a list of ids holds: each id once, the rows that hold none and why, and what stands there twice."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from rollbook.wire.values import read_identifier

SHOWN = 20  # of the rows that hold no id
SHOWN_REPEATS = 5
# What spreadsheets and web pages leave around a number without showing it: any blank, and marks of no width.
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff\u200b\u200e\u200f\u2060\u202a\u202c"

_REASONS = (
    (r"[+-]?[0-9]{1,3}([.,'\u2019\s][0-9]{3})+([.,][0-9]*)?", "has a thousands separator: write it without"),
    (r"[+-]?[0-9]+[.,][0-9]*", "is a decimal number: format the column as text or whole numbers"),
    (r"[+-]?[0-9.,]+[eE][+-]?[0-9]+", "was rounded by a spreadsheet: format the column as text"),
    (r"[0-9]{19,}", "is larger than any id"),
    (r"-[0-9]+|0+", "is no id: ids begin at 1"),
    (r"\d+", "is not in the digits 0 to 9"),
)


class BadRow(NamedTuple):
    """A row, or one value of it, that holds no id, and why."""

    place: str
    value: str
    why: str

    def __str__(self) -> str:
        value = repr(self.value[:40]) + ("…" if len(self.value) > 40 else "")
        return f"{self.place}: {value} {self.why}" if self.value else f"{self.place}: {self.why}"


@dataclass
class IdList:
    """Ids in their order, with the place where each stands first; and what else the list holds.

    `column` is what was read, in words; `left_out` counts the rows that the caller did not want.
    """

    ids: dict[int, str] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    repeats: list[tuple[int, str]] = field(default_factory=list)
    column: str = ""
    left_out: int = 0

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
        """Name the rows that hold no id: the first of them, and how many more there are."""
        more = len(self.bad) - SHOWN
        return [*map(str, self.bad[:SHOWN]), *([f"and {more:,} more"] if more > 0 else [])]

    def describe_repeats(self) -> str:
        """Name the first of the ids that stand in the list again, and where; empty when none does."""
        named = [f"{id_} ({place})" for id_, place in self.repeats[:SHOWN_REPEATS]]
        return ", ".join([*named, "…"] if len(self.repeats) > SHOWN_REPEATS else named)


def _explain(value: str) -> str:
    if not value:
        return "the id is missing"
    return next((why for form, why in _REASONS if re.fullmatch(form, value)), "is no id")
