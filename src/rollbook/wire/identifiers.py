"""Identifiers of enrolments as they stand in calls: which are numbers, and which stand there twice (D7, D8, D10)."""

from collections.abc import Sequence

from rollbook.errors import WireCode
from rollbook.model import LARGEST_ID
from rollbook.wire.answer import ErrorEntry
from rollbook.wire.shape import TEXT, Shape

IDENTIFIER = "AccountUserLearningModuleRelID"
MOST_ITEMS = 100  # protocol §4, D9

UNENROLLMENT = Shape({IDENTIFIER: TEXT}, most=MOST_ITEMS)


def read_identifiers(
    identifiers: Sequence[str], *, malformed: WireCode, repeated: WireCode
) -> tuple[list[int | None], dict[int, ErrorEntry]]:
    """Turn identifiers into numbers; None, and an error by block, for those malformed or repeated."""
    ids: list[int | None] = []
    errors: dict[int, ErrorEntry] = {}
    first_blocks: dict[int, int] = {}
    for block, identifier in enumerate(identifiers, 1):
        number = read_identifier(identifier)
        if number is None:
            errors[block] = ErrorEntry.of_item(malformed, block)
        elif number in first_blocks:
            errors[block] = ErrorEntry.of_item(repeated, block, first=first_blocks[number])
            number = None
        else:
            first_blocks[number] = block
        ids.append(number)
    return ids, errors


def read_identifier(identifier: str) -> int | None:
    """Read a positive number of 64 bits in plain digits; None when it is anything else."""
    if not (identifier.isascii() and identifier.isdigit()):
        return None
    digits = identifier.lstrip("0")
    # The length is looked at first, because a number of a million digits takes its time to be read.
    if not 1 <= len(digits) <= len(str(LARGEST_ID)):
        return None
    number = int(digits)
    return number if number <= LARGEST_ID else None
