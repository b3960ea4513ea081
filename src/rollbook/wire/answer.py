"""Answers as XML text: escaped and formatted here, and nowhere else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NewType
from xml.sax.saxutils import escape

from rollbook.errors import CallError, WireCode

# XML text that has been escaped already.
Markup = NewType("Markup", str)

NOTHING = Markup("")


@dataclass(frozen=True)
class ErrorEntry:
    """One entry of Errors; an entry about one item of the call says which `block` it was."""

    code: str
    message: str
    block: int | None = None

    @classmethod
    def of_item(cls, code: WireCode, block: int, **data: object) -> "ErrorEntry":
        """Make the entry for the item at `block`, with the message filled in."""
        return cls(code.code, code.message.format(block=block, **data), block)

    @classmethod
    def of_call(cls, error: CallError) -> "ErrorEntry":
        """Make the entry for an error that ended the call."""
        return cls(error.code.code, error.message)


@dataclass(frozen=True)
class Answer:
    """What a call is answered: `Failed` when every operation failed (protocol §2)."""

    succeeded: bool
    info: Markup = NOTHING
    errors: Sequence[ErrorEntry] = ()
    batch_id: int | None = None


def render(answer: Answer) -> bytes:
    """Write an answer as the UTF-8 body of a response."""
    result = "Success" if answer.succeeded else "Failed"
    errors = "".join(map(_error, answer.errors))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<SmarterU><Result>{result}</Result><Info>{answer.info}</Info><Errors>{errors}</Errors></SmarterU>"
    )
    return text.encode()


def unenrollments(accepted: Iterable[tuple[int, str]]) -> Markup:
    """Write the Info of unenrollLearningModules from (block, identifier as it was sent); empty when there are none."""
    items = "".join(
        f'<Unenrollment block="{block}"><AccountUserLearningModuleRelID>{escape(identifier)}'
        "</AccountUserLearningModuleRelID></Unenrollment>"
        for block, identifier in accepted
    )
    return Markup(f"<Unenrollments>{items}</Unenrollments>") if items else NOTHING


def _error(entry: ErrorEntry) -> str:
    block = "" if entry.block is None else f' block="{entry.block}"'
    return f"<Error{block}><ErrorID>{entry.code}</ErrorID><ErrorMessage>{escape(entry.message)}</ErrorMessage></Error>"
