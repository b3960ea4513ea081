"""The numbers that name records; a malformed one is treated as that of a record that does not exist (D7, ULM:01)."""

from rollbook.model import MAX_ID
from rollbook.wire.messages import Kind
from rollbook.wire.values import number

# The element that names an enrollment.
IDENTIFIER = "AccountUserLearningModuleRelID"
NUMBER = number(1, MAX_ID, "number from 1", example=8101)


def read_identifier(text: str) -> int | None:
    """Read the number of a record; None for any other text (D7)."""
    try:
        value: int = NUMBER.read(text)
    except ValueError:
        return None
    return value


# The number of a record that may not exist: any other text is read as 0, which no record has.
REFERENCE = Kind("number", "8101", lambda text: read_identifier(text) or 0)
