"""Reads ids that somebody pasted or uploaded: separated in any way, or a column of a CSV file."""

import csv
import re
from collections.abc import Iterable

from rollbook.errors import UserError

COLUMNS = ("AccountUserLearningModuleRelID", "EnrollmentID", "ID", "id")
SHOWN = 5


def read_ids(text: str) -> list[int]:
    """Return the ids, each once, in their order; errors: UserError that names what is no id."""
    texts = [*_read(text)]
    wrong = [word for word in texts if not (word.isascii() and word.isdigit() and len(word) < 19 and int(word))]
    if wrong:
        some = ", ".join(f"“{word[:40]}”" for word in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(f"These are no ids of enrolments: {some}{more}. Nothing was chosen.")
    return [*dict.fromkeys(int(word) for word in texts)]


def _read(text: str) -> Iterable[str]:
    lines = text.strip().splitlines()
    header = [cell.strip() for cell in next(csv.reader(lines[:1]), [])]
    named = next((name for name in COLUMNS if name in header), None)
    if named is None:
        return re.findall(r"[^\s,;]+", text)
    place = header.index(named)
    rows = [row for row in csv.reader(lines[1:]) if row]
    return [row[place].strip() if len(row) > place else "" for row in rows]
