"""The general codes of the wire with their messages, and the exceptions of the program.

RollbookError                       every error that Rollbook raises itself
├── CallError                       ends a call with one code of the wire
├── TransportError                  ends a call by an HTTP status: 408, 413, 422, 429 or 503
│   ├── RateLimitError              a limit is reached: 429
│   └── DatabaseUnavailableError    the database is unreachable or too busy: 503
│       ├── LockTimeoutError        another transaction held a lock for too long: 503
│       └── ConflictError           a conflict with another transaction: 503 after the last attempt
├── UserError                       a request that cannot be fulfilled; the message says what to do
│   └── UnknownSchemaError          the schema of the database is that of another release, or missing
└── ClientError                     a call that rollbook.Client made failed as a whole
    ├── CallRefusedError            the server read it and answered Failed, with a code
    ├── ServerUnreachableError      no answer, however often it was sent; or a certificate that is not trusted
    └── NotAnAnswerError            something answered that does not speak this API
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class WireCode:
    """An error code of the wire, its message, and when it is answered; `{…}` is filled in where it is raised."""

    code: str
    message: str
    when: str = ""


# General errors in the order of their checks (protocol §2, D4). A method's own errors are in its module.
NO_POST_DATA = WireCode("SU:01", "No POST data detected.", "not HTTPS (T2), not POST, or an empty body (T4)")
NO_PACKAGE = WireCode("SU:02", "Package parameter not found.", "no form, or a form without the field")
NOT_XML = WireCode(
    "SU:03",
    "Package data is not properly formatted XML.",
    "also a document type, an entity, text that is not UTF-8, an empty `Package`",
)
NO_ROOT = WireCode("SU:04", "SmarterU root tag not found in Package data.", "names are case-sensitive")
NO_ACCOUNT_KEY = WireCode("SU:05", "AccountAPI tag not found in Package data.")
NO_USER_KEY = WireCode("SU:06", "UserAPI tag not found in Package data.")
NO_METHOD = WireCode("SU:07", "Method tag not found in Package data.")
NO_PARAMETERS = WireCode("SU:08", "Parameters tag not found in Package data.")
EMPTY_PARAMETERS = WireCode(
    "SU:09", "Parameters tag contains no information.", "it has no child element; text and comments do not count"
)
INVALID_KEYS = WireCode(
    "SU:10",
    "User and Account API keys are invalid.",
    "unknown, empty or revoked, an inactive user, or two keys that do not belong together: one answer for all",
)
UNKNOWN_METHOD = WireCode(
    "SU:11",
    "Requested method does not exist.",
    "after SU:10, so that strangers learn nothing; names are case-sensitive",
)
WRONG_STRUCTURE = WireCode(
    "SU:12",
    "Incorrect/Missing Structure/Parameters.",
    "an element is missing, occurs too often, or has a wrong value",
)
UNEXPECTED_ELEMENT = WireCode(
    "SU:13",
    "Element {tag} was found where it should not exist.",
    "names the first such element of the document, without its namespace",
)
UNFORESEEN = WireCode(
    "SU:9999",
    "Unknown method call failure.",
    "anything unforeseen; the cause goes to the log, never to the caller",
)
GENERAL = (
    *(NO_POST_DATA, NO_PACKAGE, NOT_XML, NO_ROOT, NO_ACCOUNT_KEY, NO_USER_KEY, NO_METHOD, NO_PARAMETERS),
    *(EMPTY_PARAMETERS, INVALID_KEYS, UNKNOWN_METHOD, WRONG_STRUCTURE, UNEXPECTED_ELEMENT, UNFORESEEN),
)


class RollbookError(Exception):
    """Every error that Rollbook raises itself."""


class CallError(RollbookError):
    """Ends a call with one error code.

    `detail` says which element was wrong and where. It goes to the log, never to the caller, and holds no value of the
    call.
    """

    def __init__(self, code: WireCode, detail: str = "", **data: object) -> None:
        super().__init__(f"{code.code} {detail}".rstrip())
        self.code = code
        self.detail = detail
        self.message = code.message.format(**data)


class TransportError(RollbookError):
    """Ends a call by an HTTP status of its own (protocol T5, D3).

    `closes` closes the connection too, because the rest of the call may still arrive.
    """

    closes = True

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class RateLimitError(TransportError):
    """A limit is reached; the same call can be sent again after `retry_after` seconds."""

    closes = False

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(429, detail, retry_after=retry_after)


class DatabaseUnavailableError(TransportError):
    """The database is unreachable or too busy; the call can be sent again.

    When the connection broke during the commit, it is unknown whether the call was executed (D13).
    """

    closes = False

    def __init__(self, detail: str) -> None:
        super().__init__(503, detail, retry_after=1)


class LockTimeoutError(DatabaseUnavailableError):
    """Another transaction held a lock for too long; nothing was done."""


class ConflictError(DatabaseUnavailableError):
    """The work conflicts with another transaction; nothing was done, and a new attempt may succeed."""


class UserError(RollbookError):
    """A request that cannot be fulfilled; the message says what was wrong, where, and what to do."""


class UnknownSchemaError(UserError):
    """The schema of the database is that of another release, or missing."""


class ClientError(RollbookError):
    """A call of rollbook.Client failed as a whole; the message names the address, and never holds a key."""


class CallRefusedError(ClientError):
    """The server answered Failed for the whole call: `code` and `message` are its own words.

    `request_id` leads to the call in a Rollbook server's log; None from other servers.
    """

    def __init__(self, url: str, code: str, message: str, request_id: str | None) -> None:
        more = f" Its log tells more under the request id {request_id}." if request_id else ""
        super().__init__(f"{url} refused the call with {code}: {message}{more}")
        self.code = code
        self.message = message
        self.request_id = request_id


class ServerUnreachableError(ClientError):
    """No answer came, however often the call was sent; or the server's certificate is not trusted."""


class NotAnAnswerError(ClientError):
    """Something answered, but not with XML of this API."""
