"""The envelope of an answer, as a server writes it and a client reads it (protocol §2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from rollbook.errors import NO_ROOT, CallError, WireCode
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANY_NUMBER, Element, record
from rollbook.wire.read import compile_lenient
from rollbook.wire.write import Markup, compile_writer
from rollbook.wire.xml import parse, text_of

NOTHING = Markup("")

BLOCK = Element("block", "block", NUMBER, help="the position of the item in the call, from 1")

_ERROR = record(
    "Error",
    Element("ErrorID", "code"),
    Element("ErrorMessage", "message"),
    field="errors",
    least=0,
    most=ANY_NUMBER,
    attributes=(BLOCK,),
)
_ERRORS = record("Errors", _ERROR)
_write_errors = compile_writer(_ERRORS)
_read_errors = compile_lenient(_ERRORS)


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
    """The answer to a call: `Failed` when every operation failed (protocol §2)."""

    succeeded: bool
    info: Markup = NOTHING
    errors: Sequence[ErrorEntry] = ()
    batch_id: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stored: bytes | None = None  # the body of the first answer to the same Idempotency-Key


def render(answer: Answer) -> bytes:
    """Write an answer as the UTF-8 body of a response."""
    if answer.stored is not None:
        return answer.stored
    result = "Success" if answer.succeeded else "Failed"
    errors = _write_errors({"errors": [vars(entry) for entry in answer.errors]})
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<SmarterU><Result>{result}</Result><Info>{answer.info}</Info><Errors>{errors}</Errors></SmarterU>"
    )
    return text.encode()


@dataclass(frozen=True)
class Reply:
    """A parsed answer; the tree of the method reads its Info."""

    succeeded: bool
    errors: Sequence[ErrorEntry]
    info: etree._Element

    @property
    def failed_whole(self) -> bool:
        """Whether the call failed as a whole rather than item by item."""
        return not self.succeeded and not any(error.block for error in self.errors)


def read_reply(body: bytes) -> Reply:
    """Parse an answer; errors: CallError for a body that is none."""
    root = parse(body)
    result, info, errors = (root.find(name) for name in ("Result", "Info", "Errors"))
    outcome = "" if result is None else text_of(result)
    if root.tag != "SmarterU" or outcome not in ("Success", "Failed"):
        raise CallError(NO_ROOT, "the XML is no SmarterU element with a Result")
    entries = [] if errors is None else _read_errors(errors).get("errors", [])
    return Reply(
        outcome == "Success",
        [ErrorEntry(entry.get("code") or "", entry.get("message") or "", entry.get("block")) for entry in entries],
        etree.Element("Info") if info is None else info,
    )
