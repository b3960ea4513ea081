"""Answers as XML text: escaped and formatted here, and nowhere else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NewType
from xml.sax.saxutils import escape

from rollbook.errors import CallError, WireCode
from rollbook.model import Change
from rollbook.wire.xml import UNWRITABLE

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
    change: Change | None = None  # what the work has changed, for the audit
    stored: bytes | None = None  # the body as it was sent before, for the same Idempotency-Key


def render(answer: Answer) -> bytes:
    """Write an answer as the UTF-8 body of a response."""
    if answer.stored is not None:
        return answer.stored
    result = "Success" if answer.succeeded else "Failed"
    errors = "".join(map(_error, answer.errors))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<SmarterU><Result>{result}</Result><Info>{answer.info}</Info><Errors>{errors}</Errors></SmarterU>"
    )
    return text.encode()


def element(name: str, value: object) -> Markup:
    """Write an element that holds a text or a number; None is an empty element."""
    text = "" if value is None else escape(UNWRITABLE.sub("", str(value)), {"\r": "&#13;"})
    return Markup(f"<{name}>{text}</{name}>")


def unenrollments(accepted: Iterable[tuple[int, str]]) -> Markup:
    """Write the Info of unenrollLearningModules from (block, identifier as it was sent); empty when there are none."""
    items = "".join(
        f'<Unenrollment block="{block}"><AccountUserLearningModuleRelID>{escape(identifier)}'
        "</AccountUserLearningModuleRelID></Unenrollment>"
        for block, identifier in accepted
    )
    return Markup(f"<Unenrollments>{items}</Unenrollments>") if items else NOTHING


def enrollments(accepted: Iterable[tuple[int, str, str, int]]) -> Markup:
    """Write the Info of enrollLearningModules from (block, learner and course as sent, id of the enrolment)."""
    items = "".join(
        f'<Enrollment block="{block}">{element("User", user)}{element("LearningModuleID", course)}'
        f"{element('AccountUserLearningModuleRelID', enrollment_id)}</Enrollment>"
        for block, user, course, enrollment_id in accepted
    )
    return Markup(f"<Enrollments>{items}</Enrollments>") if items else NOTHING


def _error(entry: ErrorEntry) -> str:
    block = "" if entry.block is None else f' block="{entry.block}"'
    return f"<Error{block}><ErrorID>{entry.code}</ErrorID><ErrorMessage>{escape(entry.message)}</ErrorMessage></Error>"
