"""The items of a call that name enrollments: their element, repeated ids, and errors by block."""

from collections.abc import Iterable, Mapping

from rollbook.errors import WireCode
from rollbook.methods.method import MethodCall
from rollbook.wire.answer import ErrorEntry
from rollbook.wire.identifiers import IDENTIFIER, NUMBER
from rollbook.wire.messages import Element, record
from rollbook.wire.values import MAX_ITEMS


def unenrollment_item(malformed: WireCode, least: int = 1) -> Element:
    """The Unenrollment of a call: the enrollment's number as `id`, its text as `sent`."""
    identifier = Element(
        IDENTIFIER,
        "id",
        NUMBER,
        wrong=malformed,
        as_sent="sent",
        help="the number of an enrollment, up to 9223372036854775807; leading zeros are ignored",
    )
    return record("Unenrollment", identifier, field="items", least=least, most=MAX_ITEMS, is_item=True)


def read_ids(call: MethodCall, repeated: WireCode) -> tuple[list[int | None], dict[int, ErrorEntry]]:
    """Return the numbers of the items, None for malformed and repeated ones, and the errors of these by block (D8)."""
    errors = {block: ErrorEntry.of_item(code, block) for block, code in call.wrong.items()}
    ids: list[int | None] = [item["id"] for item in call.values.get("items", ())]
    if not errors and len({*ids}) == len(ids):
        return ids, errors
    first_blocks: dict[int, int] = {}
    for block, number in enumerate(ids, 1):
        if number is not None and first_blocks.setdefault(number, block) != block:
            errors[block] = ErrorEntry.of_item(repeated, block, first=first_blocks[number])
            ids[block - 1] = None
    return ids, errors


def in_order(errors: Mapping[int, ErrorEntry], refused: Iterable[ErrorEntry]) -> list[ErrorEntry]:
    """Sort the errors of items into the order of the call."""
    return sorted([*errors.values(), *refused], key=lambda entry: entry.block or 0)
